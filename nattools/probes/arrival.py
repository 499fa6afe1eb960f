"""Waiting for something that may not come."""

from __future__ import annotations

import asyncio


class Arrival:
    """Set once; one waiter at a time, with a deadline. (An event with a timeout scope around each wait
    costs several times as much, and simulated measurements wait thousands of times a second.)"""

    __slots__ = ("_waiter", "came")

    def __init__(self) -> None:
        self.came = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """It came."""
        self.came = True
        _release(self._waiter)

    def clear(self) -> None:
        """Wait for the next one."""
        self.came = False

    async def within(self, timeout_s: float) -> bool:
        """Wait for it, at most so many seconds; did it come?"""
        if self.came:
            return True
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = loop.call_later(timeout_s, _release, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
        return self.came


def _release(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
