"""A connection to a peer and its streams, each of which is a `TcpStream`, so that one connection can go
through a stream of another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, NamedTuple

from nattools.errors import ProtocolError
from nattools.net.base import TcpStream
from nattools.net.eventloop import TimeLimit
from nattools.protocols.libp2p.multistream import Negotiation
from nattools.protocols.libp2p.peerid import PeerId
from nattools.protocols.libp2p.peersession import PeerSession, PeerStage
from nattools.protocols.libp2p.uvarint import DelimitedReader, delimited
from nattools.protocols.libp2p.yamux import (
    StreamData,
    StreamEnded,
    StreamOpened,
    StreamReset,
    WindowOpened,
    YamuxEvent,
)

NEGOTIATION_S: Final = 10.0
UNREAD_S: Final = 10.0
"""A peer that does not read for so long what it is told is gone."""
_PIECE: Final = 16_384

Spawn = Callable[[Coroutine[Any, Any, None]], object]


class PeerFailure(NamedTuple):
    """Why there is no connection to a peer: at which `stage`, how ("timeout", "closed", "protocol"), and in
    words."""

    stage: PeerStage
    cause: str
    detail: str = ""


class MuxStream:
    """`nattools.net.base.TcpStream`: one stream of a connection. `protocol`: what it is for."""

    def __init__(self, connection: Libp2pConnection, number: int) -> None:
        self.local, self.remote = connection.local, connection.remote
        self.protocol = ""
        self.number = number
        self.connection = connection
        self._received = bytearray()
        self._ended = False
        self._reset = False
        self._closed = False
        self._arrived = asyncio.Event()
        self._moved = asyncio.Event()

    async def read(self, limit: int = 65536) -> bytes:
        """Some bytes; b"" at the end of the stream, also after a reset."""
        while not self._received and not self._ended:
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._received[:limit])
        del self._received[:limit]
        self.connection.consumed(self.number, len(data))
        return data

    def write(self, data: bytes) -> None:
        """Queue bytes; never raises for a network failure."""
        if not self.over:
            self.connection.send(self.number, data)

    async def drain(self) -> None:
        """Wait until the other end has taken what waits, or the stream is over."""
        while not self.over and self.connection.waiting(self.number):
            self._moved.clear()
            await self._moved.wait()
        await self.connection.drain()

    @property
    def over(self) -> bool:
        """Can nothing that is written arrive any more?"""
        return self._reset or self._closed

    @property
    def was_reset(self) -> bool:
        """Has the other end given it up, or the connection ended?"""
        return self._reset

    def end(self) -> None:
        """Say no more. Idempotent."""
        self.connection.end(self.number)

    def close(self) -> None:
        """Say no more, and read no more. Idempotent."""
        if not self._closed:
            self._closed = True
            self.connection.end(self.number)
            self.connection.consumed(self.number, len(self._received))
            self._received.clear()
            self._ended = True
            self._arrived.set()
            self._moved.set()

    def abort(self) -> None:
        """Give it up, both ways. Idempotent."""
        self._closed = True
        self.connection.reset(self.number)
        self.take_end(reset=True)

    def unread(self, data: bytes) -> None:
        """Put back what was read too much."""
        self._received[:0] = data
        self._arrived.set()

    # --- for the connection

    def take(self, data: bytes) -> None:
        """The other end said that. Who goes on when nobody reads any more is told so."""
        if self._closed:
            self.abort()
            return
        self._received += data
        self._arrived.set()

    def take_end(self, *, reset: bool) -> None:
        """It says no more."""
        self._ended = True
        self._reset = self._reset or reset
        self._arrived.set()
        self._moved.set()

    def take_window(self) -> None:
        """It takes more."""
        self._moved.set()


StreamServer = Callable[[MuxStream], Awaitable[None]]
"""Serves a stream that a peer has opened; ProtocolError resets it. It is closed afterwards."""


class Libp2pConnection:
    """A secured connection with streams, until `close`, or until `ended` is set. `relayed`: it goes through
    a relay. `servers` by protocol serve the streams that the peer opens."""

    def __init__(
        self,
        stream: TcpStream,
        session: PeerSession,
        peer: PeerId,
        servers: Mapping[str, StreamServer],
        spawn: Spawn,
        *,
        relayed: bool,
    ) -> None:
        self.peer, self.relayed = peer, relayed
        self.local, self.remote = stream.local, stream.remote
        self.ended = asyncio.Event()
        self.idle_s: float | None = None
        self._stream = stream
        self._session = session
        self._servers = servers
        self._spawn = spawn
        self._streams: dict[int, MuxStream] = {}

    async def open(self, *protocols: str, timeout_s: float) -> MuxStream | None:
        """A stream for the first of these protocols that the peer has; None: it has none, or it does not
        answer in time."""
        if self.ended.is_set():
            return None
        stream = MuxStream(self, self._session.streams.open())
        self._streams[stream.number] = stream
        agreed = False
        try:
            async with TimeLimit(timeout_s):
                agreed = await _agree(stream, Negotiation(proposed=protocols))
        except ProtocolError:
            pass
        finally:
            if not agreed:
                stream.abort()
        return stream if agreed else None

    def close(self) -> None:
        """Idempotent."""
        if not self.ended.is_set():
            self._session.streams.go_away()
            self._flush()
            self._finish()
            self._stream.close()

    async def run(self, first: list[YamuxEvent]) -> None:
        """Read until the end, which also comes if nothing is said for `idle_s` seconds. A peer that breaks
        the protocol is reset."""
        try:
            self._dispatch(first)
            while not self.ended.is_set():
                self._flush()
                async with TimeLimit(UNREAD_S) as limit:
                    await self._stream.drain()
                if limit.expired():
                    self._stream.abort()
                    return
                data = await self._heard()
                if not data:
                    return
                self._dispatch(self._session.receive(data))
        except ProtocolError:
            self._stream.abort()
        finally:
            self._finish()
            self._stream.close()

    async def _heard(self) -> bytes:
        """What is said next; nothing if it is silent for too long, by what that is in the end."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while self.idle_s is None or loop.time() < began + self.idle_s:
            left_s = None if self.idle_s is None else began + self.idle_s - loop.time()
            async with TimeLimit(left_s) as limit:
                return await self._stream.read(_PIECE)
            assert limit.expired()
        return b""

    def _dispatch(self, events: list[YamuxEvent]) -> None:
        for event in events:
            if isinstance(event, StreamOpened):
                stream = self._streams[event.stream] = MuxStream(self, event.stream)
                self._spawn(self._serve(stream))
                continue
            known = self._streams.get(getattr(event, "stream", 0))
            if isinstance(event, StreamData):
                if known is None:
                    self.consumed(event.stream, len(event.data))
                else:
                    known.take(event.data)
            elif known is not None and isinstance(event, WindowOpened):
                known.take_window()
            elif known is not None and isinstance(event, StreamEnded):
                known.take_end(reset=False)
                self._forget_if_over(event.stream)
            elif known is not None and isinstance(event, StreamReset):
                known.take_end(reset=True)
                del self._streams[event.stream]

    async def _serve(self, stream: MuxStream) -> None:
        try:
            agreed = False
            async with TimeLimit(NEGOTIATION_S):
                agreed = await _agree(stream, Negotiation(offered=self._servers))
            if agreed:
                await self._servers[stream.protocol](stream)
        except ProtocolError:
            stream.abort()
        finally:
            stream.close()

    def _finish(self) -> None:
        self.ended.set()
        for stream in list(self._streams.values()):
            stream.take_end(reset=True)
        self._streams.clear()

    def _flush(self) -> None:
        data = self._session.data_to_send()
        if data:
            self._stream.write(data)

    # --- for its streams

    def send(self, number: int, data: bytes) -> None:
        """Queue bytes of a stream."""
        self._session.streams.send(number, data)
        self._flush()

    def waiting(self, number: int) -> int:
        """Bytes of a stream that the other end does not take yet."""
        return self._session.streams.waiting(number)

    def consumed(self, number: int, count: int) -> None:
        """So many bytes of a stream were read."""
        if count and not self.ended.is_set():
            self._session.streams.consume(number, count)
            self._flush()

    def end(self, number: int) -> None:
        """Say no more on a stream."""
        self._session.streams.end(number)
        self._forget_if_over(number)
        self._flush()

    def reset(self, number: int) -> None:
        """Give a stream up."""
        self._session.streams.reset(number)
        self._streams.pop(number, None)
        self._flush()

    async def drain(self) -> None:
        """Wait until the connection takes more."""
        await self._stream.drain()

    def _forget_if_over(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is not None and not self._session.streams.has(number):
            stream.take_end(reset=False)
            del self._streams[number]


async def establish(
    stream: TcpStream,
    session: PeerSession,
    servers: Mapping[str, StreamServer],
    spawn: Spawn,
    *,
    timeout_s: float,
    first: bytes = b"",
    relayed: bool = False,
    idle_s: float | None = None,
) -> Libp2pConnection | PeerFailure:
    """Make a connection of a stream, of which `first` was read already; it is reset if that fails, and else
    read from then on, in the background. `idle_s`: one on which nothing is said for so long ends."""
    cause, detail = "timeout", ""
    events: list[YamuxEvent] = []
    try:
        async with TimeLimit(timeout_s):
            while session.stage != "ready":
                stream.write(session.data_to_send())
                data, first = first or await stream.read(_PIECE), b""
                if not data:
                    cause = "closed"
                    break
                events = session.receive(data)
    except ProtocolError as error:
        cause, detail = "protocol", str(error)
    except BaseException:
        stream.abort()
        raise
    if cause == "protocol" or session.stage != "ready" or session.peer is None:
        stream.abort()
        return PeerFailure(session.stage, cause, detail)
    connection = Libp2pConnection(stream, session, session.peer, servers, spawn, relayed=relayed)
    connection.idle_s = idle_s
    spawn(connection.run(events))
    return connection


async def _agree(stream: MuxStream, negotiation: Negotiation) -> bool:
    """On what a stream is for. ProtocolError: the other end does not speak so."""
    while not negotiation.over:
        stream.write(negotiation.data_to_send())
        data = await stream.read(1024)
        if not data:
            return False
        negotiation.receive(data)
    stream.write(negotiation.data_to_send())
    if negotiation.rest:
        stream.unread(negotiation.rest)
    stream.protocol = negotiation.chosen or ""
    return bool(stream.protocol)


class StreamMessages:
    """Messages with their length in front, over a stream; `most` bytes each."""

    def __init__(self, stream: TcpStream, most: int) -> None:
        self.stream = stream
        self._reader = DelimitedReader(most)

    async def read(self) -> bytes | None:
        """The next one; None at the end. ProtocolError: it is too long."""
        while (message := self._reader.next()) is None:
            data = await self.stream.read(4096)
            if not data:
                return None
            self._reader.feed(data)
        return message

    async def expect(self) -> bytes:
        """The next one. ProtocolError: there is none."""
        message = await self.read()
        if message is None:
            raise ProtocolError("the stream ends where a message belongs")
        return message

    def write(self, message: bytes) -> None:
        """Queue one."""
        self.stream.write(delimited(message))

    @property
    def rest(self) -> bytes:
        """What was read behind the last message."""
        return self._reader.rest
