"""The receiving half of a QUIC link: bytes in order, whichever connections they came over.

Within the streams there are frames with a header of 13 bytes: kind, length, offset."""

from __future__ import annotations

import asyncio
from struct import Struct
from typing import TYPE_CHECKING, Final, Protocol

from nattools.traversal.links.earlypieces import EarlyPieces
from nattools.traversal.links.link import Ends, LinkEnd

if TYPE_CHECKING:
    from nattools.traversal.links.quic import PeerConnection

WINDOW: Final = 4 << 20
"""So many bytes may wait for a reader: enough for 160 Mbit/s at a round trip of 200 ms."""
ACKNOWLEDGE_EVERY: Final = 262_144
ACKNOWLEDGE_S: Final = 0.03
DATA, ACK, END, BROKEN_OFF_FRAME = range(4)
HEAD: Final = Struct("!BIQ")
GOODBYE, BROKEN_OFF, REPLACED = 0, 1, 2
"""QUIC's error codes of our own (RFC 9000 20.2). Replaced: the link goes on over other connections."""
TORN: Final = "the peer sent in more pieces than anybody does"
GONE: Final = "the peer sent more than it was granted"


class ConnectionOwner(Protocol):
    """What a connection tells of."""

    def completed(self, connection: PeerConnection) -> None:
        """The peer is proven."""

    def stream_data(self, connection: PeerConnection, data: bytes) -> None:
        """Bytes of the peer's stream, in order."""

    def datagram(self, data: bytes) -> None:
        """A DATAGRAM frame."""

    def round_trip(self, connection: PeerConnection, seconds: float) -> None:
        """A ping was answered."""

    def flushed(self) -> None:
        """Something was taken, or may have left."""

    def connection_ended(self, connection: PeerConnection, code: int, reason: str) -> None:
        """Once; then the connection does nothing more."""


class ReceivingEnd(LinkEnd):
    """`_granted` bytes may have been sent to it, `_expected` have come in order, `_consumed` were read."""

    def __init__(self, max_datagram: int, carrier: Ends) -> None:
        super().__init__("quic", max_datagram, carrier)
        self._loop = asyncio.get_running_loop()
        self._expected = self._consumed = self._reported = 0
        self._granted = WINDOW
        self._early = EarlyPieces(WINDOW)
        self._end: int | None = None
        self._report_due: asyncio.TimerHandle | None = None

    def _control(self) -> PeerConnection | None:
        """A connection to tell the peer something over."""
        raise NotImplementedError

    def _acknowledge(self, received: int, limit: int) -> None:
        """The peer has so many bytes, and grants so many."""
        raise NotImplementedError

    def _finish(self, reason: str) -> None:
        """Nothing more can be read or written."""
        raise NotImplementedError

    def _break_off(self, reason: str) -> None:
        """End at once, and tell the peer."""
        raise NotImplementedError

    # --- what comes

    def stream_data(self, connection: PeerConnection, data: bytes) -> None:
        """Frames; the last one may be incomplete, and what there is of a piece is taken at once."""
        buffer = connection.unparsed
        if buffer:
            buffer += data
            data = bytes(buffer)
            buffer.clear()
        at, end = 0, len(data)
        while at < end and self._reason is None:
            if end - at < HEAD.size:
                break
            kind, length, offset = HEAD.unpack_from(data, at)
            start = at + HEAD.size
            if kind != DATA:
                at = start
                self._take_control(kind, length, offset)
                continue
            piece = data[start : start + length]
            at = start + len(piece)
            self._take(offset, piece)
            if len(piece) < length:  # go on where it was broken off
                buffer += HEAD.pack(DATA, length - len(piece), offset + len(piece))
                break
        buffer += data[at:]
        self._report_if_due()

    def _take_control(self, kind: int, length: int, offset: int) -> None:
        if kind == ACK:
            self._acknowledge(offset, offset + length)
        elif kind == BROKEN_OFF_FRAME:
            self._break_off("the peer broke it off")
        elif kind == END:
            self._end = offset
            self._finish_if_all()

    def _take(self, offset: int, data: bytes) -> None:
        if offset + len(data) > self._granted:
            self._break_off(GONE)
            return
        if offset > self._expected:
            if not self._early.add(offset, data):
                self._break_off(TORN)
            return
        self._deliver(offset, data)
        for piece in self._early.due(self._expected):
            self._deliver(*piece)
        self._finish_if_all()

    def _deliver(self, offset: int, data: bytes) -> None:
        known = self._expected - offset
        if known < len(data):
            self._inbox.put(data[known:] if known else data)
            self._expected = offset + len(data)

    def _finish_if_all(self) -> None:
        if self._end is not None and self._expected == self._end:
            self._expected += 1
            self._report()
            self._finish("the peer closed the connection")

    def _taken(self, size: int) -> None:
        self._consumed += size
        self._report_if_due()

    def _report_if_due(self) -> None:
        """Tell the peer how far it has come, and how far it may go."""
        if self._reason is not None:
            return
        news = self._expected - self._reported
        if news >= ACKNOWLEDGE_EVERY or self._consumed + WINDOW - self._granted >= WINDOW // 4:
            self._report()
        elif news and self._report_due is None:
            self._report_due = self._loop.call_later(ACKNOWLEDGE_S, self._report)

    def _report(self) -> None:
        if self._report_due is not None:
            self._report_due.cancel()
            self._report_due = None
        connection = self._control()
        if connection is not None:
            self._granted = max(self._granted, self._consumed + WINDOW)
            self._reported = self._expected
            connection.write(HEAD.pack(ACK, max(0, self._granted - self._expected), self._expected))
