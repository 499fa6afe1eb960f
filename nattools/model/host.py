"""The measuring machine as a report describes it."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from nattools.model.endpoint import Family

Environment = Literal["container", "wsl", "cloud"]
InterfaceKind = Literal["ethernet", "wireless", "vpn", "loopback", "virtual", "unknown"]
PHYSICAL: Final[tuple[InterfaceKind, ...]] = ("ethernet", "wireless")


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface. `addresses` are in text form without prefix length."""

    name: str
    kind: InterfaceKind = "unknown"
    up: bool = True
    mtu: int | None = None
    addresses: tuple[str, ...] = ()


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """A default route. `address` is None on point-to-point links."""

    interface: str
    family: Family
    address: str | None = None
    metric: int | None = None


RouteSource = Literal["ra", "static", "unknown"]
"""A router's own advertisement (RFC 4861), or somebody's configuration."""


class ConfiguredAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An IPv6 address of this machine, with what its system says of it; None: it does not tell.

    `temporary`: made for privacy and given up again (RFC 8981); `stable`: made from a secret, or set by
    somebody, to stay (RFC 7217). `tentative`: it is not known yet whether somebody else has it (RFC 4862
    5.4), `duplicate`: somebody has. `valid_s` and `preferred_s` are what is left of its lifetimes, infinite
    ones None."""

    address: str
    interface: str
    prefix_length: int | None = None
    temporary: bool | None = None
    stable: bool | None = None
    deprecated: bool = False
    tentative: bool = False
    duplicate: bool = False
    valid_s: int | None = None
    preferred_s: int | None = None


class ConfiguredRouter(msgspec.Struct, frozen=True, kw_only=True):
    """A default route of IPv6, and where it was learnt. `address` None: no next hop is named. `silent`: the
    system has looked for it on the link in vain (RFC 4861 7.2)."""

    address: str | None
    interface: str
    source: RouteSource = "unknown"
    silent: bool = False


class Ipv6Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine's system has been told of IPv6. `disabled`: it is switched off, None: it does not
    tell. `blocked`: a route of its own forbids IPv6 to the internet, as VPN programs set it. `resolvers`: the
    addresses of its name servers, as far as it tells them."""

    addresses: tuple[ConfiguredAddress, ...] = ()
    routers: tuple[ConfiguredRouter, ...] = ()
    resolvers: tuple[str, ...] = ()
    disabled: bool | None = None
    blocked: bool = False


class LinkNeighbour(msgspec.Struct, frozen=True, kw_only=True):
    """A machine on one of this machine's links that its system has exchanged packets with (ARP, RFC 826;
    neighbour discovery, RFC 4861). `hardware`: its hardware address, in hexadecimal."""

    interface: str
    address: str
    hardware: str = ""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """The route that packets to the internet take, as the system's rules and tables say: out of an interface
    (None: not known), from the own address `source`, to the router `gateway` (None: none is named)."""

    family: Family
    interface: str | None
    source: str
    gateway: str | None = None


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that measured: `measured_interface` is the one that the kernel chose for the servers,
    `ways` the route of each family that was measured (reports of earlier versions have none). `runs_in`: what
    the system says that it runs in, which may have a NAT or a firewall of its own. `spread`: the interfaces
    over which it spreads what it sends over IPv4, each destination by one of them; it was measured through
    one. `ipv6` None: not asked."""

    os: str
    python: str = ""
    interfaces: tuple[Interface, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    measured_interface: str | None = None
    ways: tuple[Way, ...] = ()
    runs_in: Environment | None = None
    spread: tuple[str, ...] = ()
    ipv6: Ipv6Setup | None = None

    def kind(self, interface: str | None) -> InterfaceKind:
        """What the interface of that name is."""
        return next((each.kind for each in self.interfaces if each.name == interface), "unknown")
