"""Driving sans-IO transactions over UDP sockets: one loop for STUN, dial-backs, NAT-PMP and PCP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from nattools.model.endpoint import Endpoint
from nattools.net.base import IcmpError, UdpSocket
from nattools.net.eventloop import TimedEvent

logger = logging.getLogger(__name__)
OnDone = Callable[[], None]
_HARMLESS = ("time-exceeded", "too-big")


class AnyTransaction(Protocol):
    """A request and its answer, as a pure state machine; `now` is the loop's time in seconds.

    `datagrams_to_send` has what is due: at first, and after each other call. `next_timeout` is None before
    the first datagram and once it is done.
    """

    @property
    def done(self) -> bool:
        """Is it over, in whichever way?"""

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Endpoint]]:
        """(datagram, destination) that are due."""

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`."""

    def handle_timeout(self, now: float) -> None:
        """Make due what is to be repeated, or give up. Too early is harmless."""

    def receive_datagram(self, data: bytes, source: Endpoint, now: float) -> bool:
        """Take a datagram; False: it does not belong to this transaction."""

    def abandon(self, problem: str) -> None:
        """End it: it can have no answer."""


class _Entry:
    __slots__ = ("destinations", "on_done", "socket", "transaction")

    def __init__(self, transaction: AnyTransaction, socket: UdpSocket, on_done: OnDone | None) -> None:
        self.transaction = transaction
        self.socket = socket
        self.on_done = on_done
        self.destinations: set[Endpoint] = set()


class Exchanges:
    """Any number of transactions under way, on one socket or on several.

    It leaves the sockets' handlers alone: hand in what arrives with `receive_datagram` and `handle_icmp`.
    Either await `run` (or `step`, to look in between), or drive it by hand: `send_due(now)` when
    `next_timeout()` is reached. A hard ICMP error about a transaction's datagram, or a datagram that cannot
    be sent, abandons it (RFC 8489 6.2.1).
    """

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._changed = TimedEvent()

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._entries)

    @property
    def idle(self) -> bool:
        """Is every transaction over?"""
        return not self._entries

    def start(self, transaction: AnyTransaction, socket: UdpSocket, on_done: OnDone | None = None) -> None:
        """Add one; it sends with the next `send_due`. `on_done` is called once when it is over."""
        self._entries.append(_Entry(transaction, socket, on_done))
        self._changed.set()

    def wake(self) -> None:
        """Look again: a transaction was changed from outside, or `step` is to return."""
        self._changed.set()

    def receive_datagram(
        self, data: bytes, source: Endpoint, now: float, socket: UdpSocket | None = None
    ) -> bool:
        """Take what arrived (on `socket`, if there are several); False: it belongs to no transaction."""
        for entry in self._entries:
            if socket in (None, entry.socket) and entry.transaction.receive_datagram(data, source, now):
                self._settle()
                self._changed.set()
                return True
        return False

    def handle_icmp(self, error: IcmpError) -> None:
        """Take an ICMP error: it ends the transactions that sent to that destination."""
        if error.kind in _HARMLESS:
            return
        for entry in self._entries:
            if error.destination in entry.destinations:
                _abandon(entry, f"ICMP {error.kind} from {error.offender or 'an unknown host'}")
        self._settle()
        self._changed.set()

    def next_timeout(self) -> float | None:
        """When `send_due` has something to do, as far as is known."""
        times = [at for entry in self._entries if (at := entry.transaction.next_timeout()) is not None]
        return min(times, default=None)

    def send_due(self, now: float) -> None:
        """Handle timeouts, and send what is due."""
        for entry in self._entries:
            entry.transaction.handle_timeout(now)
            for data, destination in entry.transaction.datagrams_to_send(now):
                entry.destinations.add(destination)
                failure = entry.socket.send(data, destination)
                if failure is not None:
                    _abandon(entry, f"sending failed: {failure}")
        self._settle()

    async def step(self, until: float | None = None) -> None:
        """Send what is due, then wait: for an arrival, for the next timeout, but not beyond `until`. Returns
        at once if nothing is under way and there is no `until`."""
        now = asyncio.get_running_loop().time()
        self._changed.clear()
        self.send_due(now)
        times = [at for at in (self.next_timeout(), until) if at is not None]
        if times:
            await self._changed.wait(max(0.0, min(times) - now))

    async def run(self) -> None:
        """Until every transaction is over."""
        while self._entries:
            await self.step()

    def _settle(self) -> None:
        over = [entry for entry in self._entries if entry.transaction.done]
        if over:
            self._entries = [entry for entry in self._entries if not entry.transaction.done]
            for entry in over:
                if entry.on_done is not None:
                    entry.on_done()


def _abandon(entry: _Entry, problem: str) -> None:
    logger.debug("%s abandoned: %s", type(entry.transaction).__name__, problem)
    entry.transaction.abandon(problem)


async def run(transaction: AnyTransaction, socket: UdpSocket) -> None:
    """Drive one transaction to its end on a socket whose handlers are free; they are free again afterwards.
    A network failure ends it and is never raised."""
    exchanges = Exchanges()
    attach(exchanges, socket)
    exchanges.start(transaction, socket)
    try:
        await exchanges.run()
    finally:
        socket.on_datagram = socket.on_icmp = None


def attach(exchanges: Exchanges, socket: UdpSocket) -> None:
    """Let a socket's handlers feed the exchanges."""
    loop = asyncio.get_running_loop()

    def on_datagram(data: bytes, source: Endpoint) -> None:
        exchanges.receive_datagram(data, source, loop.time(), socket)

    socket.on_datagram = on_datagram
    socket.on_icmp = exchanges.handle_icmp
