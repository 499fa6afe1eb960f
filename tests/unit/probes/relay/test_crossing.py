"""Datagrams across a relay, counted; and how much may be under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nattools.lab.sim.loop import SimLoop
from nattools.probes.relay.crossing import FULL, SIZES, Passage, largest, series, throughput
from nattools.probes.relay.inflight import InFlightLimit


def run(main: Callable[[], Awaitable[None]]) -> None:
    loop = SimLoop()
    loop.run_until_complete(loop.create_task(main()))  # type: ignore[arg-type]
    loop.close()


def across(way: list[Passage], carry: Callable[[bytes, int], float | None]) -> Passage:
    """A way on which the n-th datagram takes so long, or is lost (None)."""
    count = 0

    def send(data: bytes) -> None:
        nonlocal count
        delay_s = carry(data, count)
        count += 1
        if delay_s is not None:
            asyncio.get_running_loop().call_later(delay_s, way[0].take, data)

    way.append(Passage(send))
    return way[0]


def test_trips_losses_and_what_came_out_of_order() -> None:
    async def main() -> None:
        delays = {1: None, 3: 0.2}
        way = across([], lambda _, number: delays.get(number, 0.02))
        crossing = way.crossing()
        await series(crossing, 5, InFlightLimit())
        assert crossing.sent == 5
        assert sorted(crossing.trips) == [0, 2, 3, 4]
        assert crossing.trips[3] == pytest.approx(0.2)
        assert crossing.reordered == 1

    run(main)


def test_copies_and_strangers_count_for_nothing() -> None:
    async def main() -> None:
        kept: list[bytes] = []
        way = Passage(lambda data: kept.append(data))
        crossing = way.crossing()
        crossing.send()
        assert way.take(kept[0])
        assert way.take(kept[0])
        assert not way.take(b"something else entirely")
        assert not way.take(kept[0][:8] + (7).to_bytes(4, "big"))
        assert not way.take(b"")
        assert len(crossing.trips) == 1
        assert crossing.reordered == 0

    run(main)


@pytest.mark.parametrize("limit", [1472, 1400, 1250, 576, 100])
def test_the_largest_that_passes(limit: int) -> None:
    async def main() -> None:
        way = across([], lambda data, _: 0.01 if len(data) <= limit else None)
        expected = next((size for size in SIZES if size <= limit), None)
        assert await largest(way.crossing(), InFlightLimit()) == expected

    run(main)


def test_throughput_finds_what_a_way_carries_and_ends() -> None:
    async def main() -> None:
        free_at = 0.0

        def carry(data: bytes, _: int) -> float | None:
            nonlocal free_at
            now = asyncio.get_running_loop().time()
            free_at = max(free_at, now) + 8 * len(data) / 10e6
            return free_at - now + 0.01 if free_at - now < 0.1 else None

        way = across([], carry)
        carried, seconds = await throughput(way.crossing())
        assert seconds < 5
        assert 5e6 < 8 * carried / seconds < 10.5e6
        assert carried % FULL == 0

    run(main)


def test_no_more_is_under_way_than_may_be() -> None:
    async def main() -> None:
        flight, under_way, most = InFlightLimit(3), 0, 0

        async def one(count: int) -> None:
            nonlocal under_way, most
            await flight.take(count)
            with flight.taken(count):
                under_way += count
                most = max(most, under_way)
                try:
                    await asyncio.sleep(0.1)
                finally:
                    under_way -= count

        tasks = [asyncio.ensure_future(one(1 + number % 3)) for number in range(12)]
        await asyncio.sleep(0.05)
        tasks[5].cancel()  # who waits, and who has a place: neither may take any along
        tasks[0].cancel()
        results: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(each, asyncio.CancelledError) for each in results) == 2
        await one(3)
        assert most <= 3

    run(main)
