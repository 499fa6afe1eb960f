"""A stream of the tunnel joined to what is outside of it: a TCP connection, or a UDP conversation whose
datagrams go beside the stream, or within it with their lengths before them (RFC 4571 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Transport
from nattools.net.base import Network, TcpFailure, TcpStream
from nattools.net.eventloop import TimeLimit
from nattools.traversal.forwardspec import written
from nattools.traversal.tunnel.stream import TunnelStream
from nattools.traversal.tunnel.tunnel import Tunnel

CONNECT_S: Final = 10.0
_ADDRESSES_TRIED: Final = 4
_LOOPBACK: Final = ("127.0.0.1", "::1")  # RFC 6761 6.3


async def join(
    tunnel: Tunnel, network: Network, stream: TunnelStream, transport: Transport, host: str, port: int
) -> str | None:
    """Until the stream is over. None if all went well, else why not. CannotRun: the place cannot be had."""
    place = written(transport, host, port)
    addresses = _LOOPBACK if host.rstrip(".").lower() == "localhost" else await network.resolve(host)
    if isinstance(addresses, str):
        raise CannotRun(f"{place}: {addresses}")
    if transport == "udp":
        return await _datagrams(tunnel, network, stream, Endpoint(addresses[0], port))
    tcp = await _connect(network, place, [Endpoint(address, port) for address in addresses])
    return await splice(stream, tcp)


async def _connect(network: Network, place: str, candidates: list[Endpoint]) -> TcpStream:
    reason = "it has no address"
    for remote in candidates[:_ADDRESSES_TRIED]:
        tcp = await network.connect_tcp(remote, timeout_s=CONNECT_S)
        if not isinstance(tcp, TcpFailure):
            return tcp
        reason = f"{tcp.outcome} {tcp.detail}"
    raise CannotRun(f"{place}: {reason}")


async def _datagrams(tunnel: Tunnel, network: Network, stream: TunnelStream, target: Endpoint) -> str | None:
    socket = await network.open_udp(family=target.family)
    flow = Flow(tunnel, stream, lambda data: socket.send(data, target))

    def arrived(data: bytes, source: Endpoint) -> None:
        if source == target:
            flow.send(data)

    socket.on_datagram = arrived
    try:
        flow.welcome()
        return await flow.run()
    finally:
        socket.close()


_LOST: Final = "the connection behind the tunnel was reset"


async def splice(stream: TunnelStream, tcp: TcpStream) -> str | None:
    """Until both directions have ended. None if all went well, else why not; both are closed then."""
    try:
        return await _Splice(stream, tcp).run()
    except asyncio.CancelledError:
        stream.reset("the other side stopped")
        raise
    finally:
        if stream.failed is None:
            tcp.close()
        else:
            tcp.abort()


class _Splice:
    def __init__(self, stream: TunnelStream, tcp: TcpStream) -> None:
        self._stream = stream
        self._tcp = tcp
        self._ended_inward = False

    async def run(self) -> str | None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._outward())
            await self._inward()
        return await self._stream.finished()

    async def _outward(self) -> None:
        """From the connection into the tunnel."""
        while data := await self._tcp.read():
            self._stream.write(data)
            await self._stream.drain()
        if self._tcp.over and not self._ended_inward:
            self._stream.reset(_LOST)  # an end would say that this was all
        else:
            self._stream.end()

    async def _inward(self) -> None:
        """From the tunnel to the connection."""
        while data := await self._stream.read():
            self._tcp.write(data)
            await self._tcp.drain()
            if self._tcp.over:
                self._stream.reset(_LOST)
        if self._stream.failed is None:
            self._ended_inward = True
            self._tcp.end()
        else:
            self._tcp.abort()  # ends the reading, too


IDLE_S: Final = 60.0
_MOST_KEPT: Final = 262_144
"""Bytes of datagrams that may wait in the stream: more are dropped, as any network would."""


class Flow:
    """`deliver` is given what comes; `send` takes what is to go. `run` ends when nothing has gone either way
    for `IDLE_S`, or the stream is over; it returns why it failed, or None.

    Datagrams go beside the stream, as the connection's own, as soon as the other side is known to have heard
    of the stream and if they fit; else within it, where they are framed (RFC 4571) and cannot be lost.
    """

    def __init__(self, tunnel: Tunnel, stream: TunnelStream, deliver: Callable[[bytes], object]) -> None:
        self.stream = stream
        self._tunnel = tunnel
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._used_at = self._loop.time()
        self._heard = False
        stream.on_datagram = self._arrived

    def welcome(self) -> None:
        """Let the other side know that this one has heard of the stream."""
        self._heard = True
        self.stream.write(frame(b""))

    def send(self, data: bytes) -> None:
        """One datagram."""
        self._used_at = self._loop.time()
        if self._heard and len(data) <= self._tunnel.max_datagram:
            self.stream.send_datagram(data)
        elif self.stream.kept + len(data) <= _MOST_KEPT:
            self.stream.write(frame(data))

    async def run(self) -> str | None:
        """See the class."""
        deframer = DatagramDeframer()
        while (left_s := self._used_at + IDLE_S - self._loop.time()) > 0:
            async with TimeLimit(left_s) as limit:
                data = await self.stream.read()
            if limit.expired():
                continue
            if not data:
                break
            self._heard = True
            for datagram in deframer.feed(data):
                self._arrived(datagram)
        self.stream.on_datagram = None
        self.stream.end()
        return self.stream.failed

    def _arrived(self, data: bytes) -> None:
        self._heard = True
        self._used_at = self._loop.time()
        self._deliver(data)


MAX_FRAME: Final = 0xFFFF


def frame(data: bytes) -> bytes:
    """One datagram for the stream. ValueError: longer than 65,535 bytes."""
    if len(data) > MAX_FRAME:
        raise ValueError(f"{len(data)} bytes do not fit into a frame")
    return len(data).to_bytes(2, "big") + data


class DatagramDeframer:
    """Cuts a stream into datagrams. It never holds more than one frame and what was fed last."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The datagrams that are complete now, empty ones left out."""
        self._buffer += data
        frames, position = [], 0
        while len(self._buffer) >= position + 2:
            end = position + 2 + int.from_bytes(self._buffer[position : position + 2], "big")
            if len(self._buffer) < end:
                break
            if end > position + 2:
                frames.append(bytes(self._buffer[position + 2 : end]))
            position = end
        del self._buffer[:position]
        return frames
