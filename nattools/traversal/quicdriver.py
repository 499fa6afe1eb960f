"""Drives a QUIC connection on the event loop: what arrives, what leaves, and its timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aioquic.quic.events import (
    ConnectionTerminated,
    DatagramFrameReceived,
    HandshakeCompleted,
    PingAcknowledged,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from aioquic.quic.packet import QuicErrorCode

from nattools.traversal.quicconnection import IDLE_S, PEER, PeerConnection

KEEP_ALIVE_S = 15.0
CRYPTO_ERRORS = range(0x100, 0x200)
"""A TLS alert, as QUIC's error code (RFC 9001 4.8)."""
GOODBYE = 0
BROKEN_OFF = 1
"""Error codes of our own (RFC 9000 20.2)."""
UNPROVEN = "the peer did not prove that it knows the secret"
GRAIN_S = 1e-6
"""aioquic's timers are due when their time is past, not when it is there: a clock may stand still between."""
_OFTEN = 2
"""Nobody confirms a CONNECTION_CLOSE: so many are sent."""


class QuicDriver:
    """`send` gets each datagram. `on_completed` is told of the handshake's end, `on_bytes` of bytes and
    whether they are the last, `on_datagram` of DATAGRAM frames, `on_end`, once, why the connection is over,
    and then the driver does nothing more; `on_progress` is called whenever something was taken or may have
    left."""

    def __init__(self, quic: PeerConnection, send: Callable[[bytes], None]) -> None:
        self.quic = quic
        self.on_completed: Callable[[], None] | None = None
        self.on_bytes: Callable[[bytes, bool], None] | None = None
        self.on_datagram: Callable[[bytes], None] | None = None
        self.on_end: Callable[[str], None] | None = None
        self.on_progress: Callable[[], None] | None = None
        self.ended = False
        self.send = send
        self._loop = asyncio.get_running_loop()
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._alive: asyncio.TimerHandle | None = None
        self._asked = False

    def connect(self) -> None:
        """Begin as the client."""
        self.quic.connect(PEER, self._loop.time())
        self.wake()

    def keep_alive(self) -> None:
        """From now on ask the peer for a sign of life whenever it is silent."""
        now, due = self._loop.time(), self.quic.heard_at + KEEP_ALIVE_S
        if now >= due:
            due = now + KEEP_ALIVE_S
            if not self._asked:
                self._asked = True
                self.quic.send_ping(0)
                self.wake()
        self._alive = self._loop.call_at(due, self.keep_alive)

    def arrived(self, data: bytes, size: int = 0) -> None:
        """A datagram."""
        if self.ended:
            return
        try:
            self.quic.receive_datagram(data, PEER, self._loop.time())
        except Exception as error:
            self._broken(error)
            return
        self._tell()
        self.wake()

    def wake(self) -> None:
        """Send what is due, once all is said that is to be said now."""
        if not self._woken and not self.ended:
            self._woken = True
            self._loop.call_soon(self._run)

    def path_changed(self) -> None:
        """Try the new path at once."""
        if not self.ended and self.quic.proven:
            self.quic.path_changed(self._loop.time())
            self.wake()

    def close(self, code: int, reason: str) -> None:
        """Tell the peer, and end. Idempotent."""
        if self.ended:
            return
        self.quic.close(error_code=code)
        self._flush()
        self._end(reason)

    # --- the driving

    def _run(self) -> None:
        self._woken = False
        if self.ended:
            return
        try:
            self._flush()
        except Exception as error:
            self._broken(error)
            return
        over = self.quic.over
        if over is not None:
            self._end(_why(over))
        else:
            self._set_timer()
            if self.on_progress is not None:
                self.on_progress()

    def _flush(self) -> None:
        if self.quic.get_peer_address() is None:
            return  # a follower that has not yet heard of anybody
        often = 1 if self.quic.over is None else _OFTEN
        for data, _ in self.quic.datagrams_to_send(self._loop.time()):
            for _ in range(often):
                self.send(data)

    def _tell(self) -> None:
        while not self.ended and (event := self.quic.next_event()) is not None:
            if isinstance(event, StreamDataReceived):
                if self.on_bytes is not None:
                    self.on_bytes(event.data, event.end_stream)
            else:
                self._tell_of_rare(event)

    def _tell_of_rare(self, event: QuicEvent) -> None:
        if isinstance(event, DatagramFrameReceived):
            if self.on_datagram is not None:
                self.on_datagram(event.data)
        elif isinstance(event, PingAcknowledged):
            self._asked = False
        elif isinstance(event, HandshakeCompleted):
            if self.on_completed is not None:
                self.on_completed()
        elif isinstance(event, StreamReset | StopSendingReceived):
            self.close(BROKEN_OFF, "the peer broke it off")

    def _set_timer(self) -> None:
        when = self.quic.get_timer()
        if when is not None:
            when += GRAIN_S
        if self._timer is not None:
            if when is not None and self._timer.when() <= when:
                return  # it looks again then: cheaper than a new timer for each packet
            self._timer.cancel()
        self._timer = None if when is None else self._loop.call_at(when, self._expired)

    def _expired(self) -> None:
        self._timer = None
        try:
            self.quic.handle_timer(self._loop.time())
        except Exception as error:
            self._broken(error)
            return
        self._tell()
        self._run()

    def _broken(self, error: Exception) -> None:
        """Somebody's bytes found a mistake in aioquic: that ends this connection, not the program."""
        self._end(f"aioquic failed ({type(error).__name__})")

    def _end(self, reason: str) -> None:
        self.ended = True
        for timer in (self._timer, self._alive):
            if timer is not None:
                timer.cancel()
        if self.on_end is not None:
            self.on_end(reason)


def _why(over: ConnectionTerminated) -> str:
    """In words. What the peer wrote is not to be trusted."""
    if over.frame_type is None and over.error_code in (GOODBYE, BROKEN_OFF):
        return "the peer closed the connection" if over.error_code == GOODBYE else "the peer broke it off"
    if over.error_code in CRYPTO_ERRORS:
        return f"{UNPROVEN} (TLS alert {over.error_code - CRYPTO_ERRORS.start})"
    if over.reason_phrase == "Idle timeout":
        return f"nothing came from the peer for {IDLE_S:.0f} s"
    name = (
        QuicErrorCode(over.error_code).name if over.error_code in set(QuicErrorCode) else hex(over.error_code)
    )
    return f"QUIC error {name.lower().replace('_', ' ')}"
