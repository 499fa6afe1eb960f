"""TCP connections of the operating system on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable
from typing import cast

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, parse_address
from nattools.net.base import IcmpError, LowTtlSyn, StreamHandler, TcpFailure, TcpStream
from nattools.net.eventloop import TimedEvent
from nattools.net.system import linux
from nattools.net.system.oserrors import describe, icmp_failure, tcp_failure
from nattools.net.system.sockets import Zones

_READ_AHEAD = 1 << 18  # bytes that may arrive before somebody reads them: at most so many, and at first
_READ_AHEAD_AT_FIRST = 1 << 12
_BACKLOG = 256
_ACCEPTED_AT_ONCE = 8
"""Connections that are accepted before all else has its turn."""
_UNSENT = 1 << 16
"""Bytes that the kernel takes beyond what the path carries at the time; so much again waits above it. Without
a bound it takes several megabytes, and whatever is written next waits behind them."""
_SEGMENTS = {socket.AF_INET: 1200 - 12, socket.AF_INET6: 1280 - 60}


class HostStream(asyncio.Protocol):
    """`nattools.net.base.TcpStream` over an asyncio transport."""

    def __init__(self, local: Endpoint, remote: Endpoint) -> None:
        self.local = local
        self.remote = remote
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._ahead = 0
        self._ended = False
        self._paused = False
        self._said_all = False
        self._arrived = TimedEvent()
        self._writable: asyncio.Event | None = None  # none: it is

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._look_ahead(_READ_AHEAD_AT_FIRST)

    def _look_ahead(self, size: int) -> None:
        """A reader who takes little at a time lets little be kept for it: asyncio's transports read up to
        `max_size` at once."""
        if size > self._ahead:
            self._ahead = size
            if self._transport is not None and hasattr(self._transport, "max_size"):
                self._transport.max_size = size

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._arrived.set()
        if len(self._received) > self._ahead and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._ended = True
        self._arrived.set()
        return True  # we may still have something to say (RFC 9293 3.6, half-closed connections)

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._ended = True
        self._arrived.set()
        self.resume_writing()

    async def read(self, limit: int = 65536) -> bytes:
        self._look_ahead(min(4 * limit, _READ_AHEAD))
        while not self._received and not self._ended:
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._received[:limit])
        del self._received[:limit]
        if self._paused and len(self._received) <= self._ahead // 2 and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def write(self, data: bytes) -> None:
        """Queue bytes; after the connection's end they are lost."""
        if self._transport is not None and not self.over and not self._said_all:
            self._transport.write(data)

    async def drain(self) -> None:
        while self._writable is not None:
            await self._writable.wait()

    @property
    def over(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def end(self) -> None:
        if self._transport is not None and not self.over and not self._said_all:
            self._said_all = True
            with contextlib.suppress(OSError):  # it was reset, which is told in a moment
                self._transport.write_eof()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            _set_linger_zero(sock)
        self._transport.abort()


def _set_linger_zero(sock: socket.socket) -> None:
    """Closing this socket sends RST (socket(7), SO_LINGER)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def send_promptly(sock: socket.socket) -> None:
    """Nothing that is written waits for long (RFC 9293 3.7.4; tcp(7), TCP_NOTSENT_LOWAT)."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        option = getattr(socket, "TCP_NOTSENT_LOWAT", None)  # Windows has none
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, _UNSENT)


def fit_everywhere(sock: socket.socket) -> None:
    """Neither side sends packets larger than every path carries that carries QUIC (RFC 9000 14). Where larger
    ones are lost and no ICMP says so, a connection would stand still (RFC 2923 2.1); most systems do not look
    for that by themselves (RFC 4821)."""
    option = getattr(socket, "TCP_MAXSEG", None)  # Windows has none
    if option is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, option, _SEGMENTS[sock.family])


async def connect(
    sock: socket.socket, zones: Zones, remote: Endpoint, timeout_s: float, opener: LowTtlSyn | None = None
) -> HostStream | TcpFailure:
    """Connect a bound socket, which is closed if it fails. `opener` is for Linux alone."""
    loop = asyncio.get_running_loop()
    raising = None if opener is None else loop.call_later(opener.seconds, linux.raise_ttl, sock)
    made: list[HostStream] = []

    def make(local: Endpoint) -> HostStream:
        made.append(HostStream(local, remote))
        return made[0]

    try:
        send_promptly(sock)
        here = parse_address(remote.host).is_loopback
        if not here:
            fit_everywhere(sock)
        if opener is not None:
            linux.lower_ttl(sock, opener.ttl, here=here)
        elif linux.AVAILABLE:
            linux.collect_icmp_errors(sock)
        async with asyncio.timeout(timeout_s) as deadline:
            await loop.sock_connect(sock, zones.address(remote))
        if linux.AVAILABLE:
            linux.collect_icmp_errors(sock, False)
        local = zones.endpoint(sock.getsockname())
        _, stream = await loop.create_connection(lambda: make(local), sock=sock)
        return stream
    except OSError as error:  # asyncio's TimeoutError is one
        reported = linux.read_error(sock) if linux.AVAILABLE else None
        sock.close()
        if isinstance(error, TimeoutError) and deadline.expired():
            return TcpFailure("timeout", f"no answer in {timeout_s:g} s")
        if isinstance(reported, IcmpError):
            return icmp_failure(reported)
        return tcp_failure(error)
    except BaseException:
        for stream in made:  # cancelled while the transport was being made: it owns the socket
            stream.abort()
        sock.close()
        raise
    finally:
        if raising is not None:
            raising.cancel()
            linux.raise_ttl(sock)


class HostListener:
    """`nattools.net.base.TcpListener` over a socket of the system."""

    def __init__(self, local: Endpoint, on_stream: StreamHandler) -> None:
        self.local = local
        self._on_stream = on_stream
        self._closed = False
        self._end: Callable[[], None] = lambda: None

    async def start(self, sock: socket.socket, zones: Zones) -> None:
        """Accept from now on. OSError: the system does not let it."""
        loop = asyncio.get_running_loop()
        # asyncio accepts as many at once as the system is told to keep; then it is told to keep more
        server = await loop.create_server(
            lambda: _Accepted(zones, self._take), sock=sock, backlog=_ACCEPTED_AT_ONCE
        )
        sock.listen(_BACKLOG)

        def end() -> None:
            # whom the system has accepted would be lost with a server that is closed before it has made a
            # stream of them, which it does in the loop's next turn (CPython 3.11: `Server._attach`)
            if sys.platform == "win32" or loop.is_closed():
                server.close()
                return
            loop.remove_reader(sock)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # it listens no more
            loop.call_soon(server.close)

        self._end = end

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._end()

    def _take(self, stream: TcpStream) -> None:
        """Who was accepted just before the end belongs to nobody."""
        if self._closed:
            stream.abort()
        else:
            self._on_stream(stream)


class _Accepted(HostStream):
    """A stream that learns its ends, and tells of itself, once it is connected."""

    def __init__(self, zones: Zones, on_stream: StreamHandler) -> None:
        super().__init__(Endpoint("", 0), Endpoint("", 0))
        self._zones = zones
        self._on_stream = on_stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        sock = transport.get_extra_info("socket")
        peer = transport.get_extra_info("peername")
        if peer is None:  # it was reset before it was accepted
            self.abort()
            return
        with contextlib.suppress(OSError):
            send_promptly(sock)
        self.local = self._zones.endpoint(transport.get_extra_info("sockname"))
        self.remote = self._zones.endpoint(peer)
        self._on_stream(self)


async def listen(
    sock: socket.socket, zones: Zones, local: Endpoint, on_stream: StreamHandler
) -> HostListener:
    """Listen on a bound socket, which is closed if it fails. CannotRun: another socket listens there."""
    listener = HostListener(local, on_stream)
    try:
        await listener.start(sock, zones)
    except OSError as error:
        sock.close()
        raise CannotRun(f"cannot listen on {local}: {describe(error)}") from error
    return listener
