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
    """By their first address of each family, in the order of the file."""
    found = []
    for name, spec in scenario.server.items():
        if spec.libp2p is not None:
            hosts = [address.ip for port in layout.ports_of(name) for address in port.addresses]
            peer = HostKey(seed_at(tuple(hosts))).peer
            first = {family_of(host): host for host in reversed(hosts)}
            found += [multiaddr_at(Endpoint(first[each], spec.port), peer) for each in sorted(first)]
    return tuple(found)
