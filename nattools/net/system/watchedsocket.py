"""What UDP and ICMP sockets of the system share: the loop watches them, and Linux queues the ICMP errors
about what they sent."""

from __future__ import annotations

import asyncio
import logging
import socket

from nattools.net.base import IcmpError, IcmpHandler
from nattools.net.system import linux
from nattools.net.system.readiness import ReadWatch, read_watch

logger = logging.getLogger(__name__)

BATCH = range(64)  # datagrams a wakeup: enough to be fast, few enough not to starve the loop's other work
MOST_FAILURES = 64  # errors in a row that no datagram and no ICMP error explains
PAUSE_S = 1.0


class WatchedSocket:
    """Reads when the loop finds the socket readable (`_readable`), and pauses where an error stays."""

    __slots__ = ("_closed", "_failures", "_loop", "_on_icmp", "_sock", "_watched_by")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._on_icmp: IcmpHandler | None = None
        self._closed = False
        self._failures = 0
        self._watched_by: ReadWatch | None = None

    @property
    def on_icmp(self) -> IcmpHandler | None:
        """Called with each ICMP error; setting it makes the kernel collect them."""
        return self._on_icmp

    @on_icmp.setter
    def on_icmp(self, handler: IcmpHandler | None) -> None:
        queued = linux.AVAILABLE and self._sock.type == socket.SOCK_DGRAM  # a raw socket reads the errors
        if handler is not None and queued and not self._closed:
            linux.collect_icmp_errors(self._sock)
        self._on_icmp = handler

    def close(self) -> None:
        """Idempotent."""
        if not self._closed:
            self._closed = True
            self._unwatch()
            self._sock.close()

    def _watch(self) -> None:
        if self._closed:
            return
        self._watched_by = read_watch(self._loop)
        if self._watched_by is None:
            self._loop.add_reader(self._sock.fileno(), self._readable)
        else:
            self._watched_by.add(self._sock.fileno(), self._readable)

    def _unwatch(self) -> None:
        if self._watched_by is None:
            self._loop.remove_reader(self._sock.fileno())
        else:
            self._watched_by.remove(self._sock.fileno())

    def _readable(self) -> None:
        raise NotImplementedError

    def _receive_failed(self, error: OSError) -> None:
        """Deliver ICMP errors; pause where an error stays, since it would wake the loop again at once."""
        errors = self._pending_errors()
        self._deliver(errors)
        self._failures = 0 if errors else self._failures + 1
        if self._must_pause(error) and not self._closed:
            self._unwatch()
            self._loop.call_later(PAUSE_S, self._watch)

    def _must_pause(self, error: OSError) -> bool:
        if self._failures < MOST_FAILURES:
            return False
        logger.debug("%r: receiving pauses after %d errors: %s", self._sock, self._failures, error)
        return True

    def _pending_errors(self) -> list[IcmpError]:
        errors: list[IcmpError] = []
        if not linux.AVAILABLE:
            return errors
        for _ in BATCH:
            error = linux.read_error(self._sock)
            if error is None:
                break
            if isinstance(error, IcmpError):
                errors.append(error)
        return errors

    def _deliver(self, errors: list[IcmpError]) -> None:
        for error in errors:
            if self._on_icmp is not None and not self._closed:
                self._on_icmp(error)
