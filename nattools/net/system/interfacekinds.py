"""What an interface is, by the kernel's driver for it, its addresses and the routes out of it. Pure.

Names say nothing: `wg-home` may be a network card, and a VPN is called what its owner likes. PPP alone does
not either: it is the way to the provider (PPPoE, a modem) unless another way leads to its other end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nattools.model.host import InterfaceKind
from nattools.net.addresses import carries_ipv4_over_ipv6, is_public
from nattools.protocols.rtnetlink import KernelLink, TableRoute

_LOOPBACK = 0x8  # IFF_LOOPBACK
_ETHERNET, _PPP = 1, 512  # ARPHRD_ of linux/if_arp.h
_WIRELESS = (801, 803)
_TUNNEL_HARDWARE = (768, 769, 776, 778)  # IPIP, IP6IP6, SIT, GRE
_TUNNELS = frozenset(
    (
        *("tun", "wireguard", "amneziawg", "ovpn", "ovpn-dco", "xfrm", "vti", "vti6"),
        *("ipip", "gre", "gretap", "ip6gre", "ip6gretap", "sit", "ip6tnl"),
    )
)
_VIRTUAL = frozenset(("bridge", "dummy", "ifb", "vrf", "nlmon", "vxlan", "geneve", "batadv"))
_LOCAL_TABLE = 255
_HALF = 1
"""VPN clients that leave the default route alone put two routes of this length over it."""


class InterfaceTable:
    """All interfaces of a machine with its routes, and `addresses` by the interface's name."""

    def __init__(
        self,
        links: Iterable[KernelLink],
        routes: Iterable[TableRoute],
        addresses: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._tunnels = {link.index for link in links if _is_tunnel(link)}
        self._routes = [each for each in routes if each.table != _LOCAL_TABLE]
        self._addresses = addresses

    def kind(self, link: KernelLink) -> InterfaceKind | None:
        """None: some piece of hardware."""
        if link.flags & _LOOPBACK:
            return "loopback"
        if link.index in self._tunnels:
            return "vpn" if self._is_vpn(link) else "virtual"
        if link.hardware == _PPP:
            return "vpn" if self._is_reached_by_another(link) else "unknown"
        if link.kind in _VIRTUAL or (link.kind == "veth" and link.master is not None):
            return "virtual"
        return "wireless" if link.hardware in _WIRELESS else None

    def _is_vpn(self, link: KernelLink) -> bool:
        """One of whole Ethernet frames (TAP) is as likely a virtual machine's cable: it must carry the
        default route over another interface."""
        own = self._addresses.get(link.name, ())
        if any(map(carries_ipv4_over_ipv6, own)):
            return False
        if link.kind != "tun" or link.hardware != _ETHERNET:
            return True
        ways_out = {each.link for each in self._routes if each.length <= _HALF}
        return link.index in ways_out and bool(ways_out - self._tunnels)

    def _is_reached_by_another(self, link: KernelLink) -> bool:
        """Does a route to a single public address lead by a router elsewhere, as to a VPN's server?"""
        return any(
            each.link != link.index
            and each.link not in self._tunnels
            and each.gateway is not None
            and each.length == (32 if each.family == 4 else 128)
            and is_public(each.destination or "")
            for each in self._routes
        )


def _is_tunnel(link: KernelLink) -> bool:
    return link.kind in _TUNNELS or (not link.kind and link.hardware in _TUNNEL_HARDWARE)
