"""UDP datagrams that leave as fragments of a chosen size, or with an IPv6 extension header (Linux)."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator
from typing import Any, Final

from nattools.model.packetform import PacketForm
from nattools.net.system import linux
from nattools.net.system.oserrors import describe

LEAST_MTU: Final = 1280
"""Every IPv6 link takes so many bytes (RFC 8200 5), so that no router has to refuse a fragment for its
size."""
_IPV6_MTU: Final = 24  # ipv6(7)
_IPV6_DSTOPTS: Final = 59
_PATH_MTU: Final[dict[int, tuple[int, int]]] = {
    socket.AF_INET: (socket.IPPROTO_IP, 14),  # ip(7), IP_MTU
    socket.AF_INET6: (socket.IPPROTO_IPV6, _IPV6_MTU),
}
_UDP_HEADERS: Final[dict[int, int]] = {socket.AF_INET: 28, socket.AF_INET6: 48}
_PADDING_ALONE: Final = bytes((0, 0, 1, 4, 0, 0, 0, 0))
"""A destination options header: next header (the system's to fill in), length, PadN (RFC 8200 4.2)."""


def send(sock: socket.socket, data: bytes, address: tuple[Any, ...], form: PacketForm) -> None:
    """OSError: it did not leave, or would have left whole. What is larger than the path's MTU, as far as the
    system knows that, is fragmented; over IPv6 into the least. Call it inside the socket's namespace."""
    if form == "destination-options":
        ancillary = [(socket.IPPROTO_IPV6, _IPV6_DSTOPTS, _PADDING_ALONE)]
        sock.sendmsg([data], ancillary, 0, address)
        return
    with socket.socket(sock.family, socket.SOCK_DGRAM) as asked:
        asked.connect(address)
        level, option = _PATH_MTU[sock.family]
        if len(data) + _UDP_HEADERS[sock.family] <= asked.getsockopt(level, option):
            raise OSError(errno.EINVAL, "it fits a packet")
    with _least_fragments(sock):
        sock.sendto(data, address)


@contextlib.contextmanager
def _least_fragments(sock: socket.socket) -> Iterator[None]:
    if sock.family != socket.AF_INET6:
        yield
        return
    _limit(sock, LEAST_MTU)
    try:
        yield
    finally:
        _limit(sock, 0)


def _limit(sock: socket.socket, size: int) -> None:
    sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU, struct.pack("=i", size))


def missing(form: PacketForm) -> str | None:
    """Why this system does not send such packets, or not for this user; None: it does. Call it inside the
    namespace."""
    if not linux.AVAILABLE:
        return "nattools chooses the form of packets on Linux alone"
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            if form == "destination-options":
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DSTOPTS, _PADDING_ALONE)
            else:
                _limit(sock, LEAST_MTU)
    except PermissionError:
        return "it takes root or CAP_NET_RAW to send extension headers"
    except OSError as error:
        return f"this system does not send such packets: {describe(error)}"
    return None
