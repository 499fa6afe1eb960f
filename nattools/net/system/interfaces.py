"""Interfaces and default routes, through the `netifaces` module and what the platform adds to it."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import sys
from typing import Any

from nattools.model.endpoint import Family, family_of, parse_address
from nattools.model.host import Gateway, Interface, InterfaceKind, LinkNeighbour, Way
from nattools.net.addresses import FAR_AWAY
from nattools.net.system import netlink, procroutes
from nattools.net.system.interfacekinds import InterfaceTable
from nattools.protocols.rtnetlink import KernelLink, TableRoute

_IFF_UP = 0x1
_ARPHRD_ETHER = 1
_SIOCGIWNAME = 0x8B01
_MAIN_TABLE = 254
_OTHER_HALF: dict[Family, str] = {4: "12.0.0.1", 6: "2a00::1"}
"""Asked about beside `FAR_AWAY`: a VPN may take but half of all addresses by each of its routes."""

_VPN = re.compile(r"^(tun|tap|utun|wg|ppp|ipsec|nordlynx|proton|tailscale|zt|mullvad|wt|gpd|cscotun)[\w.-]*$")
_VPN_WINDOWS = re.compile(r"(vpn|wireguard|tailscale|zerotier|openvpn|tap-)", re.IGNORECASE)
_VIRTUAL = re.compile(
    r"^(docker|br-|virbr|veth|vnet|lxc|lxd|cni|flannel|cali|ifb|dummy|bridge|vmnet|awdl|llw)"
)
_WIRELESS = re.compile(r"^(wl|wlan|ath|ra\d)")
_ETHERNET = re.compile(r"^(eth|en)")


def interfaces() -> tuple[Interface, ...]:
    """All interfaces of the calling thread's namespace."""
    addresses = {name: _addresses(name, address_entries(name)) for name in interface_names()}
    try:
        return _linux_interfaces(addresses)
    except OSError:
        return tuple(
            Interface(name=name, kind=kind_by_name(name), up=bool(own), addresses=own)
            for name, own in addresses.items()
        )


def _linux_interfaces(addresses: dict[str, tuple[str, ...]]) -> tuple[Interface, ...]:
    """By what the kernel says of them. OSError: it says nothing."""
    links = netlink.links()
    around = InterfaceTable(links, [*netlink.table_routes(4), *netlink.table_routes(6)], addresses)
    return tuple(
        Interface(
            name=link.name,
            kind=around.kind(link) or _hardware(link),
            up=bool(link.flags & _IFF_UP),
            mtu=link.mtu,
            addresses=addresses.get(link.name, ()),
        )
        for link in links
    )


def _hardware(link: KernelLink) -> InterfaceKind:
    if _is_wireless(link.name):
        return "wireless"
    return "ethernet" if link.hardware == _ARPHRD_ETHER else "unknown"


def _is_wireless(name: str) -> bool:
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            fcntl.ioctl(sock, _SIOCGIWNAME, struct.pack("16s24x", name.encode()[:15]))
        except OSError:
            return False
    return True


def link_neighbours() -> tuple[LinkNeighbour, ...]:
    """The machines that this system knows on links, IPv4 first; none where it does not tell."""
    found: list[LinkNeighbour] = []
    families: tuple[Family, ...] = (4, 6)
    with contextlib.suppress(OSError):
        names = {link.index: link.name for link in netlink.links()}
        for family in families:
            for each in netlink.neighbours(family):
                name = names.get(each.link)
                if name is not None:
                    zone = f"%{name}" if each.address.startswith("fe80:") else ""
                    address = f"{each.address}{zone}"
                    found.append(LinkNeighbour(interface=name, address=address, hardware=each.hardware))
    return tuple(found)


def interface_with(address: str) -> str | None:
    """The name of the interface that has an own address (as `interfaces` writes it); None: none has."""
    for name in interface_names():
        if address in _addresses(name, address_entries(name)):
            return name
    return None


def interface_names() -> list[str]:
    """Those of the calling thread's namespace; none where the system does not tell (a filter or a container
    that refuses netlink)."""
    import netifaces

    try:
        return [str(name) for name in netifaces.interfaces()]
    except OSError:
        return []


def address_entries(name: str) -> dict[int, list[dict[str, str]]]:
    """What netifaces knows of an interface's addresses, by family; nothing for one without any address,
    which netifaces calls invalid, and for one that has just gone."""
    import netifaces

    try:
        return dict(netifaces.ifaddresses(name))
    except (OSError, ValueError):
        return {}


def _addresses(name: str, entries: dict[int, list[dict[str, str]]]) -> tuple[str, ...]:
    return tuple(
        address
        for family in (socket.AF_INET, socket.AF_INET6)
        for entry in entries.get(int(family), [])
        if (address := _canonical(entry.get("addr"), name)) is not None
    )


def _canonical(text: str | None, interface: str) -> str | None:
    if text is None:
        return None
    try:
        address = parse_address(text)
    except ValueError:
        return None
    return f"{address}%{interface}" if address.version == 6 and address.is_link_local else str(address)


def kind_by_name(name: str) -> InterfaceKind:
    """What an interface is likely to be, by how systems name theirs."""
    if re.fullmatch(r"lo\d*", name):
        return "loopback"
    if _VPN.match(name) or (sys.platform == "win32" and _VPN_WINDOWS.search(name)):
        return "vpn"
    if _VIRTUAL.match(name):
        return "virtual"
    if _WIRELESS.match(name):
        return "wireless"
    return "ethernet" if _ETHERNET.match(name) else "unknown"


def gateways() -> tuple[Gateway, ...]:
    """Default routes of the calling thread's namespace, IPv4 before IPv6, the preferred ones first: what
    ordinary packets take, by whatever rule and table, comes before what they might take otherwise."""
    try:
        found = (*_linux_gateways(4), *_linux_gateways(6))
    except OSError:
        found = ()
    return found or _netifaces_gateways()


def _netifaces_gateways() -> tuple[Gateway, ...]:
    import netifaces

    try:
        table: dict[Any, Any] = netifaces.gateways()
    except OSError:
        return procroutes.gateways()
    families: tuple[tuple[Family, int], ...] = ((4, socket.AF_INET), (6, socket.AF_INET6))
    return tuple(
        Gateway(interface=entry[1], family=family, address=_canonical(entry[0], entry[1]))
        for family, number in families
        for entry in sorted(table.get(number, []), key=lambda entry: not (len(entry) > 2 and entry[2]))
    )


def _linux_gateways(family: Family) -> tuple[Gateway, ...]:
    """With their metrics, and those without a next hop, which netifaces leaves out."""
    names = {link.index: link.name for link in netlink.links()}
    taken = [netlink.route_to(address) for address in (FAR_AWAY[family], _OTHER_HALF[family])]
    default = [each for each in netlink.table_routes(family) if each.length == 0 and each.destination is None]
    default.sort(key=lambda each: (each.table != _MAIN_TABLE, each.metric))
    found: dict[tuple[int, str | None], TableRoute] = {}
    for route in (*taken, *default):
        if route is not None and route.link in names and not route.local:
            found.setdefault((route.link, route.gateway), route)
    known = {(each.link, each.gateway): each.metric for each in reversed(default)}
    return tuple(
        Gateway(
            interface=names[link],
            family=family,
            address=_canonical(gateway, names[link]),
            metric=known.get((link, gateway), route.metric),
        )
        for (link, gateway), route in found.items()
    )


def way(destination: str, *, source: str | None = None, interface: str | None = None) -> Way | None:
    """The route that a packet takes from the calling thread's namespace; None: there is none. OSError: the
    system does not tell."""
    link = None if interface is None else socket.if_nametoindex(interface)
    route = netlink.route_to(destination, source=source, link=link)
    if route is None:
        return None
    name = socket.if_indextoname(route.link)
    own = source or route.source or _own_address(name, route.family)
    if own is None:
        return None
    return Way(family=route.family, interface=name, source=own, gateway=_canonical(route.gateway, name))


def _own_address(name: str, family: Family) -> str | None:
    own = (each for each in _addresses(name, address_entries(name)) if family_of(each) == family)
    return next(own, None)
