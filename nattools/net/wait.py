"""Waiting for something that may not come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class TimedEvent:
    """Set once; one waiter at a time, with a deadline. (An event with a timeout scope around each wait
    costs several times as much, and simulated measurements wait thousands of times a second.)"""

    __slots__ = ("_waiter", "among", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self.among: AllEvents | None = None
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """It is_set."""
        if self.among is not None and not self.is_set:
            self.among.one_came()
        self.is_set = True
        _release(self._waiter)

    def clear(self) -> None:
        """Wait for the next one."""
        self.is_set = False

    async def wait(self, timeout_s: float) -> bool:
        """Wait for it, at most so many seconds; did it come?"""
        if self.is_set:
            return True
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = loop.call_later(timeout_s, _release, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None
        return self.is_set


class AllEvents(TimedEvent):
    """Comes with the last of several arrivals; an arrival tells the latest of these that it is in."""

    __slots__ = ("_missing",)

    def __init__(self, arrivals: Iterable[TimedEvent]) -> None:
        super().__init__()
        self._missing = 0
        for arrival in arrivals:
            if not arrival.is_set:
                arrival.among = self
                self._missing += 1
        self.is_set = not self._missing

    def one_came(self) -> None:
        """For the arrivals to call."""
        self._missing -= 1
        if not self._missing:
            self.set()


def _release(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
