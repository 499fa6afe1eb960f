"""Runs a tunnel's session over one link after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from nattools.errors import CannotRun, ProtocolError
from nattools.net.eventloop import TimeLimit
from nattools.protocols import tunnel as p
from nattools.protocols.tunnel.streams import PIECE
from nattools.traversal.links.link import Changes, Link
from nattools.traversal.tunnel.stream import TunnelStream

T = TypeVar("T")
HELLO_WITHIN_S: Final = 15.0
FINISH_WITHIN_S: Final = 10.0
_LAST_WORDS_S: Final = 2.0
_READ: Final = 262_144
_MOST_TASKS: Final = 4 * p.MAX_STREAMS
"""Streams that the peer opens and resets at once leave their work behind, to end by itself."""
FLOW_SIZE: Final = 4
"""Bytes before the payload of a datagram: the number of its stream."""
Handler = Callable[[TunnelStream], Awaitable[None]]

_REFUSALS: Final[dict[type[p.Purpose], str]] = {
    p.Pipe: "the other side was not started with --pipe",
    p.TcpTo: "the other side allows no connections from its machine",
    p.UdpTo: "the other side allows no connections from its machine",
    p.Listen: "the other side does not listen for others",
    p.Accepted: "the other side asked for no listener",
    p.Bench: "the other side takes no part in measurements",
}


class Tunnel:
    """Streams to the peer that outlast the link: give it a link with `attach`, another when that was lost.

    Run `run()` as a task; it returns when `ended` says why: "" if both sides were done. `lost` is set while
    there is no link to a peer that has said hello, `present` while there is; how long to wait for another
    link is its owner's affair, who gives up with `stop`. `session`: 16 bytes that both sides know and no
    other pair has; exactly one of them `leads`. `uses`: what this side was started for, told to the peer.

    Handlers for what the peer opens are registered with `serve`, before `run`; what has none is refused, and
    `on_refused` told. `sent` and `received` count the bytes of all links.
    """

    def __init__(self, session: bytes, *, leads: bool, uses: tuple[str, ...]) -> None:
        self.leads = leads
        self.ended: str | None = None
        self.sent = self.received = 0
        self.lost = asyncio.Event()
        self.present = asyncio.Event()
        self.on_change: Callable[[], None] | None = None
        self.on_refused: Callable[[p.Purpose, str], None] | None = None
        self._session = p.TunnelSession(session, leads=leads, uses=uses)
        self._streams: dict[int, TunnelStream] = {}
        self._handlers: dict[type[p.Purpose], Handler] = {}
        self._echoes: dict[int, asyncio.Future[bool]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._link: Link | None = None
        self._next: Link | None = None
        self._changes = Changes()
        self._unsent = asyncio.Event()
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._group: asyncio.TaskGroup | None = None
        self.lost.set()

    # What its owner does.

    @property
    def peer_uses(self) -> tuple[str, ...] | None:
        """What the peer was started for; None before its first hello."""
        return self._session.peer_uses

    @property
    def peer_done(self) -> bool:
        """Has the peer said that it is done?"""
        return self._session.heard_goodbye is not None

    @property
    def leaving(self) -> bool:
        """Has this side said that it is done? Then a link that is lost need not be replaced for its sake."""
        return self._session.said_goodbye is not None

    @property
    def max_datagram(self) -> int:
        """Bytes of a stream's datagram at present; 0: none can be sent."""
        return 0 if self._link is None else max(0, self._link.max_datagram - FLOW_SIZE)

    @property
    def link(self) -> Link | None:
        """The one in use."""
        return self._link

    def serve(self, kind: type[p.Purpose], handler: Handler) -> None:
        """Run `handler(stream)` for each stream of this purpose that the peer opens. If it raises CannotRun
        the stream is reset with that reason."""
        self._handlers[kind] = handler

    def attach(self, link: Link) -> None:
        """Go on over this link, in place of the one that there is, if any."""
        if self.ended is not None:
            link.abort()
            return
        for old in (self._link, self._next):
            if old is not None:
                old.abort()
        self._next = link
        self._tell()

    def stop(self, reason: str) -> None:
        """End at once, whatever the peer thinks. Idempotent."""
        if self.ended is None:
            self._settle(reason)
            for link in (self._link, self._next):
                if link is not None:
                    link.abort()

    async def finish(self, reason: str = "", *, timeout_s: float = FINISH_WITHIN_S) -> None:
        """Say goodbye, and wait until the peer has said so, too. With a `reason`, which the peer is shown,
        nothing goes on; after `timeout_s` neither."""
        self._session.say_goodbye(reason)
        self._flush()
        async with TimeLimit(timeout_s) as limit:
            while self.ended is None:
                await self._changes.next()
        if limit.expired():
            self.stop(reason)

    async def changed(self) -> None:
        """Until the link, the peer's goodbye or `ended` changes."""
        await self._changes.next()

    async def unless_ended(self, future: asyncio.Future[T]) -> T | None:
        """The future's result; None if the tunnel ends before there is one."""
        either: list[asyncio.Future[Any]] = [future, self._over]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return future.result() if future.done() else None

    # What its users do.

    def open(self, purpose: p.Purpose) -> TunnelStream:
        """A new stream, also while there is no link. CannotRun: too many are open, or the tunnel ended."""
        if self.ended is not None:
            raise CannotRun("the connection has ended")
        number = self._session.open(purpose)
        if number is None:
            raise CannotRun(f"{p.MAX_STREAMS} streams are open already")
        self._flush()
        return self._add(number, purpose)

    def purposes(self) -> list[p.Purpose]:
        """The purposes of the streams that are open."""
        return [stream.purpose for stream in self._streams.values()]

    async def echo(self, timeout_s: float) -> float | None:
        """The seconds until an echo of the peer came; None: none came, or there is no link."""
        number = self._session.echo()
        if number is None:
            return None
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()
        self._echoes[number], began = answer, loop.time()
        self._flush()
        try:
            async with TimeLimit(timeout_s):
                return loop.time() - began if await answer else None
            return None
        finally:
            del self._echoes[number]

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it beside the tunnel, while that runs, and not for longer."""
        if self._group is None or self.ended is not None:
            work.close()
            return
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self) -> None:
        """Until it has ended."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._converse()
                self._fail_streams()
                for task in self._tasks:
                    task.cancel()
        finally:
            self._group = None

    # The link.

    async def _converse(self) -> None:
        while self.ended is None:
            link, self._next = self._next, None
            if link is None:
                await self._changes.next()
                continue
            await self._use(link)

    async def _use(self, link: Link) -> None:
        self._link = link
        link.on_datagram = self._on_datagram
        self._session.connected()
        self._flush()
        patience = asyncio.get_running_loop().call_later(HELLO_WITHIN_S, self._no_hello, link)
        try:
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(self._write(link))
                await self._read(link)
                writing.cancel()
            if self._session.over:
                link.write(self._session.bytes_to_send())
                await link.close()
                self._settle(self._session.heard_goodbye or self._session.said_goodbye or "")
        finally:
            patience.cancel()
            link.on_datagram = None
            link.abort()
            self._gone()

    def _no_hello(self, link: Link) -> None:
        if not self._session.greeted:
            link.abort()

    def _gone(self) -> None:
        self._link = None
        self._session.disconnected()
        for number in self._echoes:
            self._answer(number, False)
        self.present.clear()
        self.lost.set()
        self._tell()

    def _settle(self, reason: str) -> None:
        if self.ended is None:
            self.ended = reason
            self._over.set_result(None)
        self._tell()

    async def _read(self, link: Link) -> None:
        while not self._session.over and self.ended is None and (data := await link.read(_READ)):
            self.received += len(data)
            try:
                self._session.receive(data)
            except ProtocolError as error:
                await self._refuse(link, f"the other side broke the protocol: {error}")
                return
            finally:
                self._handle_events()
            self._flush()

    async def _refuse(self, link: Link, reason: str) -> None:
        self._settle(reason)
        self._session.say_goodbye(f"this side received invalid data: {reason}")
        link.write(self._session.bytes_to_send())
        async with TimeLimit(_LAST_WORDS_S):
            await link.close()

    async def _write(self, link: Link) -> None:
        while True:
            self._unsent.clear()
            while data := self._session.bytes_to_send(PIECE):
                link.write(data)
                self.sent += len(data)
                await link.drain()
            await self._unsent.wait()

    def _flush(self) -> None:
        self._unsent.set()

    def _tell(self) -> None:
        self._changes.tell()
        if self.on_change is not None:
            self.on_change()

    # What the session tells.

    def _handle_events(self) -> None:
        for event in self._session.events():
            match event:
                case p.Greeted():
                    self._greeted()
                case p.Open(number, purpose):
                    self._opened(self._add(number, purpose))
                case p.EchoAnswer(number):
                    self._answer(number, True)
                case p.Goodbye(reason):
                    self._goodbye(reason)
                case _:
                    self._on_stream_event(event)

    def _on_stream_event(self, event: p.Data | p.Ended | p.Acknowledged | p.Done | p.Reset) -> None:
        stream = self._streams.get(event.stream)
        if stream is None:
            return
        match event:
            case p.Data(_, data):
                stream.note_data(data)
            case p.Ended():
                stream.note_end()
            case p.Acknowledged():
                stream.note_progress()
            case p.Done(number):
                del self._streams[number]
                stream.note_over()
            case p.Reset(number, reason):
                del self._streams[number]
                stream.note_over(reason)

    def _greeted(self) -> None:
        self.lost.clear()
        self.present.set()
        self._tell()

    def _goodbye(self, reason: str) -> None:
        if reason:
            self._session.say_goodbye()
        self._tell()

    def _answer(self, number: int, came: bool) -> None:
        answer = self._echoes.get(number)
        if answer is not None and not answer.done():
            answer.set_result(came)

    # The streams.

    def _add(self, number: int, purpose: p.Purpose) -> TunnelStream:
        stream = TunnelStream(number, purpose, self._session, self._unsent.set, self._send_datagram)
        self._streams[number] = stream
        stream.on_reset = self._drop
        return stream

    def _drop(self, stream: TunnelStream) -> None:
        self._streams.pop(stream.id, None)

    def _opened(self, stream: TunnelStream) -> None:
        handler = self._handlers.get(type(stream.purpose))
        if len(self._tasks) >= _MOST_TASKS:
            stream.reset("too many requests at once")
        elif handler is None or self._group is None:
            reason = _REFUSALS[type(stream.purpose)]
            stream.reset(reason)
            if self.on_refused is not None:
                self.on_refused(stream.purpose, reason)
        else:
            self.spawn(_handle(handler, stream))

    def _fail_streams(self) -> None:
        reason = self.ended or "the connection has ended"
        while self._streams:
            _, stream = self._streams.popitem()
            stream.note_over(reason)

    def _send_datagram(self, number: int, data: bytes) -> bool:
        if self._link is None or not self._session.greeted or len(data) > self.max_datagram:
            return False
        self.sent += len(data)
        return self._link.send_datagram(number.to_bytes(FLOW_SIZE, "big") + data)

    def _on_datagram(self, data: bytes) -> None:
        self.received += len(data)
        stream = self._streams.get(int.from_bytes(data[:FLOW_SIZE], "big"))
        if len(data) >= FLOW_SIZE and stream is not None and stream.on_datagram is not None:
            stream.on_datagram(data[FLOW_SIZE:])


async def _handle(handler: Handler, stream: TunnelStream) -> None:
    try:
        await handler(stream)
    except CannotRun as error:
        stream.reset(str(error))
