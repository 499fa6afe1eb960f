"""A stream's two halves (what goes out, kept until it is acknowledged, and what comes in), and what a session
tells of streams."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from nattools.errors import ProtocolError
from nattools.protocols.tunnel.frames import EchoAnswer, Goodbye, Open, Purpose, Reset

INITIAL_LIMIT: Final = 65_536
"""What may be sent on a new stream before the first credit."""
KEEP: Final = 4 << 20
"""Bytes of a stream that are on their way at most, whatever the other side allows."""
PIECE: Final = 16_000
"""Bytes of a stream in one frame: fewer than may be, since whatever else is to be said waits until they have
left; and in one record of TLS there is room for the frame (RFC 8446 5.1)."""
ACKNOWLEDGE_EVERY: Final = 262_144
"""Bytes that are received before they are acknowledged, at most."""


class Outgoing:
    """Bytes to the peer: those from the offset `base` on are kept until they are acknowledged; `following` is
    the offset of what is sent next, `limit` what the peer allows.

    They are kept in blocks of `PIECE` or more, however few are written, allowed or acknowledged at a time: a
    block for each byte would take eighty times as much."""

    __slots__ = (
        "_behind",
        "_sent",
        "_taken",
        "_told_end",
        "_waiting",
        "base",
        "delivered",
        "ended",
        "final",
        "following",
        "limit",
    )

    def __init__(self) -> None:
        self.base = self.following = 0
        self.limit = INITIAL_LIMIT
        self.final = 0  # the offset behind the last byte that was written
        self._sent: deque[bytes | bytearray] = deque()  # wholly
        self._waiting: deque[bytes | bytearray] = deque()  # at least in part
        self._taken = 0  # bytes of the first waiting block that were sent
        self._behind = 0  # bytes of the first block of all that were acknowledged
        self.ended = self.delivered = self._told_end = False

    @property
    def kept(self) -> int:
        """Bytes that are not acknowledged."""
        return self.final - self.base

    def write(self, data: bytes) -> None:
        """More bytes."""
        if data:
            _append(self._waiting, data)
            self.final += len(data)

    @property
    def sendable(self) -> bool:
        """Is there anything to send now?"""
        return self.following < self._up_to() or self._end_due()

    def _up_to(self) -> int:
        return min(self.final, self.limit, self.base + KEEP)

    def _end_due(self) -> bool:
        return self.ended and not self._told_end and self.following == self.final

    def take(self) -> tuple[int, bytes] | None:
        """The next bytes and their offset; None: nothing to send, but perhaps the end."""
        size = min(PIECE, self._up_to() - self.following)
        if size <= 0:
            return None
        offset, self.following = self.following, self.following + size
        return offset, self._next(size)

    def _next(self, size: int) -> bytes:
        pieces: list[bytes | bytearray] = []
        while size:
            block = self._waiting[0]
            piece = block[self._taken : self._taken + size]
            pieces.append(piece)
            size -= len(piece)
            self._taken += len(piece)
            if self._taken == len(block):
                _append(self._sent, self._waiting.popleft())
                self._taken = 0
        return b"".join(pieces)

    def _forget(self, size: int) -> None:
        self._behind += size
        while self._sent and self._behind >= len(self._sent[0]):
            self._behind -= len(self._sent.popleft())

    def take_end(self) -> bool:
        """Is the end to be told now? It then counts as told."""
        due = self._end_due()
        self._told_end = self._told_end or due
        return due

    def acknowledge(self, received: int, limit: int) -> bool:
        """The peer has `received`; is that news? ProtocolError: it cannot be."""
        if received > self.following + self._told_end:
            raise ProtocolError(f"an acknowledgment of {received} bytes of which {self.following} were sent")
        if received < self.base or limit < self.limit:
            raise ProtocolError("an acknowledgment that takes back an earlier one")
        self.limit = limit
        self.delivered = self.delivered or received > self.final
        forward = min(received, self.final) - self.base
        self._forget(forward)
        self.base += forward
        return forward > 0 or self.delivered

    def resume(self, received: int, limit: int) -> None:
        """On a new connection: go on from where the peer is. ProtocolError: it cannot be there."""
        self.acknowledge(received, limit)
        self.following, self._told_end = self.base, self.delivered
        self._waiting.extendleft(reversed(self._sent))
        self._sent.clear()
        self._taken = self._behind

    def restart(self) -> None:
        """On a new connection, where the peer has not heard of the stream. ProtocolError: it had."""
        if self.base:
            raise ProtocolError("a stream was forgotten of which bytes had been acknowledged")
        self.resume(0, self.limit)


def _append(blocks: deque[bytes | bytearray], data: bytes | bytearray) -> None:
    """Behind the others; together with the last one while both are small."""
    if len(data) >= PIECE:
        blocks.append(data)
    elif blocks and isinstance(blocks[-1], bytearray) and len(blocks[-1]) < PIECE:
        blocks[-1] += data
    else:
        blocks.append(bytearray(data))


class Incoming:
    """Bytes from the peer: `received` so far, `consumed` of them by the application, `limit` allowed."""

    __slots__ = ("_told", "consumed", "ended", "limit", "received")

    def __init__(self) -> None:
        self.received = self.consumed = self._told = 0
        self.limit = INITIAL_LIMIT
        self.ended = False

    @property
    def acknowledged(self) -> int:
        """What to tell as received: the end is one byte more."""
        return self.received + self.ended

    def take(self, offset: int, size: int) -> None:
        """Bytes have come. ProtocolError: not those that were to come."""
        if self.ended:
            raise ProtocolError("bytes after the end of a stream")
        if offset != self.received:
            raise ProtocolError(f"bytes from the offset {offset} on; {self.received} were received")
        if offset + size > self.limit:
            raise ProtocolError(f"bytes up to {offset + size}; {self.limit} were allowed (credit overrun)")
        self.received += size

    def end(self, final: int) -> None:
        """The peer has ended it. ProtocolError: at another place than where it is."""
        if self.ended:
            raise ProtocolError("a stream ended twice")
        if final != self.received:
            raise ProtocolError(f"a stream ended at {final}; {self.received} bytes were received")
        self.ended = True

    def credit(self, window: int) -> bool:
        """Is it time to tell the peer? It then counts as told."""
        limit = max(self.limit, self.consumed + window)
        step = min(window // 4, ACKNOWLEDGE_EVERY)
        enough = self.acknowledged - self._told >= step or limit - self.limit >= step
        if not enough and not (self.ended and self._told < self.acknowledged):
            return False
        self.told(limit)
        return True

    def told(self, limit: int | None = None) -> None:
        """The peer learns where it stands."""
        self._told = self.acknowledged
        self.limit = self.limit if limit is None else limit


class Stream:
    """One stream of a session. `gone`: reset by this side, which waits for the peer to know, and why."""

    __slots__ = ("gone", "id", "incoming", "outgoing", "purpose")

    def __init__(self, number: int, purpose: Purpose) -> None:
        self.id = number
        self.purpose = purpose
        self.incoming = Incoming()
        self.outgoing = Outgoing()
        self.gone: str | None = None


class Greeted(msgspec.Struct, frozen=True):
    """The peer is here (again)."""


class Data(msgspec.Struct, frozen=True):
    """Bytes of a stream, in order and once. Call `consume` when they have been used."""

    stream: int
    data: bytes


class Ended(msgspec.Struct, frozen=True):
    """The peer has no more to say on this stream."""

    stream: int


class Acknowledged(msgspec.Struct, frozen=True):
    """The peer has received more of a stream: `kept` has become less."""

    stream: int


class Done(msgspec.Struct, frozen=True):
    """A stream is over: each side has all of the other's bytes."""

    stream: int


Event = Greeted | Open | Data | Ended | Reset | Acknowledged | Done | EchoAnswer | Goodbye
"""What a session tells whoever drives it. The peer's own frames are among it: use the stream of an Open, or
reset it; that of a Reset is forgotten."""
