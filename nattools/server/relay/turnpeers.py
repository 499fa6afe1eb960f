"""To whom a relay passes on what it is given. Pure.

Nobody but those whom the whole internet reaches: not this machine, not its network, not what another protocol
makes of an address. IPv4 addresses that are spelled as IPv6 ones are refused however they are spelled
(IPv4-mapped and -compatible, NAT64, 6to4, Teredo): who means IPv4 asks for an IPv4 allocation.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from nattools.model.endpoint import Endpoint, parse_address

_LOW: Final = 1024
_REMEMBERED: Final = 4096
_IPV4_WITHIN: Final = tuple(
    IPv6Network(each)
    for each in (
        "::/96",  # IPv4-compatible (RFC 4291 2.5.5.1)
        "::ffff:0:0/96",  # IPv4-mapped (2.5.5.2)
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765 2.1)
        "64:ff9b::/96",  # NAT64 (RFC 6052 2.1)
        "64:ff9b:1::/48",  # NAT64 within a network (RFC 8215)
        "2001::/32",  # Teredo (RFC 4380)
        "2002::/16",  # 6to4 (RFC 3056)
    )
)


class PeerRules:
    """`is_public`: can everybody reach this address? `is_own`: is it one of this machine's? On `relay_hosts`
    it relays. `low_ports`: may a peer's port be below 1024?"""

    def __init__(
        self,
        is_public: Callable[[str], bool],
        is_own: Callable[[str], bool],
        relay_hosts: Container[str],
        *,
        low_ports: bool,
    ) -> None:
        self._is_public = is_public
        self._is_own = is_own
        self._relay_hosts = relay_hosts
        self._lowest = 1 if low_ports else _LOW
        self._known: dict[str, bool] = {}

    def permits(self, host: str) -> bool:
        """May this address have a permission? Of this machine's own those may on which it relays."""
        return host in self._relay_hosts or self._reaches(host)

    def is_here(self, host: str) -> bool:
        """Is it an address on which this machine relays? Then only what is relayed there can be a peer."""
        return host in self._relay_hosts

    def allows(self, peer: Endpoint, relayed: Container[Endpoint]) -> bool:
        """May something be sent there, or a connection made? `relayed`: what this machine relays."""
        if self.is_here(peer.host):
            return peer in relayed
        return peer.port >= self._lowest and self._reaches(peer.host)

    def forget(self) -> None:
        """This machine's addresses may be others by now."""
        self._known.clear()

    def _reaches(self, host: str) -> bool:
        known = self._known.get(host)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            plain = not ipv4_within(host) and self._is_public(host)
            known = self._known[host] = plain and not self._is_own(host)
        return known


def ipv4_within(host: str) -> bool:
    """Does an IPv6 address stand for an IPv4 one?"""
    address = parse_address(host)
    return isinstance(address, IPv6Address) and any(address in network for network in _IPV4_WITHIN)
