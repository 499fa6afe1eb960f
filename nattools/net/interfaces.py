"""Interfaces and default routes, through the `netifaces` module and what the platform adds to it."""

from __future__ import annotations

import re
import socket
import struct
import sys
from typing import Any

from nattools.model.endpoint import Family, parse_address
from nattools.model.host import Gateway, Interface, InterfaceKind

_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8
_SIOCGIFFLAGS = 0x8913
_SIOCGIFMTU = 0x8921
_SIOCGIFHWADDR = 0x8927
_SIOCETHTOOL = 0x8946
_SIOCGIWNAME = 0x8B01
_ETHTOOL_GDRVINFO = 3

_VPN = re.compile(r"^(tun|tap|utun|wg|ppp|ipsec|nordlynx|proton|tailscale|zt|mullvad|wt|gpd|cscotun)[\w.-]*$")
_VPN_WINDOWS = re.compile(r"(vpn|wireguard|tailscale|zerotier|openvpn|tap-)", re.IGNORECASE)
_VIRTUAL = re.compile(
    r"^(docker|br-|virbr|veth|vnet|lxc|lxd|cni|flannel|cali|ifb|dummy|bridge|vmnet|awdl|llw)"
)
_WIRELESS = re.compile(r"^(wl|wlan|ath|ra\d)")
_ETHERNET = re.compile(r"^(eth|en)")

_DRIVERS: dict[str, InterfaceKind] = {
    "tun": "vpn",
    "wireguard": "vpn",
    "bridge": "virtual",
    "dummy": "virtual",
    "ifb": "virtual",
}
_LINK_TYPES: dict[int, InterfaceKind] = {  # ARPHRD_ of linux/if_arp.h
    512: "vpn",  # PPP
    768: "vpn",  # IPIP
    769: "vpn",  # IP6IP6
    772: "loopback",
    776: "vpn",  # SIT
    778: "vpn",  # GRE
    801: "wireless",
    803: "wireless",
    65534: "vpn",  # NONE: packets without a link layer, as TUN and WireGuard have
}


def interfaces() -> tuple[Interface, ...]:
    """All interfaces of the calling thread's namespace."""
    import netifaces

    described = _Linux() if sys.platform.startswith("linux") else None
    try:
        return tuple(_interface(name, address_entries(name), described) for name in netifaces.interfaces())
    finally:
        if described is not None:
            described.close()


def interface_with(address: str) -> str | None:
    """The name of the interface that has an own address (as `interfaces` writes it); None: none has."""
    import netifaces

    for name in netifaces.interfaces():
        if address in _addresses(name, address_entries(name)):
            return str(name)
    return None


def address_entries(name: str) -> dict[int, list[dict[str, str]]]:
    """What netifaces knows of an interface's addresses, by family; nothing for one without any address,
    which netifaces calls invalid, and for one that has just gone."""
    import netifaces

    try:
        return dict(netifaces.ifaddresses(name))
    except ValueError:
        return {}


def _interface(name: str, entries: dict[int, list[dict[str, str]]], linux: _Linux | None) -> Interface:
    addresses = _addresses(name, entries)
    if linux is None:
        kind = kind_by_name(name)
        return Interface(name=name, kind=kind, up=bool(addresses), addresses=addresses)
    return Interface(
        name=name, kind=linux.kind(name), up=linux.is_up(name), mtu=linux.mtu(name), addresses=addresses
    )


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


class _Linux:
    """What ioctls say of an interface. They follow the namespace of the thread, as /sys does not."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def close(self) -> None:
        self._sock.close()

    def _ask(self, request: int, name: str, argument: bytes = b"") -> bytes | None:
        import fcntl

        query = struct.pack("16s24s", name.encode()[:15], argument)
        try:
            return fcntl.ioctl(self._sock, request, query)[16:]
        except OSError:
            return None

    def _number(self, request: int, name: str, form: str) -> int | None:
        answer = self._ask(request, name)
        return None if answer is None else int(struct.unpack_from(form, answer)[0])

    def is_up(self, name: str) -> bool:
        return bool((self._number(_SIOCGIFFLAGS, name, "=H") or 0) & _IFF_UP)

    def mtu(self, name: str) -> int | None:
        return self._number(_SIOCGIFMTU, name, "=i")

    def driver(self, name: str) -> str | None:
        """What ethtool calls the driver (struct ethtool_drvinfo)."""
        import array

        information = array.array("B", struct.pack("=I", _ETHTOOL_GDRVINFO) + bytes(192))
        address, _ = information.buffer_info()
        if self._ask(_SIOCETHTOOL, name, struct.pack("@P", address)) is None:
            return None
        return information.tobytes()[4:36].partition(b"\0")[0].decode("ascii", "replace")

    def kind(self, name: str) -> InterfaceKind:
        if (self._number(_SIOCGIFFLAGS, name, "=H") or 0) & _IFF_LOOPBACK:
            return "loopback"
        named = kind_by_name(name)
        if named in ("vpn", "virtual"):
            return named
        driver = _DRIVERS.get(self.driver(name) or "")
        if driver is not None:
            return driver
        if self._ask(_SIOCGIWNAME, name) is not None:
            return "wireless"
        link_type = self._number(_SIOCGIFHWADDR, name, "=H")
        by_type = _LINK_TYPES.get(link_type if link_type is not None else -1)
        if by_type is not None:
            return by_type
        return "ethernet" if named == "unknown" and link_type == 1 else named


def gateways() -> tuple[Gateway, ...]:
    """Default routes of the calling thread's namespace, IPv4 before IPv6, the preferred ones first."""
    found = _linux_gateways() if sys.platform.startswith("linux") else ()
    return found or _netifaces_gateways()


def _netifaces_gateways() -> tuple[Gateway, ...]:
    import netifaces

    table: dict[Any, Any] = netifaces.gateways()
    families: tuple[tuple[Family, int], ...] = ((4, socket.AF_INET), (6, socket.AF_INET6))
    return tuple(
        Gateway(interface=entry[1], family=family, address=_canonical(entry[0], entry[1]))
        for family, number in families
        for entry in sorted(table.get(number, []), key=lambda entry: not (len(entry) > 2 and entry[2]))
    )


def _linux_gateways() -> tuple[Gateway, ...]:
    """Default routes with their metrics, and those without a next hop, which netifaces leaves out."""
    routes = [
        *_routes4(_lines("/proc/thread-self/net/route")),
        *_routes6(_lines("/proc/thread-self/net/ipv6_route")),
    ]
    return tuple(sorted(routes, key=lambda gateway: (gateway.family, gateway.metric or 0)))


def _lines(path: str) -> list[list[str]]:
    try:
        with open(path, encoding="ascii") as table:
            return [line.split() for line in table]
    except OSError:
        return []


_RTF_UP = 0x1
_RTF_REJECT = 0x200


def _routes4(rows: list[list[str]]) -> list[Gateway]:
    """Interface, destination, gateway, flags, ..., metric, mask; addresses in host byte order."""
    routes = []
    for row in rows[1:]:
        if (
            row[1] != "00000000"
            or row[7] != "00000000"
            or int(row[3], 16) & (_RTF_UP | _RTF_REJECT) != _RTF_UP
        ):
            continue
        address = socket.inet_ntoa(struct.pack("=I", int(row[2], 16)))
        routes.append(
            Gateway(
                interface=row[0],
                family=4,
                address=None if address == "0.0.0.0" else address,
                metric=int(row[6]),
            )
        )
    return routes


def _routes6(rows: list[list[str]]) -> list[Gateway]:
    """Destination, length, source, length, next hop, metric, ..., flags, interface; in hexadecimal."""
    routes = []
    for row in rows:
        if row[1] != "00" or row[3] != "00" or row[9] == "lo":
            continue
        if int(row[8], 16) & (_RTF_UP | _RTF_REJECT) != _RTF_UP:
            continue
        next_hop = bytes.fromhex(row[4])
        address = _canonical(socket.inet_ntop(socket.AF_INET6, next_hop), row[9]) if any(next_hop) else None
        routes.append(Gateway(interface=row[9], family=6, address=address, metric=int(row[5], 16)))
    return routes
