"""A link over QUIC (RFC 9000): bytes in order, and DATAGRAM frames (RFC 9221). It uses several QUIC
connections of one path where one alone would carry less.

Each side sends over connections that it has opened as their client, since in qh3 only a client finds out how
large datagrams may be; the first one, which proves both sides, serves until then. Any connection can be
replaced at any time: what is not acknowledged is kept, and sent again over another. Within the streams there
are frames with a header of 13 bytes: kind, length, offset.

Import cost: qh3 is imported with the first link that is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from nattools.traversal.links.link import Changes, DatagramPath
from nattools.traversal.links.quicreceive import (
    BROKEN_OFF,
    BROKEN_OFF_FRAME,
    DATA,
    END,
    GOODBYE,
    HEAD,
    REPLACED,
    WINDOW,
    ReceivingEnd,
)
from nattools.traversal.links.stripes import MOST, StripeRounds

if TYPE_CHECKING:
    from nattools.traversal.links.quic import PeerConnection, PeerConnections

logger = logging.getLogger(__name__)

PIECE: Final = 16_384
MAX_WAITING_DATAGRAMS: Final = 64
CLOSE_S: Final = 60.0
"""`close` waits for the peer's acknowledgments as long as any come, and so long after the last."""
PROBE_S: Final = 1.0
"""A path that is silent is tried this often, however long it has been silent: it may be back at any time."""
STALLED_PINGS: Final = 3
STALLED_S: Final = 2.0
"""So many pings answered, and for so long, while no data is acknowledged: larger packets are lost (RFC 8899
4.3). Both, since on a short path many pings are answered between two acknowledgments."""
MOST_OF_PEER: Final = 2 * MOST
"""Connections that the peer has opened: as many as it sends over, and as many that were replaced and of whose
end nothing has come."""
KEEP_ALIVE_S: Final = 15.0
IDLE_S: Final = 300.0


class QuicLink(ReceivingEnd):
    """A `Link` over QUIC, once the peer is proven: there is a `first` connection then.
    `changes` tells of that, and of whatever else is waited for; `problem`: why the last try failed."""

    connections: PeerConnections

    def __init__(self, path: DatagramPath, *, leads: bool) -> None:
        from nattools.traversal.links.quic import MAX_DATAGRAM

        super().__init__(MAX_DATAGRAM, path)
        self.first: PeerConnection | None = None
        self.problem: str | None = None
        self._path = path
        self._leads = leads
        self._loop = asyncio.get_running_loop()
        self.changes = Changes()
        self._own_use = b""
        self._sending: list[PeerConnection] = []
        self._live: list[PeerConnection] = []
        self._opening: PeerConnection | None = None
        self._first_tries: list[PeerConnection] = []
        self._probes = True
        # what is sent: `_held` waits for room, `_kept` for its acknowledgment
        self._held: deque[memoryview] = deque()
        self._kept: deque[tuple[int, bytes]] = deque()
        self._written = self._next = self._sent = self._acknowledged = 0
        self._limit = WINDOW
        self._final: int | None = None
        self._pings_before = 0
        self._progress_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        # how many connections
        self._rounds = StripeRounds(self._loop.time())
        self._datagrams = 0

    # --- as a Link

    def write(self, data: bytes) -> None:
        """Queue bytes; after the end they are lost."""
        if data and self._reason is None and not self._said_all:
            self._held.append(memoryview(data))
            self._written += len(data)
            self._pump()

    async def drain(self) -> None:
        """Wait until all that is written has been passed to a connection and leaves soon, or the link has
        ended."""
        while self._reason is None and self._held:
            await self.changes.next()

    def send_datagram(self, data: bytes) -> bool:
        """Send a datagram of at most `max_datagram` bytes; False if it was dropped here."""
        if self._reason is not None or len(data) > self.max_datagram or not self._sending:
            return False
        if self._datagrams >= MAX_WAITING_DATAGRAMS:
            return False
        self._datagrams += 1
        self._sending[0].send_datagram(data)
        return True

    def move(self, path: DatagramPath) -> bool:
        """Go on over another path."""
        if self._reason is not None:
            return False
        self._path = self._carrier = path
        self.connections.send = path.send
        path.attach(self.connections.receive, self.path_changed)
        self.path_changed()
        return True

    async def close(self) -> None:
        """Deliver what is queued, as long as the peer takes it, then say goodbye. Idempotent."""
        if self._reason is None and not self._said_all:
            self._said_all = True
            self._final = self._written
            self._pump()
        with contextlib.suppress(TimeoutError):
            while not self._delivered():
                async with asyncio.timeout(CLOSE_S):
                    await self._some_delivered()
        self._over(GOODBYE, "closed on this side")

    def abort(self) -> None:
        """End at once; what waits to be read is dropped. Idempotent."""
        if self._reason is None and self._live:
            connection = (self._sending or self._live)[0]
            connection.write(HEAD.pack(BROKEN_OFF_FRAME, 0, 0))  # heard sooner than a close
            connection.flush()
        self._break_off("broken off on this side")
        self._inbox.end(drop=True)

    # --- sending

    def _pump(self) -> None:
        """Pass on what is written, a piece at a time, to whichever connection sends it first."""
        if not self._waiting:
            self._note_progress()
        while self._held and self._next < self._limit:
            free = [each for each in self._sending[: self._rounds.count.wanted] if each.has_room]
            if not free:
                break
            connection = min(free, key=lambda each: each.unsent)
            first = self._held[0]
            size = min(PIECE, self._limit - self._next, len(first))
            piece = bytes(first[:size])
            if size == len(first):
                self._held.popleft()
            else:
                self._held[0] = first[size:]
            self._kept.append((self._next, piece))
            connection.write(HEAD.pack(DATA, size, self._next) + piece)
            self._next += size
            self._sent = max(self._sent, self._next)
        if self._next == self._final and self._sending and not self._held:
            self._next += 1  # the end counts as one byte more (as TCP counts FIN, RFC 9293 3.4)
            self._sent = max(self._sent, self._next)
            self._sending[0].write(HEAD.pack(END, 0, self._final))
        self._look_after()

    def _send_again(self) -> None:
        """All that was not acknowledged, over the connections that there are now."""
        again, self._kept = self._kept, deque()
        self._held.extendleft(memoryview(piece) for _, piece in reversed(again))
        self._next = again[0][0] if again else min(self._next, self._written)
        self._pump()

    def _acknowledge(self, received: int, limit: int) -> None:
        if received > self._sent:
            self._break_off("the peer acknowledged what was not sent")
            return
        self._limit = max(self._limit, min(limit, received + WINDOW))  # what it grants, this side has to keep
        if received > self._acknowledged:
            self._acknowledged = received
            self._note_progress()
            while self._kept and self._kept[0][0] + len(self._kept[0][1]) <= received:
                self._kept.popleft()
            self._skip(received)
        self._pump()
        self.changes.tell()

    def _skip(self, received: int) -> None:
        """What is to be sent again may have arrived before its connection was replaced."""
        while self._next < received and self._held:
            first, size = self._held[0], received - self._next
            if size < len(first):
                self._held[0] = first[size:]
            else:
                self._held.popleft()
            self._next += min(size, len(first))
        self._next = max(self._next, received)

    def _note_progress(self) -> None:
        self._pings_before = sum(each.pings_answered for each in self._live)
        self._progress_at = self._loop.time()

    def _delivered(self) -> bool:
        return self._reason is not None or (self._final is not None and self._acknowledged > self._final)

    async def _some_delivered(self) -> None:
        before = self._acknowledged
        while not self._delivered() and self._acknowledged == before:
            await self.changes.next()

    def _control(self) -> PeerConnection | None:
        return next(iter(self._sending or self._live), None)

    # --- the connections

    def try_first(self, use: bytes) -> PeerConnection:
        """Begin a first connection, beside those that were begun before."""
        self._first_tries.append(self.connections.open(use, probes=self._probes))
        return self._first_tries[-1]

    @property
    def trying_first(self) -> bool:
        """May one of them still be established?"""
        return any(not each.closed for each in self._first_tries)

    def open(self, use: bytes) -> None:
        """Another connection, if none is being opened already."""
        if self._opening is None and self._reason is None:
            self._opening = self.connections.open(use, probes=self._probes)

    def completed(self, connection: PeerConnection) -> None:
        """The first one proves the peer; others are for what one of the two sends."""
        self.connections.proven(connection)
        self._live.append(connection)
        self._close_surplus()
        if connection is self._opening:
            self._opening = None
            if self._sending == [self.first] and not self._leads:
                self._sending = []  # its datagrams cannot become larger
                self._rounds.count.new_path()
            self._sending.append(connection)
        if self.first is None:
            self._begin(connection)
        self._pump()

    def _close_surplus(self) -> None:
        """Of the peer's connections: it uses no more than a few, and others were replaced."""
        theirs = [each for each in self._live if not each.is_client]
        if len(theirs) > MOST_OF_PEER:
            min(theirs, key=lambda each: each.heard_at).close(REPLACED, "")

    def _begin(self, connection: PeerConnection) -> None:
        self.first, self._sending = connection, [connection]
        uses = connection.uses
        self._own_use, self.connections.accepts = uses if self._leads else reversed(uses)
        for each in self._first_tries:
            if each is not connection:
                each.close(REPLACED, "")
        self.connections.drop_unproven()
        self.problem = None
        self.changes.tell()

    def connection_ended(self, connection: PeerConnection, code: int, reason: str) -> None:
        """Its data goes another way if it was replaced; else that is the end."""
        self.connections.let_go_of(connection)
        if self.first is None:
            self.problem = self.problem if self._reason else reason
            self.changes.tell()
            return
        if connection is self._opening:
            self._opening = None
            if not self._live:
                self._over(code, reason)
            return
        if connection not in self._live:
            return
        self._live.remove(connection)
        if code != REPLACED:
            self._over(code, reason)
        elif connection in self._sending:
            self._sending.remove(connection)
            self._send_again()
            self.open(self._own_use)

    def _replace(self) -> None:
        """Small packets arrive and large ones do not: begin anew with small ones."""
        logger.debug("pings are answered, data is not: smaller packets from now on")
        old, self._sending, self._probes = self._sending, [], False
        if self._opening is not None:
            self._opening.close(REPLACED, "")
        for connection in old:
            if connection in self._live:
                self._live.remove(connection)
            connection.close(REPLACED, "")
        self._send_again()
        self.open(self._own_use)

    def path_changed(self) -> None:
        """Try the new path at once, and measure it anew."""
        self._rounds.count.new_path()
        for connection in self._live:
            connection.ping()

    def flushed(self) -> None:
        """Something was taken, or may have left."""
        self._datagrams = 0
        busy = any(each.unsent for each in self._sending)
        self._rounds.flushed(self._loop.time(), busy=busy)
        if busy and self._sending:
            if not self._sending[0].pinging:
                self._sending[0].ping()
            if not self._leads and self._sending == [self.first]:
                self.open(self._own_use)
            elif self._rounds.over(self._loop.time(), self._next):
                self._sending.sort(key=lambda each: -each.bytes_per_s)  # where fewer are used, the fastest
                if self._rounds.count.wanted > len(self._sending):
                    self.open(self._own_use)
        self._pump()
        self.changes.tell()

    def round_trip(self, connection: PeerConnection, seconds: float) -> None:
        """A ping was answered after so long."""
        self._rounds.round_trip(seconds)

    def datagram(self, data: bytes) -> None:
        """One has come."""
        self._datagram(data)

    # --- looking after it

    @property
    def _waiting(self) -> bool:
        """Was something sent that the peer has not acknowledged?"""
        return self._next > self._acknowledged

    def _look_after(self) -> None:
        if self._reason is not None or self.first is None:
            return
        after_s = PROBE_S if self._waiting else KEEP_ALIVE_S
        if self._watch is None or self._watch.when() > self._loop.time() + after_s:
            if self._watch is not None:
                self._watch.cancel()
            self._watch = self._loop.call_later(after_s, self._look)

    def _look(self) -> None:
        self._watch = None
        now = self._loop.time()
        if now - max((each.heard_at for each in self._live), default=now) >= IDLE_S:
            self._break_off(f"nothing came from the peer for {IDLE_S:.0f} s")
            return
        pings = sum(each.pings_answered for each in self._live) - self._pings_before
        if self._waiting and now - self._progress_at >= STALLED_S and pings >= STALLED_PINGS:
            self._note_progress()
            self._replace()
        for connection in self._live:
            if self._waiting or now - connection.heard_at >= KEEP_ALIVE_S:
                connection.ping()
        self._look_after()

    # --- the end

    def _finish(self, reason: str) -> None:
        """Nothing more can be read or written; what has arrived can still be read."""
        if self._reason is None:
            self._reason = reason
        self._inbox.end()
        self.changes.tell()

    def _break_off(self, reason: str) -> None:
        self._over(BROKEN_OFF, reason)

    def _over(self, code: int, reason: str) -> None:
        self._finish(reason)
        for timer in (self._watch, self._report_due):
            if timer is not None:
                timer.cancel()
        self._path.detach()
        for connection in [*self._live, *self._first_tries, *([self._opening] if self._opening else [])]:
            connection.close(max(0, code), reason)
        self.connections.drop_unproven()
