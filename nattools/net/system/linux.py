"""What only Linux's sockets give: the error queue with its ICMP errors, and a TTL for one datagram.

Numbers from `linux/in.h`, `linux/in6.h` and `linux/errqueue.h`, which Python's socket module leaves out.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections.abc import Iterable
from typing import Any, Literal

from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import IcmpError
from nattools.net.system.oserrors import describe
from nattools.protocols.icmp import error_kind

AVAILABLE = hasattr(socket, "MSG_ERRQUEUE")

_IP_TTL = 2
_IP_MTU_DISCOVER = 10
_IP_RECVERR = 11
_IP_MINTTL = 21
_IPV6_UNICAST_HOPS = 16
_IPV6_MINHOPCOUNT = 73
_ORDINARY_TTL = 64
LEAST_TTL = 8
_IPV6_MTU_DISCOVER = 23
_IPV6_RECVERR = 25
_IPV6_HOPLIMIT = 52
_IPV6_DONTFRAG = 62
_PMTUDISC_DONT = 0
_PMTUDISC_PROBE = 3

_SOL_UDP = 17
_UDP_SEGMENT = 103
_UDP_GRO = 104
MOST_SEGMENTS = 64
MOST_SEGMENTED = 65_000
_FROM_ICMP = (2, 3)  # SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6
_EXTENDED_ERROR = struct.Struct("=IBBBBII")  # struct sock_extended_err


def collect_icmp_errors(sock: socket.socket, wanted: bool = True) -> None:
    """Queue the ICMP errors about what this socket sends (ip(7), IP_RECVERR), or stop it; none come where the
    kernel refuses that (`refused`).

    Of a TCP socket, those about its SYN come (since Linux 5.8). Stop it once it is connected: a passing
    network problem would end the connection."""
    with contextlib.suppress(OSError):
        _set_collecting(sock, wanted)


def _set_collecting(sock: socket.socket, wanted: bool) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, int(wanted))
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, int(wanted))


def refused(capability: Literal["icmp-errors", "ttl", "dont-fragment"]) -> str | None:
    """Why there is no such thing here, in the kernel's words (a filter or a container may refuse an option);
    None: there is."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            match capability:
                case "icmp-errors":
                    _set_collecting(sock, True)
                case "ttl":
                    lower_ttl(sock, LEAST_TTL)
                case "dont-fragment":
                    set_fragmentation(sock, True)
    except OSError as error:
        return describe(error)
    return None


def lower_ttl(sock: socket.socket, ttl: int, *, here: bool = False) -> None:
    """What this TCP socket sends expires after `ttl` hops, and the ICMP errors about it do not end the
    attempt to connect: those whose quoted TTL is below the least that is accepted are ignored. Of IPv6 the
    kernel looks at the error's own hop limit instead, so that until `raise_ttl` nobody is heard there but who
    sends with 255. `here`: it goes to this machine itself, where there are no routers."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_UNICAST_HOPS, ttl)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, LEAST_TTL if here else 255)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_TTL, ttl)
        sock.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, LEAST_TTL)


def raise_ttl(sock: socket.socket) -> None:
    """Back to the system's own TTL; nothing for a closed socket. The least TTL of IPv4 stays until the end:
    an error about the opener may be late."""
    if sock.fileno() < 0:
        return
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_UNICAST_HOPS, -1)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, 0)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_TTL, _ORDINARY_TTL)


def set_fragmentation(sock: socket.socket, dont_fragment: bool) -> None:
    """With `dont_fragment` no router may fragment, and the path MTUs that the kernel remembers do not count;
    without it every router may (Linux's own default sets the bit on most datagrams)."""
    mode = _PMTUDISC_PROBE if dont_fragment else _PMTUDISC_DONT
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, mode)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, int(dont_fragment))
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, mode)


def ttl_ancillary(family: int, ttl: int) -> list[tuple[int, int, bytes]]:
    """Ancillary data for `sendmsg` that gives one datagram its TTL or hop limit (ip(7), RFC 3542 6.3)."""
    value = struct.pack("=i", ttl)
    if family == socket.AF_INET6:
        return [(socket.IPPROTO_IPV6, _IPV6_HOPLIMIT, value)]
    return [(socket.IPPROTO_IP, _IP_TTL, value)]


def read_error(sock: socket.socket) -> IcmpError | Literal["local"] | None:
    """Take one error from the queue: None when it is empty, "local" for one that no packet brought."""
    try:
        quoted, ancillary, _, destination = sock.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return None
    return icmp_error(quoted, ancillary, destination) or "local"


def icmp_error(
    quoted: bytes, ancillary: Iterable[tuple[int, int, bytes]], destination: Any
) -> IcmpError | None:
    """Read an entry of the error queue; None if it did not come by ICMP.

    `quoted` is the payload that the error quotes, `destination` the socket address that it was sent to."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_RECVERR):
            return _icmp_error(4, data, quoted, destination)
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_RECVERR):
            return _icmp_error(6, data, quoted, destination)
    return None


def _icmp_error(family: Family, data: bytes, quoted: bytes, destination: Any) -> IcmpError | None:
    _, origin, icmp_type, icmp_code, _, info, _ = _EXTENDED_ERROR.unpack_from(data)
    if origin not in _FROM_ICMP:
        return None
    kind = error_kind(family, icmp_type, icmp_code)
    return IcmpError(
        kind=kind,
        icmp_type=icmp_type,
        icmp_code=icmp_code,
        offender=_offender(data[_EXTENDED_ERROR.size :]),
        destination=Endpoint(destination[0], destination[1]),
        quoted=quoted,
        mtu=info if kind == "too-big" and info else None,
    )


def _offender(address: bytes) -> str | None:
    """The address in a `struct sockaddr_in` or `sockaddr_in6`; None if it is neither."""
    family = int.from_bytes(address[:2], "little" if struct.pack("=H", 1)[0] else "big")
    if family == socket.AF_INET and len(address) >= 8:
        return socket.inet_ntop(socket.AF_INET, address[4:8])
    if family == socket.AF_INET6 and len(address) >= 24:
        return socket.inet_ntop(socket.AF_INET6, address[8:24])
    return None


def segmented(size: int) -> list[tuple[int, int, bytes]]:
    """Ancillary data for `sendmsg`: what is sent is datagrams of `size` bytes (udp(7), UDP_SEGMENT)."""
    return [(_SOL_UDP, _UDP_SEGMENT, struct.pack("=H", size))]


def collect_segments(sock: socket.socket) -> bool:
    """Let datagrams of one source arrive many at once (udp(7), UDP_GRO). False: the kernel does not do it."""
    try:
        sock.setsockopt(_SOL_UDP, _UDP_GRO, 1)
    except OSError:
        return False
    return True


def segment_size(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The size of each of several datagrams that arrived in one; None: it is a single datagram."""
    for level, kind, data in ancillary:
        if level == _SOL_UDP and kind == _UDP_GRO:
            return int.from_bytes(data[:2], sys.byteorder)
    return None
