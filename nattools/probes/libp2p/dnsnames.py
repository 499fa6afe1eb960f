"""The addresses behind names of libp2p (`/dnsaddr/NAME`), as the first peers of the public network have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Final, NamedTuple

from nattools.model.endpoint import Family
from nattools.model.peertrial import NameAsked, PeerVisit
from nattools.net.base import Network
from nattools.net.eventloop import TimeLimit
from nattools.probes.libp2p.peervisits import PROBE
from nattools.probes.probe import Recorder
from nattools.protocols.libp2p import dnsaddr
from nattools.protocols.libp2p.multiaddr import Multiaddr

LOOKUP_S: Final = 6.0
"""For all names that one leads to."""
_SPOKEN: Final = ("tcp", "quic")


class NameContext(NamedTuple):
    """How names are asked. `named`: the user wants these, and may have them lead into the own network."""

    network: Network
    recorder: Recorder
    families: Sequence[Family]
    named: bool


class _Search:
    """What one address stands for: names are asked level by level, each once."""

    def __init__(self, context: NameContext) -> None:
        self._context = context
        self.asked: list[str] = []
        self.found: dict[Multiaddr, None] = {}
        self.refused = 0
        self.detail = ""

    async def level(self, addresses: Iterable[Multiaddr]) -> list[Multiaddr]:
        """The names that these lead to."""
        names = {name: each for each in addresses if (name := dnsaddr.name_of(each)) is not None}
        new = [name for name in names if name not in self.asked]
        new = new[: dnsaddr.MOST_NAMES - len(self.asked)]
        self.asked += new
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._context.network.resolve_texts(name)) for name in new]
        further = []
        for asked, task in zip((names[name] for name in new), tasks, strict=True):
            texts = task.result()
            if isinstance(texts, str):
                self.detail = self.detail or texts
                continue
            records = dnsaddr.read_records(texts, asked)
            self.refused += records.refused
            further += [each for each in records.addresses if dnsaddr.name_of(each) is not None]
            self._take(each for each in records.addresses if dnsaddr.name_of(each) is None)
        return further

    def _take(self, addresses: Iterable[Multiaddr]) -> None:
        for address in addresses:
            at = address.endpoint
            if at is not None and not self._context.named and not self._context.network.is_public(at.host):
                self.refused += 1
            elif len(self.found) < dnsaddr.MOST_FOUND:
                self.found[address] = None


async def look_up_names(context: NameContext, addresses: Sequence[Multiaddr]) -> list[Multiaddr]:
    """These, with the names among them replaced by what they stand for: of each peer an address or two that
    can be asked over each family. One address of each name comes before the second one of any."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_stands_for(context, each)) for each in addresses]
    rows = [task.result() for task in tasks]
    return list(dict.fromkeys(each for each in chain(*zip_longest(*rows)) if each is not None))


async def _stands_for(context: NameContext, address: Multiaddr) -> list[Multiaddr]:
    if dnsaddr.name_of(address) is None:
        return [address]
    before = address.relay or address
    search, level = _Search(context), [before]
    async with TimeLimit(LOOKUP_S):
        for _ in range(dnsaddr.DEPTH):
            level = await search.level(level)
            if not level:
                break
    detail = "" if search.found else search.detail or "its TXT records have no address of that peer"
    context.recorder.add(
        NameAsked(
            probe=PROBE,
            address=str(address),
            asked=tuple(search.asked),
            found=tuple(map(str, search.found)),
            refused=search.refused,
            detail=detail,
        )
    )
    if detail:
        failed = PeerVisit(
            probe=PROBE, address=str(address), outcome="unresolved", stage="connect", detail=detail
        )
        context.recorder.add(failed)
    behind = address.parts[len(before.parts) :]
    return [each.to(*behind) for each in chosen(search.found, context.families)]


def chosen(found: Iterable[Multiaddr], families: Sequence[Family]) -> list[Multiaddr]:
    """One address for each peer, transport and family, TCP first; where none of them is spoken here, the
    first one, which says so."""
    every = list(found)
    first: dict[tuple[str, str, str], Multiaddr] = {}
    for each in every:
        at, kind = each.endpoint, each.parts[0][0]
        if each.over not in _SPOKEN or (at is not None and at.family not in families):
            continue
        kind = {"dns": "ip4", "dns4": "ip4", "dns6": "ip6"}.get(kind, kind)
        first.setdefault((str(each.peer), each.over, kind), each)
    best = sorted(first.values(), key=lambda each: _SPOKEN.index(each.over))
    return best or every[:1]
