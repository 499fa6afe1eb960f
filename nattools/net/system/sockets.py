"""Sockets bound to an address, a port and an interface, and socket addresses as endpoints."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import sys
from typing import Any

from nattools.errors import CannotRun
from nattools.model.endpoint import ANY, Endpoint, Family, parse_address
from nattools.net.addresses import FAR_AWAY
from nattools.net.system.interfaces import address_entries, interface_names
from nattools.net.system.namespace import entered
from nattools.net.system.oserrors import describe

_IP_BOUND_IF = 25  # macOS, netinet/in.h
_IPV6_BOUND_IF = 125
_SO_BINDTODEVICE = 25
ADDRESS_FAMILIES: dict[Family, socket.AddressFamily] = {4: socket.AF_INET, 6: socket.AF_INET6}


class Zones:
    """Names and numbers of the interfaces that are the zones of link-local IPv6 addresses (RFC 4007 11)."""

    def __init__(self, netns: str | None) -> None:
        self._netns = netns
        self._names: dict[int, str] = {}

    def within(self) -> contextlib.AbstractContextManager[None]:
        """In the namespace whose interfaces these are."""
        return entered(self._netns)

    def endpoint(self, address: Any) -> Endpoint:
        """A socket address, as `getsockname` and `recvfrom` give it, as an endpoint."""
        if len(address) == 4 and address[3]:
            return Endpoint(f"{address[0]}%{self.name(address[3])}", address[1])
        return Endpoint(address[0], address[1])

    def address(self, endpoint: Endpoint) -> tuple[Any, ...]:
        """An endpoint as a socket address. OSError if its zone is no interface."""
        host, _, zone = endpoint.host.partition("%")
        if not zone:
            return (endpoint.host, endpoint.port)
        return (host, endpoint.port, 0, self.number(zone))

    def name(self, number: int) -> str:
        """The name of interface `number`, or the number in digits if it has none."""
        if number not in self._names:
            try:
                with entered(self._netns):
                    self._names[number] = socket.if_indextoname(number)
            except OSError:
                return str(number)
        return self._names[number]

    def number(self, name: str) -> int:
        """The number of an interface; OSError if there is none of that name."""
        if name.isdigit():
            return int(name)
        with entered(self._netns):
            return socket.if_nametoindex(name)


def bound_socket(
    kind: socket.SocketKind,
    zones: Zones,
    *,
    family: Family,
    host: str | None = None,
    port: int = 0,
    interface: str | None = None,
    shared: bool = False,
) -> socket.socket:
    """A non-blocking socket, bound. Call it inside the namespace that it is to belong to.

    `shared`: other sockets that ask for the same may have the same port. CannotRun: no such address or
    interface, the port is taken, no privilege, or no support for the family."""
    protocol = socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP
    try:
        sock = socket.socket(ADDRESS_FAMILIES[family], kind, protocol)
    except OSError as error:
        remedy = "Allow more: ulimit -n 8192." if error.errno in (errno.EMFILE, errno.ENFILE) else ""
        raise CannotRun(f"cannot open an IPv{family} socket: {describe(error)}", remedy) from error
    try:
        _prepare(sock, family, interface, shared)
        if host is None and interface is not None and not _binds_to_devices():
            host = _interface_address(family, interface)
        sock.bind(zones.address(Endpoint(host or ANY[family], port)))
    except OSError as error:
        sock.close()
        raise _refusal(error, host, port) from error
    except BaseException:
        sock.close()
        raise
    return sock


def _prepare(sock: socket.socket, family: Family, interface: str | None, shared: bool) -> None:
    sock.setblocking(False)
    if family == 6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if interface is not None and _binds_to_devices():
        bind_to_interface(sock, family, interface)


def _binds_to_devices() -> bool:
    return sys.platform.startswith("linux") or sys.platform == "darwin"


def bind_to_interface(sock: socket.socket, family: Family, interface: str) -> None:
    """Send and receive by this interface alone. CannotRun: no such interface, or no privilege."""
    try:
        number = socket.if_nametoindex(interface)
        if sys.platform != "darwin":
            sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, interface.encode() + b"\0")
        elif family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_BOUND_IF, number)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BOUND_IF, number)
    except PermissionError as error:
        message = f"not permitted to bind to the interface {interface}: {describe(error)}"
        raise CannotRun(message, "Linux before 5.7 requires root for this.") from error
    except OSError as error:
        raise CannotRun(f"no interface {interface}: {describe(error)}") from error


def _refusal(error: OSError, host: str | None, port: int) -> CannotRun:
    if error.errno in (errno.EADDRINUSE, 10048):
        return CannotRun(f"port {port} is in use by another program", "Stop it, or choose another port.")
    if error.errno in (errno.EACCES, 10013):
        return CannotRun(f"not permitted to use port {port}", "Run as root, or choose a port above 1023.")
    if error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV, 10049) or isinstance(error, socket.gaierror):
        return CannotRun(f"this machine has no address {host}")
    return CannotRun(f"cannot bind to {host or 'any address'}, port {port}: {describe(error)}")


def _interface_address(family: Family, interface: str | None) -> str | None:
    """The first address of that family on one interface, or on any; link-local ones and loopback last.

    CannotRun when a named interface has none."""
    found = [
        entry["addr"]
        for name in (interface_names() if interface is None else [interface])
        for entry in address_entries(name).get(int(ADDRESS_FAMILIES[family]), [])
        if "addr" in entry
    ]
    if interface is not None and not found:
        raise CannotRun(f"the interface {interface} has no IPv{family} address")
    return min(found, key=_remoteness, default=None)


def _remoteness(address: str) -> int:
    parsed = parse_address(address)
    return 2 if parsed.is_loopback else int(parsed.is_link_local)


def source_address(zones: Zones, destination: Endpoint, interface: str | None = None) -> str | None:
    """The address that the system would send from; None if it has no route, or does not know the family.
    Sends nothing.

    Call it inside the namespace."""
    family = destination.family
    try:
        with socket.socket(ADDRESS_FAMILIES[family], socket.SOCK_DGRAM) as sock:
            if interface is not None and _binds_to_devices():
                bind_to_interface(sock, family, interface)
            sock.connect(zones.address(destination))
            return zones.endpoint(sock.getsockname()).host
    except OSError:
        return None


def default_source(zones: Zones, family: Family, interface: str | None) -> str:
    """The address that the default route would use, without one the likeliest of the machine's own, and
    the wildcard if it has no address but loopback. Call it inside the namespace."""
    bound_by_address = interface is not None and not _binds_to_devices()
    source = None if bound_by_address else source_address(zones, Endpoint(FAR_AWAY[family], 9), interface)
    if source is not None:
        return source
    address = _interface_address(family, interface)
    if address is None or (parse_address(address).is_loopback and not bound_by_address):
        return ANY[family]
    return address


def send_by(sock: socket.socket, host: str) -> None:
    """What the socket sends to IPv4 groups leaves by the interface that has the address `host`. (For IPv6 the
    zone in the destination says it.)"""
    with contextlib.suppress(OSError):  # where it is refused, the routes decide
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))


def join(sock: socket.socket, zones: Zones, group: str, host: str, interface: str | None) -> None:
    """Get what is sent to a group on the interface that has the address `host`, or is called `interface`.
    CannotRun: there is no such interface, or it takes no part in multicast. Call it inside the namespace."""
    try:
        if sock.family == socket.AF_INET:
            request = socket.inet_aton(group) + socket.inet_aton(host)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        else:
            plain, _, zone = group.partition("%")
            name = zone or interface or host.partition("%")[2] or _holder(host)
            request = socket.inet_pton(socket.AF_INET6, plain) + struct.pack("@I", zones.number(name))
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
    except OSError as error:
        raise CannotRun(f"cannot join the multicast group {group}: {describe(error)}") from error


def _holder(host: str) -> str:
    """The name of the interface that has an IPv6 address; OSError if none has."""
    for name in interface_names():
        for entry in address_entries(name).get(int(socket.AF_INET6), []):
            if entry.get("addr", "").partition("%")[0] == host:
                return name
    raise OSError(f"no interface has the address {host}")
