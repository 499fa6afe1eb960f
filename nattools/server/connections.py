"""Clients' TCP connections, of which no more is read than their source may make the server do; and STUN on
them: several requests a connection, a time limit for silence, a cap on connections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Coroutine
from typing import Any, Final
from weakref import ref

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpStream
from nattools.net.eventloop import TimeLimit
from nattools.protocols import turn
from nattools.protocols.turn import TurnFramer
from nattools.server.limits import RateLimit, Slot, Slots

Answer = Callable[[bytes, TcpStream], bytes | Awaitable[bytes | None] | None]
"""The framed answer to a framed message, or what gives it, before which nothing more is read; None: there is
none. ProtocolError: it was no message at all."""
NonStunHandler = Callable[[TcpStream, bytes], Awaitable[None]]
"""Serves a connection that does not begin with STUN, and closes it; of what it says, this was read."""
_FOREIGN: Final = bytes(range(4, 256))
"""RFC 7983 7: a first byte up to 3 is STUN's; TLS begins with 22, and an HTTP request with a letter."""
CHANNELS: Final = range(turn.FIRST_CHANNEL >> 8, (turn.constants.LAST_OLD_CHANNEL >> 8) + 1)
"""The first bytes of clients' ChannelData."""
_PIECE: Final = 1024
"""Bytes that are read and worked on before everybody else has a turn: some 50 requests."""
_TURNS: Final = 2
"""Connections that are worked on before UDP has its turn again."""
_PAUSE_S: Final = 0.05
_MANY: Final = 256
_MANY_GONE_S: Final = 10.0
"""So long after so many connections most of them are gone again."""
UNTAKEN_S: Final = 10.0
"""So long one whose connection was closed may leave unread what it was sent."""


def close_within(stream: TcpStream) -> None:
    """Close it, and reset it unless what was written leaves in `UNTAKEN_S`: one who reads nothing would hold
    for ever a connection that is in no table any more, and a descriptor of the server's with it.

    It is the network's own, none within another: while it has something to send the event loop holds it,
    and what has nothing is free at once, since thousands may come and go in those seconds."""
    stream.close()
    asyncio.get_running_loop().call_later(UNTAKEN_S, _abort, ref(stream))


def _abort(stream: ref[TcpStream]) -> None:
    if (still := stream()) is not None:
        still.abort()


class ClientFramer(TurnFramer):
    """As far as RFC 5766's clients have channels: nothing else shares the connection."""

    CHANNELS = CHANNELS


class Reception:
    """Admits clients' connections, so many a second, and so many bytes of them; of those whose both ends are
    in `proven` as many as come. `after_many` is called a little after some hundred of them."""

    def __init__(
        self,
        arrivals: RateLimit,
        octets: RateLimit,
        proven: Container[tuple[Endpoint, Endpoint]] = (),
        after_many: Callable[[], object] = lambda: None,
    ) -> None:
        self._arrivals = arrivals
        self._octets = octets
        self._proven = proven
        self._after_many = after_many
        self._admitted = 0
        self._turns = asyncio.Semaphore(_TURNS)
        self._time = asyncio.get_running_loop().time

    def admit(self, stream: TcpStream) -> TcpStream | None:
        """The stream to serve; None: it was one too many, and is reset."""
        if self._arrivals.take(stream.remote, self._time()):
            self._admitted += 1
            if self._admitted == _MANY:
                asyncio.get_running_loop().call_later(_MANY_GONE_S, self._many)
            return _PacedStream(stream, self)
        stream.abort()
        return None

    def _many(self) -> None:
        self._admitted = 0
        self._after_many()

    async def read(self, stream: TcpStream, limit: int) -> bytes:
        """A small piece of what it says, when its source may say so much and others had their turn. Nor is
        one waited for that is gone: what it had said too much would be worked on for minutes, and answered to
        nobody."""
        if (stream.local, stream.remote) in self._proven:
            return await stream.read(limit)
        data = await stream.read(min(limit, _PIECE))
        while data and not self._octets.take(stream.remote, self._time(), len(data)):
            if stream.over:
                return b""
            await asyncio.sleep(_PAUSE_S)
        async with self._turns:
            await asyncio.sleep(0)
        return data


class _PacedStream:
    """A stream that is read through `Reception.read`: what comes when its source has said too much stays with
    the client's system (RFC 9293 3.8.6). `close` is `close_within`."""

    __slots__ = ("_closed", "_reception", "_stream", "local", "remote")

    def __init__(self, stream: TcpStream, reception: Reception) -> None:
        self.local, self.remote = stream.local, stream.remote
        self._stream = stream
        self._reception = reception
        self._closed = False

    async def read(self, limit: int = 65536) -> bytes:
        return await self._reception.read(self._stream, limit)

    def write(self, data: bytes) -> None:
        self._stream.write(data)

    async def drain(self) -> None:
        await self._stream.drain()

    @property
    def over(self) -> bool:
        return self._stream.over

    def end(self) -> None:
        self._stream.end()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            close_within(self._stream)

    def abort(self) -> None:
        self._stream.abort()


async def converse(
    stream: TcpStream,
    answer: Answer,
    slots: Slots,
    *,
    patience_s: Callable[[TcpStream], float],
    other: NonStunHandler | None = None,
) -> None:
    """Serve an accepted connection until the client ends it, breaks the protocol, or completes no message in
    `patience_s` seconds. A source beyond its share of `slots` is reset, and so is one that does not read
    what it asked for, or that is idle when another needs its slot.

    What does not begin as STUN does is for `other`, if there is one; it gives the slot here back."""
    slot = slots.enter(stream.remote, stream.abort)
    if slot is None:
        stream.abort()
        return
    foreign = b""
    try:
        foreign = await _answer(stream, answer, slot, patience_s, b"" if other is None else _FOREIGN)
    except ProtocolError:
        pass
    finally:
        slot.leave()
        if not foreign:
            stream.close()
    if other is not None and foreign:
        await other(stream, foreign)


async def _answer(
    stream: TcpStream,
    answer: Answer,
    slot: Slot,
    patience_s: Callable[[TcpStream], float],
    foreign: bytes,
) -> bytes:
    """Until the end; or what the stream begins with, if its first byte is one of `foreign`."""
    writing = False
    loop, framer = asyncio.get_running_loop(), ClientFramer()
    async with TimeLimit(patience_s(stream)) as limit:
        while data := await stream.read():
            if data[0] in foreign:
                return data
            foreign = b""
            messages = framer.feed(data)
            replies: list[bytes] = []
            for message in messages:
                reply = answer(message, stream)
                if reply is not None and not isinstance(reply, bytes):
                    limit.reschedule(None)
                    reply = await reply
                if reply is not None:
                    replies.append(reply)
            if messages:
                limit.reschedule(loop.time() + patience_s(stream))
                slot.use()
            writing = True
            if replies:
                stream.write(b"".join(replies))
                await stream.drain()
            writing = False
    if limit.expired() and writing:
        stream.abort()
    return b""


class BackgroundTasks:
    """Runs coroutines until `close`, which cancels them and waits for their end.

    One that fails is reported to the event loop's exception handler and takes no other with it.
    """

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Call this first."""
        started = asyncio.Event()
        self._keeper = asyncio.get_running_loop().create_task(self._keep(started))
        await started.wait()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it in the background; after `close` not at all."""
        if self._group is None:
            work.close()
        else:
            self._group.create_task(_guard(work))

    async def close(self) -> None:
        """Cancel what runs and wait for it. Idempotent."""
        self._group = None
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])

    async def _keep(self, started: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            started.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None


async def _guard(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:
        report_fault("a task of the server failed", error)


def report_fault(what: str, error: Exception) -> None:
    """Tell the event loop's exception handler; the server goes on."""
    asyncio.get_running_loop().call_exception_handler({"message": what, "exception": error})
