"""What the routers on this machine's links advertise, asked with a solicitation of its own: the kernel tells
of nothing but what it uses itself (Linux, with CAP_NET_RAW)."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress

from nattools.errors import ProtocolError
from nattools.protocols.nat64 import Nat64Prefix
from nattools.protocols.routeradvert import (
    ADVERTISEMENT,
    ALL_ROUTERS,
    HOP_LIMIT,
    SOLICITATION,
    prefixes_advertised,
)

WAIT_S = 0.6
"""A router may take its time, up to half a second (RFC 4861 6.2.6)."""
_ICMP6_FILTER = 1
_RECVHOPLIMIT, _HOPLIMIT, _MULTICAST_HOPS = 51, 52, 18  # ipv6(7)


def open_socket(links: Iterable[str]) -> socket.socket | None:
    """A socket that hears advertisements, with a solicitation sent on each of these interfaces. Call it
    inside the namespace. None: this process may not."""
    if sys.platform != "linux":
        return None
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    except OSError:
        return None
    sock.setblocking(False)
    with suppress(OSError):
        blocked = bytearray(b"\xff" * 32)
        word = ADVERTISEMENT // 32
        mask = 0xFFFFFFFF & ~(1 << ADVERTISEMENT % 32)
        blocked[4 * word : 4 * word + 4] = struct.pack("=I", mask)
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, bytes(blocked))
        sock.setsockopt(socket.IPPROTO_IPV6, _RECVHOPLIMIT, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, _MULTICAST_HOPS, HOP_LIMIT)
    for link in links:
        with suppress(OSError):  # it is down, or has no IPv6
            sock.sendto(SOLICITATION, (ALL_ROUTERS, 0, 0, socket.if_nametoindex(link)))
    return sock


async def advertised(sock: socket.socket, wait_s: float = WAIT_S) -> tuple[Nat64Prefix, ...]:
    """The prefixes of the first advertisement that has any. Closes the socket."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[tuple[Nat64Prefix, ...]] = loop.create_future()

    def readable() -> None:
        with suppress(OSError, ProtocolError):
            message, ancillary, _, _ = sock.recvmsg(65536, 256)
            found = prefixes_advertised(message) if _from_neighbour(ancillary) else ()
            if found and not heard.done():
                heard.set_result(found)

    loop.add_reader(sock, readable)
    try:
        async with asyncio.timeout(wait_s):
            return await heard
    except TimeoutError:
        return ()
    finally:
        loop.remove_reader(sock)
        sock.close()


def _from_neighbour(ancillary: Iterable[tuple[int, int, bytes]]) -> bool:
    return any(
        (level, kind) == (socket.IPPROTO_IPV6, _HOPLIMIT)
        and int.from_bytes(data[:4], sys.byteorder) == HOP_LIMIT
        for level, kind, data in ancillary
    )
