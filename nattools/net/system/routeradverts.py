"""What the routers on this machine's links advertise, asked with a solicitation of its own: the kernel tells
of nothing but what it uses itself (Linux, with CAP_NET_RAW)."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress

from nattools.errors import ProtocolError
from nattools.model.host import ConfiguredRouter
from nattools.protocols.nat64 import Nat64Prefix
from nattools.protocols.routeradvert import (
    ADVERTISEMENT,
    ALL_ROUTERS,
    HOP_LIMIT,
    SOLICITATION,
    prefixes_advertised,
)

WAITS_S = (0.6, 1.0, 1.4)
"""A router may take its time, up to half a second, and is silent for up to three seconds after it has
advertised last (RFC 4861 6.2.6). It is asked again only where none is heard, and sooner than by a system
(6.3.7), which has no person waiting."""
_ICMP6_FILTER = 1
_RECVHOPLIMIT, _HOPLIMIT, _MULTICAST_HOPS = 51, 52, 18  # ipv6(7)


def waits_for(routers: Iterable[ConfiguredRouter]) -> Sequence[float]:
    """A system that has all its routers by hand hears none that advertises: one question is enough then."""
    return WAITS_S if any(each.source != "static" for each in routers) else WAITS_S[:1]


def asker(links: Iterable[str]) -> RouterAsker | None:
    """Asks the routers on these interfaces. Call it inside the namespace. None: this process may not."""
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
    found: list[int] = []
    for link in links:
        with suppress(OSError):  # it is gone
            found.append(socket.if_nametoindex(link))
    return RouterAsker(sock, found)


class RouterAsker:
    """A raw socket for ICMPv6, and the interfaces to ask on, by number. Use it once."""

    def __init__(self, sock: socket.socket, links: Sequence[int]) -> None:
        self._socket = sock
        self._links = links
        self._heard = False
        self._told: tuple[Nat64Prefix, ...] = ()
        self._changed = asyncio.Event()

    async def prefixes(self, waits_s: Sequence[float] = WAITS_S) -> tuple[Nat64Prefix, ...]:
        """Those of the first advertisement that has any. Asks again as long as no router is heard, and waits
        so long each time. Closes the socket."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._readable)
        try:
            for wait_s in waits_s:
                self._solicit()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._changed.wait()
                if self._heard:
                    break
            return self._told
        finally:
            loop.remove_reader(self._socket)
            self._socket.close()

    def _solicit(self) -> None:
        for link in self._links:
            with suppress(OSError):  # it is down, or has no IPv6
                self._socket.sendto(SOLICITATION, (ALL_ROUTERS, 0, 0, link))

    def _readable(self) -> None:
        with suppress(OSError, ProtocolError):
            message, ancillary, _, _ = self._socket.recvmsg(65536, 256)
            if not _from_neighbour(ancillary):
                return
            found = prefixes_advertised(message)
            self._heard = True
            if found and not self._told:
                self._told = found
                self._changed.set()


def _from_neighbour(ancillary: Iterable[tuple[int, int, bytes]]) -> bool:
    return any(
        (level, kind) == (socket.IPPROTO_IPV6, _HOPLIMIT)
        and int.from_bytes(data[:4], sys.byteorder) == HOP_LIMIT
        for level, kind, data in ancillary
    )
