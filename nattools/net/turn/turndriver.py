"""Drives an allocation on a relay over a UDP socket or over a stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import BatchHandler, DatagramHandler, IcmpError, IcmpHandler, TcpStream, UdpSocket
from nattools.net.eventloop import TimeLimit
from nattools.protocols import turn
from nattools.protocols.turn.clientallocation import AllocationEvent, ClientAllocation
from nattools.protocols.turn.refusal import TurnRefusal

logger = logging.getLogger(__name__)

MOST_UNSENT: Final = 131_072
"""Bytes that wait for a stream to take them; datagrams that come then are dropped, as any router's full queue
does, so that those who send notice what the way carries."""

RELEASE_S: Final = 2.0
"""So long the answer to the last request is waited for."""


class TurnStream:
    """A stream to a relay, which is used as a UDP socket is: each message is a datagram. `on_end` is told
    once when it is over. Only the relay can be sent to."""

    def __init__(self, stream: TcpStream) -> None:
        self.local = stream.local
        self.remote = stream.remote
        self.on_datagram: DatagramHandler | None = None
        self.on_batch: BatchHandler | None = None
        self.on_icmp: IcmpHandler | None = None
        self.on_end: Callable[[str], None] | None = None
        self._stream = stream
        self._unsent = 0
        self._written = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def full(self) -> bool:
        """Does it carry no more at the moment?"""
        return self._unsent > MOST_UNSENT

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> None:
        """Queue a message."""
        self._unsent += len(data)
        self._stream.write(data)
        self._written.set()

    def send_many(self, datagrams: list[bytes], to: Endpoint) -> None:
        """Queue them in order."""
        self.send(b"".join(datagrams), to)

    def close(self) -> None:
        """Send what is queued, then FIN. Idempotent."""
        self.on_end = None
        self._task.cancel()
        self._stream.close()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(self._drain())
            why = await self._read()
            draining.cancel()
        if self.on_end is not None:
            self.on_end(why)

    async def _drain(self) -> None:
        while True:
            await self._written.wait()
            self._written.clear()
            await self._stream.drain()
            self._unsent = 0

    async def _read(self) -> str:
        framer = turn.TurnFramer()
        try:
            while data := await self._stream.read():
                for message in framer.feed(data):
                    if self.on_datagram is not None:
                        self.on_datagram(message, self.remote)
        except ProtocolError as error:
            return f"it sent what is not TURN: {error}"
        return "it ended the connection"


Carrier = UdpSocket | TurnStream


class TurnDriver:
    """Owns the carrier given to it, and the timer. Make it within the event loop; close it at the end.

    `on_data` gets what peers send, `on_event` what else there is, and `on_end` is told once when the
    allocation is over, but for `close` and `release`. Errors of ICMP about the way to the relay count until
    it has answered; later on they may be forged, or about something that passes."""

    def __init__(self, carrier: Carrier, allocation: ClientAllocation) -> None:
        self.carrier = carrier
        self.allocation = allocation
        self.on_data: Callable[[Endpoint, bytes], None] | None = None
        self.on_event: Callable[[AllocationEvent], None] | None = None
        self.on_end: Callable[[], None] | None = None
        self.problem: str | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._closed = False
        carrier.on_datagram = self._arrived
        carrier.on_icmp = self._icmp
        if isinstance(carrier, TurnStream):
            carrier.on_end = self.abandon
        self.drive()

    def drive(self) -> None:
        """Send what is due, and pass on what happened."""
        now = self._loop.time()
        for data, to in self.allocation.datagrams_to_send(now):
            failure = self.carrier.send(data, to)
            if failure is not None and not self.allocation.answered:
                self.problem = failure
                self.allocation.abandon(f"sending failed: {failure}")
        for event in self.allocation.take_events():
            if self.on_event is not None:
                self.on_event(event)
        self._reschedule(now)
        self._changed.set()
        if self.allocation.done and self.on_end is not None and not self._closed:
            on_end, self.on_end = self.on_end, None
            on_end()

    def abandon(self, problem: str) -> None:
        """The way to the relay is broken."""
        self.problem = self.problem or "closed"
        self.allocation.abandon(problem)
        self.drive()

    async def change(self) -> None:
        """Wait until something has happened; several may wait."""
        if self._changed.is_set():
            self._changed = asyncio.Event()
        await self._changed.wait()

    async def permit(self, host: str) -> TurnRefusal | None:
        """Let an address in, until the end; why the relay does not."""
        permission = self.allocation.permit(host, self._loop.time())
        if permission is None:
            return TurnRefusal("permission", "abandoned", None, "there are too many peers")
        self.drive()
        while permission.state == "wanted" and self.allocation.state == "standing":
            await self.change()
        if self.allocation.state == "standing":
            return permission.refusal
        return self.allocation.refusal or TurnRefusal("permission", "abandoned", None, "it is over")

    async def release(self) -> None:
        """Give the allocation back, wait a little for the answer, and close."""
        self.on_end = None
        try:
            self.allocation.release(self._loop.time())
            self.drive()
            async with TimeLimit(RELEASE_S):
                while not self.allocation.done:
                    await self.change()
        finally:
            self.close()

    def close(self) -> None:
        """Give the allocation back without waiting for the answer. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if not self.allocation.done:
            now = self._loop.time()
            if self.allocation.state != "releasing":
                self.allocation.release(now)
            for data, to in self.allocation.datagrams_to_send(now):
                self.carrier.send(data, to)
            self.allocation.abandon("closed on this side")
        if self._timer is not None:
            self._timer.cancel()
        self._changed.set()
        self.carrier.close()

    def _reschedule(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = None if self._closed else self.allocation.next_timeout()
        self._timer = None if at is None else self._loop.call_at(max(at, now), self._timeout)

    def _timeout(self) -> None:
        self._timer = None
        self.allocation.handle_timeout(self._loop.time())
        self.drive()

    def _arrived(self, data: bytes, source: Endpoint) -> None:
        if source != self.allocation.server:
            return
        found = self.allocation.unwrap(data)
        if found is not None:
            if self.on_data is not None:
                self.on_data(*found)
        elif self.allocation.receive_datagram(data, source, self._loop.time()):
            self.drive()

    def _icmp(self, error: IcmpError) -> None:
        if self.allocation.answered or error.kind in ("time-exceeded", "too-big"):
            return
        self.problem = error.kind
        self.abandon(f"ICMP {error.kind} from {error.offender or 'an unknown host'}")
