"""QUIC connections (RFC 9000) between two peers that share a secret. Importing this imports qh3.

Both sides prove that they know the secret by using it as the pre-shared key of the TLS handshake, with
fresh Diffie-Hellman keys (psk_dhe_ke, RFC 8446 2.2 and 4.2.11): qh3 has it as the resumption of a session. A
client that does not use it is refused as soon as its ClientHello is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from qh3 import QuicConnection, QuicConnectionError
from qh3.quic.events import (
    ConnectionIdIssued,
    ConnectionIdRetired,
    ConnectionTerminated,
    DatagramFrameReceived,
    HandshakeCompleted,
    PingAcknowledged,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from qh3.quic.packet import QuicErrorCode

from nattools.traversal.identity import UNPROVEN
from nattools.traversal.links.quickeys import DATAGRAM_SIZE, ID_SIZE, IDLE_S, Keys
from nattools.traversal.links.quicreceive import BROKEN_OFF, GOODBYE, REPLACED, ConnectionOwner

logger = logging.getLogger(__name__)

PEER: Final = ("::1", 1)
"""The only address that qh3 ever sees: which path is used is none of its business."""
MAX_DATAGRAM: Final = DATAGRAM_SIZE - 1 - 8 - 2 - 16 - 3
"""Of a DATAGRAM frame: what a packet leaves besides its first byte, connection ID, number and tag, and the
frame's type and length (RFC 9221 4)."""
ATTEMPTS: Final = 4
"""So many unproven clients are heard at once; the oldest one makes room."""
VERSION: Final = (1).to_bytes(4, "big")
RETRY: Final = 0xF0
"""No peer has another version, or sends Retry (RFC 9000 17.2.5): whoever does is nobody."""
KEY_PACKETS: Final = 1 << 22
"""One key seals half as many packets as AES-128-GCM may at most (RFC 9001 6.6)."""
CRYPTO_ERRORS: Final = range(0x100, 0x200)
"""A TLS alert, as QUIC's error code (RFC 9001 4.8)."""
ROOM: Final = 65_536
SMALLEST_ROOM: Final = 4_800
ROOM_S: Final = 0.01
"""What is written waits behind what was written before; so no more may wait than leaves in this time."""
SAMPLE_S: Final = 0.05
_OFTEN: Final = 2
"""Nobody confirms a CONNECTION_CLOSE: so many are sent."""


class PeerConnection:
    """Drives one QUIC connection on the event loop: one stream each way, and DATAGRAM frames."""

    def __init__(
        self, quic: QuicConnection, send: Callable[[list[bytes]], None], owner: ConnectionOwner
    ) -> None:
        self.quic = quic
        self.is_client = quic.configuration.is_client
        self.owner = owner
        self.on_id: Callable[[bytes], None] | None = None
        self.on_id_gone: Callable[[bytes], None] | None = None
        self.ready = False
        self.closed = False
        self.pings_answered = 0
        self.unparsed = bytearray()
        self.heard_at = 0.0
        self._send = send
        self._stream = 2 if self.is_client else 3
        self._loop = asyncio.get_running_loop()
        self._woken = self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._pings: dict[int, float] = {}
        self._asked = 0
        self._written = self._packets = 0
        self._key_due = KEY_PACKETS
        self._sample = (self._loop.time(), 0)
        self.bytes_per_s = 0.0

    @property
    def uses(self) -> tuple[bytes, bytes]:
        """What the leader's and the follower's further connections are known by, once this one stands."""
        own = self.quic.original_destination_connection_id
        return b"leader" + own, b"follower" + own

    @property
    def knows_secret(self) -> bool:
        """Has the peer used it? It may still be a replay until the handshake is complete."""
        return self.quic.tls is not None and self.quic.tls.session_resumed

    @property
    def refuted(self) -> bool:
        """Has the peer said all that it should, and not used the secret?"""
        return self.quic.get_cipher() is not None and not self.knows_secret

    @property
    def unsent(self) -> int:
        """Bytes written that have never left: whatever is written next waits for them."""
        return self.quic.get_send_buffer_size(self._stream)

    @property
    def has_room(self) -> bool:
        """Would what is written now leave soon?"""
        room = min(ROOM, max(SMALLEST_ROOM, int(self.bytes_per_s * ROOM_S)))
        return self.ready and not self.closed and not self._closing and self.unsent <= room

    def connect(self) -> None:
        """Begin as the client."""
        self.quic.connect(PEER, self._loop.time())
        self.wake()

    def receive(self, data: bytes, size: int) -> bool:
        """Datagrams of `size` bytes. Was there news in them, of the peer if it is proven?"""
        if self.closed:
            return False
        now = self._loop.time()
        try:
            if len(data) > size:
                self.quic.receive_gro_buffer(data, size, PEER, now)
            else:
                self.quic.receive_datagram(data, PEER, now)
        except Exception as error:
            self._broken(error)
            return False
        news = self._tell()
        if news:
            self.heard_at = now
        self.wake()
        return news

    def write(self, data: bytes) -> None:
        """Queue bytes of the own stream."""
        self._written += len(data)
        self._do(self.quic.send_stream_data, self._stream, data)

    def send_datagram(self, data: bytes) -> None:
        """Send a datagram of at most MAX_DATAGRAM bytes."""
        self._do(self.quic.send_datagram_frame, data)

    def ping(self) -> None:
        """Ask for a sign of life; it leaves even where nothing else may."""
        if self.ready and not self.closed:
            self._asked += 1
            self._pings[self._asked] = self._loop.time()
            self._do(self.quic.send_ping, self._asked)

    def _do(self, what: Callable[..., None], *arguments: object) -> None:
        """Unless the peer has closed it: qh3 tells of that only after a while (RFC 9000 10.2)."""
        try:
            what(*arguments)
        except QuicConnectionError:
            self._closing = True
        self.wake()

    @property
    def pinging(self) -> bool:
        """Is a ping unanswered?"""
        return bool(self._pings)

    def wake(self) -> None:
        """Send what is due, once all is said that is to be said now."""
        if not self._woken and not self.closed:
            self._woken = True
            self._loop.call_soon(self._run)

    def close(self, code: int, reason: str) -> None:
        """Tell the peer, and end. Idempotent."""
        if self.closed:
            return
        try:
            self.quic.close(error_code=code)  # what was not sent by now is dropped
            datagrams = [data for data, _ in self.quic.datagrams_to_send(self._loop.time())]
            self._send(datagrams * _OFTEN)
        except Exception:
            logger.debug("a QUIC connection could not be closed in order", exc_info=True)
        self._end(code, reason)

    # --- the driving

    def _run(self) -> None:
        self._woken = False
        if self.closed:
            return
        try:
            self.flush()
        except Exception as error:
            self._broken(error)
            return
        self._set_timer()
        self.owner.flushed()

    def flush(self) -> None:
        """Send what is due now."""
        now = self._loop.time()
        datagrams = [data for data, _ in self.quic.datagrams_to_send(now)]
        if datagrams:
            self._send(datagrams)
            self._note_sent(len(datagrams), now)

    def _note_sent(self, count: int, now: float) -> None:
        self._packets += count
        if self._packets >= self._key_due and self.ready:
            self._key_due = self._packets + KEY_PACKETS
            with contextlib.suppress(ValueError):  # the peer has just begun one
                self.quic.request_key_update()
        since, before = self._sample
        if now - since >= SAMPLE_S:
            left = self._written - self.unsent
            self.bytes_per_s = (left - before) / (now - since)
            self._sample = now, left

    def _tell(self) -> bool:
        """What has happened; was it anything?"""
        news = False
        while not self.closed and (event := self.quic.next_event()) is not None:
            news = True
            if isinstance(event, StreamDataReceived):
                self.owner.stream_data(self, event.data)
            else:
                self._tell_of_rare(event)
        return news

    def _tell_of_rare(self, event: QuicEvent) -> None:
        if isinstance(event, DatagramFrameReceived):
            self.owner.datagram(event.data)
        elif isinstance(event, PingAcknowledged):
            sent_at = self._pings.get(event.uid)
            self._pings = {uid: at for uid, at in self._pings.items() if uid > event.uid}
            if sent_at is not None:
                self.pings_answered += 1
                self.owner.round_trip(self, self._loop.time() - sent_at)
        elif isinstance(event, HandshakeCompleted):
            if event.session_resumed:
                self.ready = True
                self.owner.completed(self)
            else:
                self.close(BROKEN_OFF, UNPROVEN)
        elif isinstance(event, ConnectionIdIssued):
            if self.on_id is not None:
                self.on_id(event.connection_id)
        elif isinstance(event, ConnectionIdRetired):
            if self.on_id_gone is not None:
                self.on_id_gone(event.connection_id)
        elif isinstance(event, StreamReset | StopSendingReceived):
            self.close(BROKEN_OFF, "the peer broke it off")
        elif isinstance(event, ConnectionTerminated):
            logger.debug(
                "QUIC has ended: %s, frame %s, %r", event.error_code, event.frame_type, event.reason_phrase
            )
            self._end(event.error_code if event.frame_type is None else -1, _why(event))

    def _set_timer(self) -> None:
        when = self.quic.get_timer()
        if self._timer is not None:
            if when is not None and self._timer.when() <= when:
                return  # it looks again then: cheaper than a new timer for each packet
            self._timer.cancel()
        self._timer = None if when is None else self._loop.call_at(when, self._expired, when)

    def _expired(self, when: float) -> None:
        self._timer = None
        try:
            self.quic.handle_timer(max(when, self._loop.time()))
        except Exception as error:
            self._broken(error)
            return
        self._tell()
        self._run()

    def _broken(self, error: Exception) -> None:
        """Somebody's bytes found a mistake in qh3: that ends this connection, not the program."""
        logger.debug("qh3 failed", exc_info=True)
        self._end(-1, f"qh3 failed ({type(error).__name__})")

    def _end(self, code: int, reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.owner.connection_ended(self, code, reason)


class PeerConnections:
    """All connections over one path: finds out whose a datagram is, opens others and takes those of the peer.

    `accepts`: the use of the key that others are to prove; None while none are taken.
    """

    def __init__(self, keys: Keys, send: Callable[[list[bytes]], None], owner: ConnectionOwner) -> None:
        self.accepts: bytes | None = None
        self.send = send
        self._keys = keys
        self._owner = owner
        self._by_id: dict[bytes, PeerConnection] = {}
        self._unproven: list[PeerConnection] = []

    def open(self, use: bytes, *, probes: bool = True) -> PeerConnection:
        """Another connection to the peer, who is to prove that it has the key for this use."""
        connection = self._make(self._keys.client(use, probes=probes))
        connection.connect()
        return connection

    def receive(self, data: bytes, size: int) -> bool:
        """Datagrams of `size` bytes each, one behind the other. Was there news from a proven peer?"""
        news, start, whose = False, 0, self._whose(data, 0)
        for at in range(size, len(data), size):
            following = self._whose(data, at)
            if following is not whose or whose is None:
                news = self._pass(whose, data[start:at], size) or news
                start, whose = at, following
        return self._pass(whose, data[start:] if start else data, size) or news

    def let_go_of(self, connection: PeerConnection) -> None:
        """It has ended."""
        self._by_id = {key: each for key, each in self._by_id.items() if each is not connection}
        if connection in self._unproven:
            self._unproven.remove(connection)

    def drop_unproven(self) -> None:
        """Close those that have not proven anything yet."""
        for connection in list(self._unproven):
            connection.close(BROKEN_OFF, UNPROVEN)

    def proven(self, connection: PeerConnection) -> None:
        """Note that a connection is one of ours, and whatever IDs it is given are."""
        if connection in self._unproven:
            self._unproven.remove(connection)

    def _whose(self, data: bytes, at: int) -> PeerConnection | None:
        if at >= len(data) or data[at] & RETRY == RETRY:
            return None
        if not data[at] & 0x80:
            return self._by_id.get(data[at + 1 : at + 1 + ID_SIZE])
        if data[at + 1 : at + 5] != VERSION:
            return None
        length = data[at + 5] if at + 5 < len(data) else 0
        return self._by_id.get(data[at + 6 : at + 6 + length])

    def _pass(self, connection: PeerConnection | None, data: bytes, size: int) -> bool:
        connection = connection or self._accept(data)
        if connection is None:
            return False
        news = connection.receive(data, size)
        if not connection.is_client and not connection.ready and connection.refuted:
            connection.close(BROKEN_OFF, UNPROVEN)
        return news and connection.ready

    def _accept(self, data: bytes) -> PeerConnection | None:
        """A first packet (RFC 9000 14.1: it is padded) from somebody new begins an attempt."""
        initial = len(data) >= DATAGRAM_SIZE and data[0] & 0xF0 == 0xC0 and data[1:5] == VERSION
        if self.accepts is None or not initial or not ID_SIZE <= data[5] <= 20:
            return None
        while len(self._unproven) >= ATTEMPTS:
            strangers = [each for each in self._unproven if not each.knows_secret]
            (strangers or self._unproven)[0].close(BROKEN_OFF, UNPROVEN)
        original = data[6 : 6 + data[5]]
        connection = self._make(self._keys.server(self.accepts, original))
        self._by_id[original] = connection
        self._unproven.append(connection)
        return connection

    def _send_on(self, datagrams: list[bytes]) -> None:
        self.send(datagrams)  # over whichever path it is now

    def _make(self, quic: QuicConnection) -> PeerConnection:
        connection = PeerConnection(quic, self._send_on, self._owner)
        self._by_id[quic.host_cid] = connection

        def issued(connection_id: bytes) -> None:
            self._by_id[connection_id] = connection

        def retired(connection_id: bytes) -> None:
            self._by_id.pop(connection_id, None)

        connection.on_id, connection.on_id_gone = issued, retired
        return connection


def _why(over: ConnectionTerminated) -> str:
    """In words. What the peer wrote is not to be trusted."""
    if over.frame_type is None and over.error_code in (GOODBYE, BROKEN_OFF, REPLACED):
        return "the peer closed the connection" if over.error_code == GOODBYE else "the peer broke it off"
    if over.error_code in CRYPTO_ERRORS:
        return f"{UNPROVEN} (TLS alert {over.error_code - CRYPTO_ERRORS.start})"
    if over.reason_phrase == "Idle timeout":
        return f"nothing came from the peer for {IDLE_S:.0f} s"
    known = over.error_code in set(QuicErrorCode)
    name = QuicErrorCode(over.error_code).name if known else hex(over.error_code)
    return f"QUIC error {name.lower().replace('_', ' ')}"
