"""What this system has been told of IPv6: its addresses with their lifetimes, its routers, its name
servers."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

from nattools.model.endpoint import family_of
from nattools.model.host import ConfiguredAddress, ConfiguredRouter, Ipv6Setup, RouteSource
from nattools.net.addresses import FAR_AWAY
from nattools.net.system import netlink
from nattools.net.system.interfaces import gateways, interfaces
from nattools.net.system.nameservers import RESOLV_CONF, name_servers
from nattools.protocols.rtnetlink import BlockingRoute, KernelAddress, TableRoute

_TEMPORARY, _DUPLICATE, _DEPRECATED, _TENTATIVE = 0x01, 0x08, 0x20, 0x40  # linux/if_addr.h: IFA_F_
_OPTIMISTIC = 0x04
_MAIN, _LARGE_PART = 254, 8
_SOURCES: Final[dict[int, RouteSource]] = {9: "ra", 3: "static", 4: "static"}  # RTPROT_RA, _BOOT, _STATIC
_SWITCH: Final = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
_RESOLVER_FILES: Final = (Path("/run/systemd/resolve/resolv.conf"), RESOLV_CONF)
"""Where systemd-resolved is, the first names the servers that it asks, the second only itself."""


def ipv6_setup(*, resolvers: bool) -> Ipv6Setup:
    """That of the calling thread's namespace. `resolvers`: whether the files that name them are about it."""
    return Ipv6Setup(
        addresses=_addresses(),
        routers=_routers(),
        resolvers=_resolvers() if resolvers else (),
        disabled=_disabled(),
        blocked=_blocked(),
    )


def _blocked() -> bool:
    """Does a route by which nothing leaves stand before the default ones?"""
    try:
        routes, blocking = netlink.table_routes(6), netlink.blocking_routes(6)
    except OSError:
        return False
    ways = [_rank(each) for each in routes if not each.local and _leads_far(each)]
    walls = [_rank(each) for each in blocking if _leads_far(each)]
    return bool(ways and walls) and min(walls) < min(ways)


def _leads_far(route: TableRoute | BlockingRoute) -> bool:
    """Is it one of the main table's that all of the internet is sent by, or a large part of it?"""
    if route.table != _MAIN or route.length > _LARGE_PART:
        return False
    return ip_address(FAR_AWAY[6]) in ip_network(f"{route.destination or '::'}/{route.length}", strict=False)


def _rank(route: TableRoute | BlockingRoute) -> tuple[int, int]:
    """The least is taken: the longest prefix, then the metric."""
    return -route.length, route.metric


def _addresses() -> tuple[ConfiguredAddress, ...]:
    """Those of IPv6 but loopback; where the system does not tell more, no more than the addresses."""
    try:
        names = {link.index: link.name for link in netlink.links()}
        found = netlink.addresses(6)
    except OSError:
        plain = ((each.name, address) for each in interfaces() for address in each.addresses)
        return tuple(
            ConfiguredAddress(address=address.partition("%")[0], interface=name)
            for name, address in plain
            if family_of(address.partition("%")[0]) == 6 and address != "::1"
        )
    return tuple(
        _described(each, names[each.link]) for each in found if each.link in names and each.address != "::1"
    )


def _described(each: KernelAddress, interface: str) -> ConfiguredAddress:
    temporary = bool(each.flags & _TEMPORARY)
    return ConfiguredAddress(
        address=each.address,
        interface=interface,
        prefix_length=each.length,
        temporary=temporary,
        stable=not temporary,
        deprecated=bool(each.flags & _DEPRECATED),
        tentative=bool(each.flags & _TENTATIVE) and not each.flags & (_DUPLICATE | _OPTIMISTIC),
        duplicate=bool(each.flags & _DUPLICATE),
        valid_s=each.valid_s,
        preferred_s=each.preferred_s,
    )


def _routers() -> tuple[ConfiguredRouter, ...]:
    try:
        names = {link.index: link.name for link in netlink.links()}
        routes = [each for each in netlink.table_routes(6) if each.length == 0 and each.destination is None]
    except OSError:
        told = (each for each in gateways() if each.family == 6)
        return tuple(ConfiguredRouter(address=each.address, interface=each.interface) for each in told)
    silent = {(each.link, each.address) for each in netlink.silent_neighbours(6)}
    found: dict[tuple[int, str | None], TableRoute] = {}
    for route in sorted(routes, key=lambda each: each.metric):
        if route.link in names and names[route.link] != "lo" and not route.local:
            found.setdefault((route.link, route.gateway), route)
    return tuple(
        ConfiguredRouter(
            address=route.gateway,
            interface=names[route.link],
            source=_SOURCES.get(route.protocol, "unknown"),
            silent=(route.link, route.gateway) in silent,
        )
        for route in found.values()
    )


def _disabled() -> bool | None:
    try:
        return _SWITCH.read_text()[:1] == "1"
    except OSError:
        return True if not _SWITCH.parent.exists() and Path("/proc/sys/net").exists() else None


def _resolvers() -> tuple[str, ...]:
    """The name servers of the first of the files that names one that is not this machine itself."""
    for file in _RESOLVER_FILES:
        found = tuple(each.partition("%")[0] for each in name_servers(file))
        if any(not ip_address(each).is_loopback for each in found):
            return found
    return ()
