"""Outside ports read from quoted checksums: of one flow, and of how the port changes between flows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network
from nattools.net.system.expiring import CONTENTS, ExpiringDatagrams
from nattools.protocols.outsidesum import MODULUS, sum_behind, sum_of
from nattools.protocols.pwnat.outside import LARGEST_STEP, ListenerPorts

TTLS: Final = range(1, 6)
WAIT_S: Final = 0.5
"""For all quotes of one round; routers are nearer than servers."""
ROUNDS: Final = 3
PAUSE_S: Final = 1.0
"""Routers send a few errors at once, and then one a second (Linux: 6, RFC 1812 4.3.2.8)."""


class QuotedSums:
    """`await QuotedSums.open(network)`, within `with`. CannotRun: no privilege. What it sends goes to those
    destinations from an own port, and expires on the way."""

    def __init__(self, network: Network, sender: ExpiringDatagrams) -> None:
        self._network, self._sender = network, sender

    @classmethod
    async def open(cls, network: Network) -> QuotedSums:
        """Listen from now on."""
        why = network.missing("raw-packets")
        if why is not None:
            raise CannotRun(why)
        return cls(network, await ExpiringDatagrams.open(network))

    def __enter__(self) -> QuotedSums:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        self._sender.close()

    async def of(self, port: int, to: Endpoint, ttls: Sequence[int] = TTLS) -> tuple[int, int] | None:
        """(sum, TTL): what the outside address and port of this flow add up to, where the farthest routers
        quote checksums that were not restored; two datagrams with different contents have to agree. None:
        nothing is told."""
        self._sender.forget()
        every = [(to, ttl, content) for ttl in ttls for content in range(CONTENTS)]
        await self._rounds(port, every, lambda: self._farthest(to, ttls) is not None)
        ttl = self._farthest(to, ttls)
        if ttl is None:
            return None
        sums = {self._sum(to, ttl, content) for content in range(CONTENTS)}
        total = sums.pop()
        return None if sums or total is None or total == self._own(port, to) else (total, ttl)

    async def of_each(self, port: int, places: Sequence[Endpoint], ttl: int) -> list[int | None]:
        """The sums of several flows, in the order in which the NAT saw them begin; by one datagram each, to
        the TTL that `of` has found."""
        self._sender.forget()
        await self._rounds(port, [(to, ttl, 0) for to in places], lambda: False)
        return [self._sum(to, ttl, 0) for to in places]

    async def _rounds(
        self, port: int, wanted: list[tuple[Endpoint, int, int]], enough: Callable[[], bool]
    ) -> None:
        for number in range(ROUNDS):
            missing = [each for each in wanted if each not in self._sender.quotes]
            if number and (not missing or not self._sender.quotes or enough()):
                return
            for to, ttl, content in missing:
                self._sender.send(port, to, ttl, content)
            await asyncio.sleep(WAIT_S if number == 0 else PAUSE_S)

    def _farthest(self, to: Endpoint, ttls: Sequence[int]) -> int | None:
        quotes = self._sender.quotes
        whole = [ttl for ttl in ttls if all((to, ttl, content) in quotes for content in range(CONTENTS))]
        reported = [ttl for ttl in ttls if any((to, ttl, content) in quotes for content in range(CONTENTS))]
        return whole[-1] if whole and whole[-1] == reported[-1] else None

    def _sum(self, to: Endpoint, ttl: int, content: int) -> int | None:
        quote = self._sender.quotes.get((to, ttl, content))
        return None if quote is None else sum_behind(quote.sent, quote.checksum)

    def _own(self, port: int, to: Endpoint) -> int:
        route = self._network.route(to.host)
        return -1 if route is None else sum_of(route[1], port)


def moves_of(sums: Sequence[int | None]) -> ListenerPorts:
    """How the port changes, from flows in the order in which they began. Pure."""
    known = list(dict.fromkeys(each for each in sums if each is not None))
    if len(known) < 2:
        return ListenerPorts()
    steps = [(later - earlier) % MODULUS for earlier, later in pairwise(known)]
    if max(steps) <= LARGEST_STEP * len(steps):
        return ListenerPorts("predictably", min(LARGEST_STEP, *steps))
    return ListenerPorts("at random")
