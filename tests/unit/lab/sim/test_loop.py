"""The virtual clock: time jumps, order holds, and what would hang for ever is an error."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from nattools.lab.sim.loop import DAY_S, MANY, Deadlock, SimLoop


@pytest.fixture
def loop() -> Iterator[SimLoop]:
    made = SimLoop()
    yield made
    made.close()


def test_ten_minutes_pass_in_no_time(loop: SimLoop) -> None:
    async def ten_minutes() -> float:
        await asyncio.sleep(600)
        return loop.time()

    began = time.perf_counter()
    assert loop.run_until_complete(ten_minutes()) == 600.0
    assert time.perf_counter() - began < 60.0  # it takes no ms; a busy machine has its time


def test_timers_fire_in_order_and_equal_ones_in_the_order_of_calling(loop: SimLoop) -> None:
    seen: list[tuple[str, float]] = []
    for name, delay in [("c", 3.0), ("a", 1.0), ("b1", 2.0), ("b2", 2.0)]:
        loop.call_later(delay, lambda name=name: seen.append((name, loop.time())))
    loop.call_later(4.0, loop.stop)
    loop.run_forever()
    assert seen == [("a", 1.0), ("b1", 2.0), ("b2", 2.0), ("c", 3.0)]


def test_a_timeout_cancels_at_its_virtual_time(loop: SimLoop) -> None:
    async def waits() -> float:
        try:
            async with asyncio.timeout(7.5):
                await asyncio.Event().wait()
        except TimeoutError:
            return loop.time()
        raise AssertionError("no timeout")

    assert loop.run_until_complete(waits()) == 7.5


def test_cancelled_timers_do_not_move_the_clock(loop: SimLoop) -> None:
    async def waits() -> None:
        async with asyncio.timeout(1000):
            await asyncio.sleep(1)
        asyncio.get_running_loop().call_later(500, print).cancel()

    loop.run_until_complete(waits())
    with pytest.raises(Deadlock):
        loop.run_until_complete(asyncio.Event().wait())
    assert loop.time() == 1.0


def test_many_cancelled_timers_are_forgotten(loop: SimLoop) -> None:
    for _ in range(5000):
        loop.call_later(1000, print).cancel()
    assert len(loop.heap) <= 1001


def test_pending_tasks_are_known_in_their_order_and_others_forgotten(loop: SimLoop) -> None:
    async def main() -> None:
        own = asyncio.current_task()
        for_ever = [loop.create_task(asyncio.sleep(DAY_S)) for _ in range(3)]
        for _ in range(3 * MANY):
            await loop.create_task(asyncio.sleep(0))
        for_ever.append(loop.create_task(asyncio.sleep(DAY_S)))
        assert loop.pending() == [own, *for_ever]
        assert len(loop._tasks) < 2 * MANY
        for task in for_ever:
            task.cancel()

    loop.run_until_complete(main())
    assert loop.pending() == []


def test_waiting_for_nothing_is_an_error_that_names_the_place(loop: SimLoop) -> None:
    with pytest.raises(Deadlock, match=r"nothing is scheduled.*test_loop\.py"):
        loop.run_until_complete(_wait_for_ever())


async def _wait_for_ever() -> None:
    await asyncio.Event().wait()


def test_a_periodic_timer_alone_does_not_run_for_ever() -> None:
    loop = SimLoop(patience_s=DAY_S)

    def tick() -> None:
        loop.call_later(600, tick)

    tick()
    with pytest.raises(Deadlock, match="not done after 1 simulated days"):
        loop.run_until_complete(asyncio.Event().wait())
    loop.close()


def test_a_failing_callback_ends_the_run(loop: SimLoop) -> None:
    loop.call_later(1, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.run_until_complete(asyncio.sleep(2))


def test_a_spinning_task_does_not_keep_packets_from_arriving(loop: SimLoop) -> None:
    arrived: list[str] = []
    loop.post(0.0, arrived.append, "packet")

    async def spins() -> int:
        turns = 0
        while not arrived:
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert loop.run_until_complete(spins()) < 10


def test_task_groups_and_generators_work(loop: SimLoop) -> None:
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(10):
                await asyncio.sleep(1)
                yield number
        finally:
            closed.append(True)

    async def first() -> int:
        async for number in numbers():
            return number
        raise AssertionError

    async def both() -> float:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(first()) for _ in range(2)]
        assert [task.result() for task in tasks] == [0, 0]
        await asyncio.sleep(1)
        return loop.time()

    assert loop.run_until_complete(both()) == 2.0
    assert closed == [True, True]


def test_no_threads(loop: SimLoop) -> None:
    async def in_a_thread() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(RuntimeError, match="no threads"):
        loop.run_until_complete(in_a_thread())


def test_no_loop_in_a_loop(loop: SimLoop) -> None:
    async def nested() -> None:
        inner, waiting = SimLoop(), asyncio.sleep(0)
        try:
            inner.run_until_complete(waiting)
        finally:
            waiting.close()
            inner.close()

    with pytest.raises(RuntimeError, match=r"running|another loop"):
        loop.run_until_complete(nested())


def test_tasks_are_cancelled_in_the_same_order_each_time() -> None:
    """asyncio keeps a group's tasks in a set: its order must not follow from where they lie in memory."""
    ended: list[int] = []

    async def one(number: int) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(number)

    async def main() -> None:
        between: list[object] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1), asyncio.TaskGroup() as group:
                for number in range(200):
                    between.append(bytearray(number * 37 % 500))  # so that tasks lie here and there
                    group.create_task(one(number))

    orders: list[list[int]] = []
    for _ in range(2):
        ended.clear()
        loop = SimLoop()
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()
        orders.append(list(ended))
    assert sorted(orders[0]) == list(range(200))
    assert orders[0] == orders[1]
