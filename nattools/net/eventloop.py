"""Running an event loop that any number of Ctrl-C interrupts once, and a time limit that is only its own.

`asyncio.run` cancels at the first Ctrl-C and raises KeyboardInterrupt at the second, wherever the loop is: a
task that was about to run may then never run again, and the loop's own clean-up waits for it for ever. Here
every further one is ignored until the clean-up is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


def run_interruptibly(main: Callable[[], Awaitable[T]]) -> T:
    """Run to completion on a new event loop; raises what `main` raises.

    After Ctrl-C `main` is cancelled once, and KeyboardInterrupt raised when it has ended. Where a loop cannot
    handle signals (Windows, other threads) it is `asyncio.run`."""
    interrupted = False

    async def whole() -> T:
        task = asyncio.current_task()
        assert task is not None

        def interrupt() -> None:
            nonlocal interrupted
            if not interrupted:
                interrupted = True
                task.cancel()

        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)
        return await main()

    try:
        result = asyncio.run(whole())
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise
    if interrupted:
        raise KeyboardInterrupt
    return result


class TimeLimit:
    """`async with` leaves its block when `seconds` are over; then `expired()` of what it gives is True.

    A TimeoutError from inside (a socket's ETIMEDOUT is one) passes: it says nothing about this time."""

    def __init__(self, seconds: float | None) -> None:
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> asyncio.Timeout:
        return await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            return True
        return False
