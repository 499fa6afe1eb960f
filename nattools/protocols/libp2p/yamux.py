"""yamux: many streams over one connection.

    0      version, 0
    1      type: data 0, window update 1, ping 2, go away 3
    2..3   flags: SYN 1, ACK 2, FIN 4, RST 8
    4..7   stream, odd where the end that began the connection opened it
    8..11  length of the data, or the number that belongs to the type

Each end may send 256 KiB over a stream before the other one has said that it took some of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct as Layout
from typing import Final, NamedTuple

from nattools.errors import ProtocolError

YAMUX: Final = "/yamux/1.0.0"
DATA, WINDOW, PING, GO_AWAY = 0, 1, 2, 3
SYN, ACK, FIN, RST = 1, 2, 4, 8
WINDOW_SIZE: Final = 262_144
_LARGEST_WINDOW: Final = 1 << 24
"""No peer needs to let us send more."""
_HEAD: Final = Layout(">BBHII")
_PIECE: Final = 16_384
"""Bytes of a data frame that is sent, so that streams take turns."""
_MOST_FORGOTTEN: Final = 1024
"""Frames for streams that are over may still be on their way; so many such streams are remembered."""


class StreamOpened(NamedTuple):
    """The other end has opened a stream."""

    stream: int


class StreamData(NamedTuple):
    """It said something. `StreamData`'s bytes count as unread until `consume` is called."""

    stream: int
    data: bytes


class StreamEnded(NamedTuple):
    """It will say no more on this stream."""

    stream: int


class StreamReset(NamedTuple):
    """The stream is over, both ways."""

    stream: int


class WindowOpened(NamedTuple):
    """It takes more: what waited has left, or some of it."""

    stream: int


class GoneAway(NamedTuple):
    """It opens and takes no more streams. `code` 0: all is well."""

    code: int


YamuxEvent = StreamOpened | StreamData | StreamEnded | StreamReset | WindowOpened | GoneAway


@dataclass(frozen=True, slots=True)
class YamuxLimits:
    """What the other end can make this one hold: streams of its own at a time and in all, and bytes that
    nobody has read yet. Beyond `unread` or `opened_in_all` the connection ends; a stream too many is
    reset."""

    streams: int = 32
    opened_in_all: int = 20_000
    unread: int = 2 * WINDOW_SIZE


@dataclass(slots=True)
class _Stream:
    may_send: int = WINDOW_SIZE
    may_come: int = WINDOW_SIZE
    consumed: int = 0
    unread: int = 0
    waiting: bytearray = field(default_factory=bytearray)
    ends: bool = False
    ended: bool = False
    other_ended: bool = False
    theirs: bool = False


class YamuxSession:
    """One end. Pure: write what `data_to_send` returns after each call; pass what is read to `receive`.

    A stream that both ends have ended, or either has reset, is forgotten; calls about it do nothing."""

    def __init__(self, *, initiates: bool, limits: YamuxLimits | None = None) -> None:
        self._next = 1 if initiates else 2
        self._theirs = 0 if initiates else 1
        self._limits = limits or YamuxLimits()
        self._streams: dict[int, _Stream] = {}
        self._forgotten: dict[int, None] = {}
        self._buffer = bytearray()
        self._leaving: list[bytes] = []
        self._opened = 0
        self._unread = 0
        self._their_streams = 0

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._streams)

    def data_to_send(self) -> bytes:
        """What is due now."""
        data = b"".join(self._leaving)
        self._leaving.clear()
        return data

    def open(self) -> int:
        """A new stream's number."""
        number = self._next
        self._next += 2
        self._streams[number] = _Stream()
        self._frame(WINDOW, SYN, number, 0)
        return number

    def send(self, number: int, data: bytes) -> None:
        """Queue bytes; they leave as the other end takes them. After `end` they are dropped."""
        stream = self._streams.get(number)
        if stream is not None and not stream.ends:
            stream.waiting += data
            self._flush(number, stream)

    def has(self, number: int) -> bool:
        """Is it still open, on one end or both?"""
        return number in self._streams

    def waiting(self, number: int) -> int:
        """Bytes that wait for the other end to take more."""
        stream = self._streams.get(number)
        return 0 if stream is None else len(stream.waiting)

    def end(self, number: int) -> None:
        """Say no more on this stream, once what waits has left. Idempotent."""
        stream = self._streams.get(number)
        if stream is not None and not stream.ends:
            stream.ends = True
            self._flush(number, stream)

    def reset(self, number: int) -> None:
        """End a stream both ways, at once. Idempotent."""
        if number in self._streams:
            self._frame(WINDOW, RST, number, 0)
            self._forget(number)

    def consume(self, number: int, count: int) -> None:
        """So many bytes of this stream were read: the other end may send as many more."""
        stream = self._streams.get(number)
        if stream is None:
            return
        count = min(count, stream.unread)
        stream.unread -= count
        self._unread -= count
        stream.consumed += count
        if stream.consumed >= WINDOW_SIZE // 4 and not stream.other_ended:
            self._frame(WINDOW, 0, number, stream.consumed)
            stream.may_come += stream.consumed
            stream.consumed = 0

    def go_away(self) -> None:
        """Say that the connection ends."""
        self._frame(GO_AWAY, 0, 0, 0)

    def receive(self, data: bytes) -> list[YamuxEvent]:
        """What came of bytes that were read. ProtocolError: the other end breaks the protocol, or says more
        than it may; then the connection is of no use."""
        self._buffer += data
        events: list[YamuxEvent] = []
        at = 0
        while len(self._buffer) - at >= _HEAD.size:
            version, kind, flags, number, length = _HEAD.unpack_from(self._buffer, at)
            if version != 0 or kind > GO_AWAY:
                raise ProtocolError(f"a frame of version {version} and type {kind}")
            size = length if kind == DATA else 0
            if size > WINDOW_SIZE:
                raise ProtocolError(f"a frame of {size} bytes")
            end = at + _HEAD.size + size
            if len(self._buffer) < end:
                break
            body = bytes(self._buffer[at + _HEAD.size : end])
            at = end
            events += self._take(kind, flags, number, length, body)
        del self._buffer[:at]
        return events

    def _take(self, kind: int, flags: int, number: int, length: int, body: bytes) -> list[YamuxEvent]:
        if kind == GO_AWAY:
            return [GoneAway(length)]
        if kind == PING:
            if flags & SYN:
                self._frame(PING, ACK, 0, length)
            return []
        events: list[YamuxEvent] = []
        if flags & SYN:
            if not self._admit(number):
                return []
            events.append(StreamOpened(number))
        stream = self._streams.get(number)
        if stream is None:
            self._expect_known(number)
            return events
        if kind == WINDOW and length:
            stream.may_send = min(stream.may_send + length, _LARGEST_WINDOW)
            self._flush(number, stream)
            events.append(WindowOpened(number))
        if body:
            events.append(self._said(number, stream, body))
        if flags & RST:
            self._forget(number)
            events.append(StreamReset(number))
        elif flags & FIN and not stream.other_ended:
            stream.other_ended = True
            events.append(StreamEnded(number))
            self._forget_if_over(number, stream)
        return events

    def _admit(self, number: int) -> bool:
        """A new stream of the other end; False: it is one too many."""
        if number % 2 != self._theirs or number == 0 or number in self._streams:
            raise ProtocolError(f"a stream with the number {number}")
        self._opened += 1
        if self._opened > self._limits.opened_in_all:
            raise ProtocolError("it opens streams without end")
        if self._their_streams >= self._limits.streams:
            self._frame(WINDOW, RST, number, 0)
            self._remember(number)
            return False
        self._streams[number] = _Stream(theirs=True)
        self._their_streams += 1
        self._frame(WINDOW, ACK, number, 0)
        return True

    def _expect_known(self, number: int) -> None:
        """What belongs to a stream that is over is dropped."""
        own = number and number % 2 != self._theirs and number < self._next
        if not own and number not in self._forgotten:
            raise ProtocolError(f"a frame for the stream {number}, which nobody opened")

    def _said(self, number: int, stream: _Stream, body: bytes) -> YamuxEvent:
        if stream.other_ended:
            raise ProtocolError("data behind the end of a stream")
        stream.may_come -= len(body)
        stream.unread += len(body)
        self._unread += len(body)
        if stream.may_come < 0 or self._unread > self._limits.unread:
            raise ProtocolError("it sends more than it may")
        return StreamData(number, body)

    def _flush(self, number: int, stream: _Stream) -> None:
        while stream.waiting and stream.may_send > 0:
            piece = bytes(stream.waiting[: min(_PIECE, stream.may_send)])
            del stream.waiting[: len(piece)]
            stream.may_send -= len(piece)
            self._leaving.append(_HEAD.pack(0, DATA, 0, number, len(piece)) + piece)
        if stream.ends and not stream.waiting and not stream.ended:
            stream.ended = True
            self._frame(WINDOW, FIN, number, 0)
            self._forget_if_over(number, stream)

    def _forget_if_over(self, number: int, stream: _Stream) -> None:
        if stream.ended and stream.other_ended:
            self._forget(number)

    def _forget(self, number: int) -> None:
        stream = self._streams.pop(number)
        self._unread -= stream.unread
        if stream.theirs:
            self._their_streams -= 1
            self._remember(number)

    def _remember(self, number: int) -> None:
        self._forgotten[number] = None
        if len(self._forgotten) > _MOST_FORGOTTEN:
            del self._forgotten[next(iter(self._forgotten))]

    def _frame(self, kind: int, flags: int, number: int, value: int) -> None:
        self._leaving.append(_HEAD.pack(0, kind, flags, number, value))
