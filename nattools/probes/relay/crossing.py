"""Datagrams that are given to one end of a relay and awaited at the other; both ends are here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from nattools.chance import random_bytes
from nattools.model.endpoint import Endpoint
from nattools.net.base import SendFailure
from nattools.net.eventloop import TimedEvent
from nattools.probes.relay.inflight import InFlightLimit

_NUMBER: Final = 4
SMALLEST: Final = 8 + _NUMBER
FULL: Final = 1200
"""Bytes that pass nearly everywhere."""
ORDINARY: Final = 64
"""Bytes of a datagram that measures nothing but time."""
_LONGEST_GAP_S: Final = 0.05
_SHORTEST_GAP_S: Final = 0.01
_UNKNOWN_TRIP_S: Final = 0.25
Send = Callable[[bytes], SendFailure | None]


class Passage:
    """Across a relay: `send` gives a datagram to one end, and `on_datagram` is told at the other."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._crossings: list[Crossing] = []

    def crossing(self) -> Crossing:
        """New datagrams, counted by themselves."""
        crossing = Crossing(self._send)
        self._crossings.append(crossing)
        return crossing

    def take(self, data: bytes) -> bool:
        """A datagram has arrived; False: it is none of those that were sent."""
        return any(each.take(data) for each in reversed(self._crossings))

    def on_datagram(self, data: bytes, source: Endpoint) -> None:
        """Take a datagram, as a socket's handler."""
        self.take(data)


class Crossing:
    """`send` gives a datagram to one end. Hand what arrives at the other to `take`, which knows its own."""

    def __init__(self, send: Send) -> None:
        self.sent = 0
        self.reordered = 0
        self.arrived_bytes = 0
        self.trips: dict[int, float] = {}
        self._send = send
        self._secret = random_bytes(8)
        self._sent_at: list[float] = []
        self._highest = -1
        self._awaited: dict[int, TimedEvent] = {}
        self._any = TimedEvent()
        self._time = asyncio.get_running_loop().time

    def send(self, size: int = ORDINARY) -> SendFailure | None:
        """One more datagram, of so many bytes; its number is how many were sent before."""
        number = self._secret + self.sent.to_bytes(_NUMBER, "big")
        self._sent_at.append(self._time())
        self.sent += 1
        return self._send(number + bytes(max(0, size - len(number))))

    async def crossed(self, wait_s: float, size: int = ORDINARY) -> bool:
        """Send one, and wait for it, at most so long."""
        number, event = self.sent, TimedEvent()
        self._awaited[number] = event
        try:
            return self.send(size) is None and await event.wait(wait_s)
        finally:
            del self._awaited[number]

    def take(self, data: bytes) -> bool:
        """It has arrived; False: it is none of these."""
        number = int.from_bytes(data[8:SMALLEST], "big")
        if len(data) < SMALLEST or data[:8] != self._secret or not 0 <= number < self.sent:
            return False
        if number in self.trips:
            return True
        self.trips[number] = self._time() - self._sent_at[number]
        self.arrived_bytes += len(data)
        self.reordered += number < self._highest
        self._highest = max(self._highest, number)
        if number in self._awaited:
            self._awaited[number].set()
        self._any.set()
        return True

    @property
    def trip_s(self) -> float:
        """The longest up to now, or a guess."""
        return max(self.trips.values(), default=_UNKNOWN_TRIP_S)

    async def arrival(self, wait_s: float) -> bool:
        """Wait for the next datagram, at most so long."""
        self._any.clear()
        return await self._any.wait(wait_s)


async def series(crossing: Crossing, count: int, flight: InFlightLimit) -> None:
    """Send so many, evenly, and wait for them."""
    gap_s = min(_LONGEST_GAP_S, max(_SHORTEST_GAP_S, crossing.trip_s / 4))
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            await flight.take()
            group.create_task(_held(crossing, flight))
            await asyncio.sleep(gap_s)


async def _held(crossing: Crossing, flight: InFlightLimit) -> None:
    """Send one, and hold its place until it has come or will not come any more."""
    with flight.taken():
        await crossing.crossed(max(0.3, 4 * crossing.trip_s))


SIZES: Final = (1472, 1452, 1432, 1412, 1392, 1372, 1352, 1312, 1280, 1232, 1200, 1100, 1000, 800, 576)
"""Payloads of UDP that fill the packets of usual links and tunnels, IPv4 and IPv6, and what fits anywhere."""
LARGE_SIZES: Final = (65_536, 32_768, 16_384, 8192, 4096, SIZES[0], FULL)
"""Where no link limits what a relay takes, since it comes over a stream."""
_COPIES: Final = 2
_SLOWEST: Final = 60_000
"""Bytes a second of the slowest line over which large datagrams are waited for."""


async def largest(crossing: Crossing, flight: InFlightLimit, sizes: Sequence[int] = SIZES) -> int | None:
    """The largest of the `sizes` that arrives: mostly the first, else found by halving; None: not even the
    smallest does."""
    if await _passes(crossing, sizes[0], flight):
        return sizes[0]
    low, high = 1, len(sizes)  # all from `high` on arrive
    while low < high:
        middle = (low + high) // 2
        if await _passes(crossing, sizes[middle], flight):
            high = middle
        else:
            low = middle + 1
    return sizes[low] if low < len(sizes) else None


async def _passes(crossing: Crossing, size: int, flight: InFlightLimit) -> bool:
    for _ in range(_COPIES if size <= SIZES[0] else 1):
        await flight.take()
        with flight.taken():
            patience_s = max(0.15, 2 * crossing.trip_s) + (size / _SLOWEST if size > SIZES[0] else 0.0)
            if await crossing.crossed(patience_s, size):
                return True
    return False


MOST_SECONDS: Final = 3.0
MOST_BYTES: Final = 16 * 1024 * 1024
_FIRST_WINDOW: Final = 16
_LARGEST_WINDOW: Final = 4096


async def throughput(crossing: Crossing) -> tuple[int, float]:
    """As much as goes through for some seconds: bytes that arrived, and in how many seconds. Twice as many
    datagrams go together with each round trip until one is lost, then fewer, and slowly more (RFC 5681 3.1,
    roughly)."""
    loop = asyncio.get_running_loop()
    began_at, window, growth = loop.time(), _FIRST_WINDOW, 2.0
    before, first = crossing.arrived_bytes, crossing.sent
    while loop.time() - began_at < MOST_SECONDS and (crossing.sent - first) * FULL < MOST_BYTES:
        arrived, round_at = len(crossing.trips), loop.time()
        for number in range(window):
            crossing.send(FULL)
            if number % _FIRST_WINDOW == 0:
                await asyncio.sleep(0)  # streams take no more than they can pass on
        until = round_at + max(0.05, min(2 * crossing.trip_s, 1.0))
        while len(crossing.trips) - arrived < window and loop.time() < until:
            await crossing.arrival(max(0.001, until - loop.time()))
        if len(crossing.trips) - arrived >= window:
            window = min(_LARGEST_WINDOW, int(window * growth))
        else:
            window, growth = max(_FIRST_WINDOW, window * 3 // 4), 1.125
    return crossing.arrived_bytes - before, loop.time() - began_at
