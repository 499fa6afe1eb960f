"""A time limit takes no other TimeoutError for its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

import pytest

from nattools.net.eventloop import AllEvents, TimedEvent, TimeLimit, on_signal, run_interruptibly


def test_it_ends_when_its_time_is_over() -> None:
    async def main() -> bool:
        async with TimeLimit(0.0) as limit:
            await asyncio.get_running_loop().create_future()
        return limit.expired()

    assert asyncio.run(main())


def test_another_timeout_is_no_end_of_its_time() -> None:
    async def main() -> None:
        async with TimeLimit(60.0):
            raise TimeoutError("ETIMEDOUT")

    with pytest.raises(TimeoutError, match="ETIMEDOUT"):
        asyncio.run(main())


def test_what_is_cancelled_stays_cancelled() -> None:
    async def main() -> None:
        async with TimeLimit(60.0):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


def test_an_event_is_awaited_until_its_deadline() -> None:
    async def main() -> None:
        event = TimedEvent()
        assert not await event.wait(0.01)
        asyncio.get_running_loop().call_later(0.01, event.set)
        assert await event.wait(5)
        assert await event.wait(5)
        event.clear()
        assert not await event.wait(0)

    asyncio.run(main())


def test_all_events_are_set_with_the_last_one() -> None:
    async def main() -> None:
        events = [TimedEvent() for _ in range(3)]
        events[0].set()
        both = AllEvents(events)
        events[1].set()
        events[1].set()
        assert not both.is_set
        events[2].set()
        assert await both.wait(5)
        assert AllEvents(events).is_set

    asyncio.run(main())


def test_any_number_of_interrupts_cancel_once() -> None:
    cancelled = []

    async def main() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.01)
            cancelled.append(1)
            raise

    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(main)
    assert cancelled == [1]


def test_an_interrupt_is_told_also_when_the_work_is_done_all_the_same() -> None:
    async def main() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(main)


def test_what_cancels_itself_is_no_interrupt() -> None:
    async def main() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run_interruptibly(main)


@pytest.mark.skipif(os.name != "posix", reason="Windows has neither")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_a_closed_terminal_end_in_good_order(number: int) -> None:
    """What was made on a router is removed then, and the other side of a connection is told."""
    cleaned = []

    async def main() -> None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append(1)

    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(main)
    assert cleaned == [1]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGHUP")
def test_a_closed_terminal_is_survived_under_nohup() -> None:
    async def main() -> str:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
        return "done"

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run_interruptibly(main) == "done"
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no such signal")
def test_who_listened_before_hears_again() -> None:
    async def main() -> list[str]:
        heard: list[str] = []
        came = asyncio.Event()

        def hear(name: str) -> Callable[[], None]:
            def call() -> None:
                heard.append(name)
                came.set()

            return call

        async def send() -> None:
            came.clear()
            os.kill(os.getpid(), signal.SIGUSR1)
            await came.wait()

        on_signal(hear("first"), "SIGUSR1")
        put_back = on_signal(hear("second"), "SIGUSR1", "SIGNONE")
        await send()
        put_back()
        await send()
        return heard

    assert asyncio.run(main()) == ["second", "first"]


def test_nobody_listened_before() -> None:
    """What the system does is back."""

    async def main() -> None:
        on_signal(lambda: None, "SIGTERM")()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    asyncio.run(main())


def test_who_waits_after_one_that_was_cancelled_is_woken() -> None:
    """The end of the first one's wait comes after the second's begin, and took its place from it."""

    async def main() -> bool:
        event = TimedEvent()
        first = asyncio.create_task(event.wait())
        await asyncio.sleep(0)
        second = asyncio.create_task(event.wait())
        first.cancel()
        await asyncio.sleep(0)
        event.set()
        async with asyncio.timeout(1):
            return await second

    assert asyncio.run(main())
