"""Multicast groups of a socket: joining them, and by which interface it sends to them."""

from __future__ import annotations

import socket
import struct

from nattools.errors import CannotRun
from nattools.net.binding import Zones
from nattools.net.failures import describe


def send_by(sock: socket.socket, host: str) -> None:
    """What the socket sends to IPv4 groups leaves by the interface that has the address `host`. (For IPv6 the
    zone in the destination says it.)"""
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
        raise CannotRun(f"cannot join the group {group}: {describe(error)}") from error


def _holder(host: str) -> str:
    """The name of the interface that has an IPv6 address; OSError if none has."""
    import netifaces

    for name in netifaces.interfaces():
        for entry in netifaces.ifaddresses(name).get(int(socket.AF_INET6), []):
            if entry.get("addr", "").partition("%")[0] == host:
                return str(name)
    raise OSError(f"no interface has the address {host}")
