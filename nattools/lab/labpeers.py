"""A lab's libp2p peers: their keys follow from their addresses, so that whoever is in the lab knows them."""

from __future__ import annotations

import hashlib

from nattools.lab.layout import Layout
from nattools.lab.scenario import Scenario
from nattools.model.endpoint import Endpoint, family_of
from nattools.protocols.libp2p.hostkey import HostKey
from nattools.protocols.libp2p.multiaddr import Multiaddr, multiaddr_at


def seed_at(addresses: tuple[str, ...]) -> bytes:
    """What the key of the server that has these addresses follows from."""
    first = min(addresses, key=family_of)
    return hashlib.sha256(f"libp2p at {first}".encode()).digest()


def peers_of(scenario: Scenario, layout: Layout) -> tuple[Multiaddr, ...]:
    """By their name, or by their first address of each family, in the order of the file."""
    found: list[Multiaddr] = []
    for server, spec in scenario.server.items():
        if spec.libp2p is not None:
            own = _addresses(layout, server, spec.port)
            name = spec.libp2p.name
            found += own if name is None else [_named(name, own)]
    return tuple(found)


def texts_of(scenario: Scenario, layout: Layout) -> dict[str, tuple[str, ...]]:
    """The TXT records of the peers that have a name, as those of the public network are: the name leads to a
    name for each peer, and that to its addresses."""
    found: dict[str, tuple[str, ...]] = {}
    for server, spec in scenario.server.items():
        if spec.libp2p is not None and spec.libp2p.name is not None:
            own, name = _addresses(layout, server, spec.port), spec.libp2p.name.lower()
            inner = f"{server.lower()}.{name}"
            found[f"_dnsaddr.{name}"] = (
                *found.get(f"_dnsaddr.{name}", ()),
                f"dnsaddr={_named(inner, own)}",
            )
            found[f"_dnsaddr.{inner}"] = tuple(f"dnsaddr={each}" for each in own)
    return found


def _addresses(layout: Layout, server: str, port: int) -> list[Multiaddr]:
    hosts = [address.ip for each in layout.ports_of(server) for address in each.addresses]
    peer = HostKey(seed_at(tuple(hosts))).peer
    first = {family_of(host): host for host in reversed(hosts)}
    return [multiaddr_at(Endpoint(first[each], port), peer) for each in sorted(first)]


def _named(name: str, own: list[Multiaddr]) -> Multiaddr:
    return Multiaddr((("dnsaddr", name), own[0].parts[-1]))
