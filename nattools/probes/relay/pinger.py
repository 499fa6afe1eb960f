"""Round trips to a server without relaying: STUN questions, of many servers at once from one port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import Network, UdpSocket
from nattools.net.eventloop import TimedEvent
from nattools.probes.relay.inflight import InFlightLimit
from nattools.protocols import stun

FIRST_WAIT_S: Final = 1.0
"""For the first answer; afterwards the round trip is known."""
_ENOUGH: Final = 3
"""Questions without any answer: the server is silent."""
_BLOCKED: Final = 20
"""The same, to whichever servers."""
Request = Callable[[bytes], bytes]
"""A question with this transaction id."""


class PingAnswer(NamedTuple):
    """An answer: after how many seconds, and how the server sees us."""

    seconds: float
    mapped: Endpoint | None


class _Waiting:
    __slots__ = ("came", "to", "trip")

    def __init__(self, to: Endpoint) -> None:
        self.to = to
        self.came = TimedEvent()
        self.trip: tuple[float, Endpoint | None] | None = None


class Pinger:
    """Asks from one socket, whose datagrams it takes; what belongs to no question goes to `other`."""

    def __init__(self, socket: UdpSocket, flight: InFlightLimit) -> None:
        self.socket = socket
        self.other: Callable[[bytes, Endpoint], None] | None = None
        self._flight = flight
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[bytes, _Waiting] = {}
        self._silence = 0
        socket.on_datagram = self._arrived

    async def trip(self, request: Request, to: Endpoint, wait_s: float = FIRST_WAIT_S) -> PingAnswer | None:
        """One question; None: no answer in so many seconds."""
        await self._flight.take()
        with self._flight.taken():
            transaction_id = stun.new_transaction_id()
            waiting = self._waiting[transaction_id] = _Waiting(to)
            began_at = self._loop.time()
            try:
                if self.socket.send(request(transaction_id), to) is not None:
                    return None
                await waiting.came.wait(wait_s)
            finally:
                del self._waiting[transaction_id]
            return None if waiting.trip is None else PingAnswer(waiting.trip[0] - began_at, waiting.trip[1])

    async def trips(
        self, request: Request, to: Endpoint, count: int, wait_s: float = FIRST_WAIT_S
    ) -> list[PingAnswer]:
        """So many questions one after the other; those that were answered. It ends early where none of the
        first is, and at once where so many to anybody were not that UDP must be blocked."""
        found: list[PingAnswer] = []
        for number in range(count):
            if not found and (number >= _ENOUGH or self._silence >= _BLOCKED):
                break
            trip = await self.trip(request, to, wait_s)
            if trip is not None:
                found.append(trip)
                wait_s = min(FIRST_WAIT_S, max(0.2, 3 * max(each.seconds for each in found)))
            if trip is not None or self._silence < 0:
                self._silence = -1  # somebody answers: each server's silence is its own
            else:
                self._silence += 1
        return found

    def _arrived(self, data: bytes, source: Endpoint) -> None:
        waiting = self._waiting.get(data[8:20])
        if waiting is None or source != waiting.to:
            if self.other is not None:
                self.other(data, source)
            return
        try:
            answer = stun.decode(data)
            mapped = answer.mapped
        except ProtocolError:
            return
        if answer.kind == "success" and answer.method == stun.BINDING and waiting.trip is None:
            waiting.trip = self._loop.time(), mapped
            waiting.came.set()


async def open_pinger(
    network: Network,
    family: Family,
    flight: InFlightLimit,
    interface: str | None = None,
    *,
    whole: bool = False,
) -> Pinger:
    """From a fresh port; `whole`: what it sends is not to be fragmented. CannotRun: there is no such port."""
    wanted = whole and network.missing("dont-fragment") is None
    socket = await network.open_udp(family=family, interface=interface, dont_fragment=wanted)
    return Pinger(socket, flight)
