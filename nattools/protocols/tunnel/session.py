"""One peer's end of a tunnel, through as many connections as it takes."""

from __future__ import annotations

from typing import Final

from nattools.errors import ProtocolError
from nattools.protocols.tunnel import frames as f
from nattools.protocols.tunnel.streams import (
    ACKNOWLEDGE_EVERY,
    KEEP,
    Acknowledged,
    Data,
    Done,
    Ended,
    Event,
    Greeted,
    Outgoing,
    Stream,
)

MOST_BUFFERED: Final = 64 << 20
"""What the applications of one side may leave unread, of a few streams together."""
WINDOW: Final = 4 << 20
SMALLEST_WINDOW: Final = 65_536
MOST_KEPT: Final = 64 << 20
"""Bytes that the peer has not acknowledged, of a few streams together."""
_MOST_PENDING: Final = 1 << 20  # bytes of answers that the peer does not take


class TunnelSession:
    """Streams, echoes and goodbyes over connections that come and go.

    Driving contract: call `connected` for each new connection, then `receive` for the bytes that come on it,
    and `disconnected` when it is lost. After each call look at `events()`, and while `bytes_to_send` returns
    any, send them, in order. It has no timers. A ProtocolError of `receive` ends the session: the peer does
    what no peer does. `session` (16 bytes) is known to both; exactly one of them `leads`.
    """

    def __init__(self, session: bytes, *, leads: bool, uses: tuple[str, ...] = ()) -> None:
        self.peer_uses: tuple[str, ...] | None = None
        self.said_goodbye: str | None = None
        self.heard_goodbye: str | None = None
        self._session = session
        self._own = 0 if leads else 1
        self._uses = uses
        self._streams: dict[int, Stream] = {}
        self._ready: dict[int, None] = {}
        self._opened = [0, 0]  # ever, by the leading side and by the other
        self._count = [0, 0]  # now
        self._connected = self._greeted = False
        self._deframer = f.Deframer()
        self._pending = bytearray()
        self._events: list[Event] = []
        self._echoes = 0

    # The connection.

    @property
    def greeted(self) -> bool:
        """Is there a connection, and has the peer said hello on it?"""
        return self._greeted

    @property
    def over(self) -> bool:
        """Have both said goodbye?"""
        return self.said_goodbye is not None and self.heard_goodbye is not None

    def connected(self) -> None:
        """A new connection; what was the connection before is of no interest any more."""
        self.disconnected()
        self._connected = True
        states = []
        for stream in self._streams.values():
            stream.incoming.told()
            states.append(f.State(stream.id, stream.incoming.acknowledged, stream.incoming.limit))
        opened = self._opened[1 - self._own]
        self._pending += f.encode(f.Hello(f.VERSION, self._session, opened, tuple(states), self._uses))

    def disconnected(self) -> None:
        """The connection is gone."""
        self._connected = self._greeted = False
        self._deframer = f.Deframer()
        self._pending.clear()
        self._ready.clear()

    def receive(self, data: bytes) -> None:
        """Bytes of the peer. ProtocolError: the session is over."""
        for frame in self._deframer.feed(data):
            if isinstance(frame, f.Hello):
                self._on_hello(frame)
            elif not self._greeted:
                raise ProtocolError("a frame before the hello")
            else:
                self._on_frame(frame)
        if len(self._pending) > _MOST_PENDING:
            raise ProtocolError("more is asked than the answers are taken")

    def bytes_to_send(self, size: int = 65_536) -> bytes:
        """What to send now: about `size` bytes at most; b"" is nothing."""
        if not self._connected:
            return b""
        out, self._pending = self._pending, bytearray()
        while self._ready and len(out) < size:
            number = next(iter(self._ready))
            del self._ready[number]
            self._send_of(self._streams[number], out)
        return bytes(out)

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    # What the application does.

    def open(self, purpose: f.Purpose) -> int | None:
        """Open a stream; None: as many as may be are open."""
        if self._count[self._own] >= f.MAX_STREAMS:
            return None
        stream = self._add(2 * self._opened[self._own] + self._own, purpose)
        self._say(f.Open(stream.id, purpose))
        self._give_credit(stream)
        return stream.id

    def write(self, stream: int, data: bytes) -> None:
        """Send bytes. They are kept until the peer has them: look at `has_room` and be patient."""
        found = self._alive(stream)
        if found is not None and not found.outgoing.ended:
            found.outgoing.write(data)
            self._look_at(found)

    def kept(self, stream: int) -> int:
        """Bytes that the peer does not have yet, as far as is known."""
        found = self._alive(stream)
        return 0 if found is None else found.outgoing.kept

    def has_room(self, stream: int) -> bool:
        """Is it time to write more? Whatever the peer asks for and does not take, all streams together keep
        `MOST_KEPT`; beyond that each has what a peer takes before it acknowledges any."""
        kept = self.kept(stream)
        if kept < ACKNOWLEDGE_EVERY:
            return True
        others = sum(each.outgoing.kept for each in self._streams.values()) - kept
        return kept < max(ACKNOWLEDGE_EVERY, min(KEEP, MOST_KEPT - others))

    def end(self, stream: int) -> None:
        """There is no more to say. Idempotent."""
        found = self._alive(stream)
        if found is not None:
            found.outgoing.ended = True
            self._look_at(found)

    def reset(self, stream: int, reason: str) -> None:
        """End both directions of a stream at once. Idempotent."""
        found = self._alive(stream)
        if found is None:
            return
        found.gone = reason
        found.outgoing = Outgoing()
        self._ready.pop(stream, None)
        self._say(f.Reset(stream, reason))

    def consume(self, stream: int, size: int) -> None:
        """The application has used so many of the bytes it was given: as many more may come."""
        found = self._alive(stream)
        if found is not None:
            found.incoming.consumed += size
            self._give_credit(found)

    def echo(self) -> int | None:
        """Ask for an echo; `EchoAnswer` will have this number. None: there is no connection now."""
        if not self._greeted:
            return None
        self._echoes += 1
        self._say(f.EchoRequest(self._echoes))
        return self._echoes

    def say_goodbye(self, reason: str = "") -> None:
        """Tell the peer that all is done here. Idempotent."""
        if self.said_goodbye is None:
            self.said_goodbye = reason
            self._say(f.Goodbye(reason))

    # What the peer says.

    def _on_frame(self, frame: f.Frame) -> None:
        match frame:
            case f.DataFrame(number, offset, data):
                self._on_data(self._known(number), offset, data)
            case f.Credit(number, received, limit):
                self._on_credit(self._known(number), received, limit)
            case f.EndFrame(number, final):
                self._on_end(self._known(number), final)
            case f.Open(number, purpose):
                self._on_open(number, purpose)
            case f.Reset(number, reason):
                self._on_reset(number, reason)
            case f.Gone(number):
                self._on_gone(self._known(number))
            case f.EchoRequest(number):
                self._say(f.EchoAnswer(number))
            case f.EchoAnswer():
                self._events.append(frame)
            case f.Goodbye(reason):
                self._on_goodbye(reason)

    def _on_hello(self, hello: f.Hello) -> None:
        if self._greeted:
            raise ProtocolError("a second hello on one connection")
        if hello.version != f.VERSION:
            raise ProtocolError(f"version {hello.version} of the tunnel; this one speaks {f.VERSION}")
        if hello.session != self._session:
            raise ProtocolError("the hello of another session")
        if hello.opened > self._opened[self._own]:
            raise ProtocolError("a hello that knows of streams which never were")
        self._greeted = True
        self.peer_uses = hello.uses
        self._events.append(Greeted())
        self._resume(hello)
        if self.said_goodbye is not None:
            self._say(f.Goodbye(self.said_goodbye))

    def _resume(self, hello: f.Hello) -> None:
        states = {state.stream: state for state in hello.streams}
        if len(states) != len(hello.streams):
            raise ProtocolError("a hello that names a stream twice")
        ours = (number // 2 for number in states if number % 2 == self._own)
        if any(place >= self._opened[self._own] for place in ours):
            raise ProtocolError("a hello that knows of streams which never were")
        for stream in sorted(self._streams.values(), key=lambda stream: stream.id):
            own = stream.id % 2 == self._own
            if own and stream.id // 2 >= hello.opened:
                if stream.id in states:
                    raise ProtocolError("a hello that contradicts itself")
                self._open_again(stream)
            elif stream.id in states:
                self._go_on(stream, states[stream.id])
            else:
                self._forgotten(stream)

    def _open_again(self, stream: Stream) -> None:
        """The peer has not heard of it."""
        stream.outgoing.restart()
        self._say(f.Open(stream.id, stream.purpose))
        if stream.gone is not None:
            self._say(f.Reset(stream.id, stream.gone))
            return
        self._give_credit(stream, anew=True)
        self._look_at(stream)

    def _go_on(self, stream: Stream, state: f.State) -> None:
        if stream.gone is not None:
            self._say(f.Reset(stream.id, stream.gone))
            return
        stream.outgoing.resume(state.received, state.limit)
        self._events.append(Acknowledged(stream.id))
        self._give_credit(stream)
        self._look_at(stream)
        self._forget_if_done(stream)

    def _forgotten(self, stream: Stream) -> None:
        """The peer has forgotten it: it got everything and its end came here, or it knows of the reset."""
        if stream.gone is None:
            if not (stream.outgoing.ended and stream.incoming.ended):
                raise ProtocolError("a hello without a stream that is not over")
            self._events.append(Done(stream.id))
        self._forget(stream)

    def _on_open(self, number: int, purpose: f.Purpose) -> None:
        theirs = 1 - self._own
        if number != 2 * self._opened[theirs] + theirs:
            raise ProtocolError(f"a stream {number} where {2 * self._opened[theirs] + theirs} comes next")
        if self._count[theirs] >= f.MAX_STREAMS:
            raise ProtocolError(f"more than {f.MAX_STREAMS} streams at once")
        stream = self._add(number, purpose)
        self._events.append(f.Open(number, purpose))
        self._give_credit(stream)

    def _on_data(self, stream: Stream | None, offset: int, data: bytes) -> None:
        if stream is None or stream.gone is not None:
            return
        stream.incoming.take(offset, len(data))
        self._events.append(Data(stream.id, data))
        self._give_credit(stream)

    def _on_end(self, stream: Stream | None, final: int) -> None:
        if stream is None or stream.gone is not None:
            return
        stream.incoming.end(final)
        self._events.append(Ended(stream.id))
        self._give_credit(stream)
        self._forget_if_done(stream)

    def _on_credit(self, stream: Stream | None, received: int, limit: int) -> None:
        if stream is None or stream.gone is not None:
            return
        if stream.outgoing.acknowledge(received, limit):
            self._events.append(Acknowledged(stream.id))
        self._look_at(stream)
        self._forget_if_done(stream)

    def _on_reset(self, number: int, reason: str) -> None:
        stream = self._known(number)
        self._say(f.Gone(number))
        if stream is not None and stream.gone is None:
            self._forget(stream)
            self._events.append(f.Reset(number, reason))

    def _on_gone(self, stream: Stream | None) -> None:
        if stream is None:
            return
        if stream.gone is None:
            raise ProtocolError("an answer to a reset that never was")
        self._forget(stream)

    def _on_goodbye(self, reason: str) -> None:
        if self.heard_goodbye is None:
            self.heard_goodbye = reason
            self._events.append(f.Goodbye(reason))

    # The streams.

    def _add(self, number: int, purpose: f.Purpose) -> Stream:
        self._opened[number % 2] += 1
        self._count[number % 2] += 1
        stream = self._streams[number] = Stream(number, purpose)
        return stream

    def _alive(self, number: int) -> Stream | None:
        stream = self._streams.get(number)
        return None if stream is None or stream.gone is not None else stream

    def _known(self, number: int) -> Stream | None:
        """The stream, or None if it is over. ProtocolError: there never was such a stream."""
        if number // 2 >= self._opened[number % 2]:
            raise ProtocolError(f"a frame of the stream {number}, which never was opened")
        return self._streams.get(number)

    def _forget_if_done(self, stream: Stream) -> None:
        if stream.outgoing.delivered and stream.incoming.ended:
            self._forget(stream)
            self._events.append(Done(stream.id))

    def _forget(self, stream: Stream) -> None:
        if self._streams.pop(stream.id, None) is not None:
            self._count[stream.id % 2] -= 1
            self._ready.pop(stream.id, None)

    # What we say.

    def _say(self, frame: f.Frame) -> None:
        """Without a connection it is not said: the next hello tells, or it is told after that."""
        if self._greeted:
            self._pending += f.encode(frame)

    def _look_at(self, stream: Stream) -> None:
        if self._greeted and stream.outgoing.sendable:
            self._ready[stream.id] = None

    def _send_of(self, stream: Stream, out: bytearray) -> None:
        """One frame; then it is the next stream's turn."""
        piece = stream.outgoing.take()
        if piece is not None:
            out += f.data_frame(stream.id, *piece)
        if stream.outgoing.take_end():
            out += f.encode(f.EndFrame(stream.id, stream.outgoing.final))
        self._look_at(stream)

    def _give_credit(self, stream: Stream, *, anew: bool = False) -> None:
        """`anew`: the peer has no hello of ours that it could understand about this stream."""
        if not self._greeted:
            return
        incoming = stream.incoming
        window = self._window(stream)
        if incoming.credit(window) or anew:
            self._say(f.Credit(stream.id, incoming.acknowledged, incoming.limit))

    def _window(self, stream: Stream) -> int:
        """What this one may leave unread. What was granted cannot be taken back, so the first may have had
        all that there is."""
        if len(self._streams) * WINDOW <= MOST_BUFFERED:
            return WINDOW
        alive = [each.incoming for each in self._streams.values() if each.gone is None and each is not stream]
        others = sum(each.limit - each.consumed for each in alive)
        return max(SMALLEST_WINDOW, min(MOST_BUFFERED // len(self._streams), MOST_BUFFERED - others))
