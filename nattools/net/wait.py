"""Waiting, with a deadline, for something that may not come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class TimedEvent:
    """An event whose `wait` has a deadline; one waiter at a time. (An asyncio.Event with a timeout scope
    costs several times as much, and simulated measurements wait thousands of times a second.)"""

    __slots__ = ("_waiter", "among", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self.among: AllEvents | None = None
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """It has happened."""
        if self.among is not None and not self.is_set:
            self.among.one_set()
        self.is_set = True
        _release(self._waiter)

    def clear(self) -> None:
        """Wait for the next one."""
        self.is_set = False

    async def wait(self, timeout_s: float) -> bool:
        """Wait at most so many seconds; has it happened?"""
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
    """Set with the last of several events. An event belongs to the latest of these that it was given to."""

    __slots__ = ("_missing",)

    def __init__(self, events: Iterable[TimedEvent]) -> None:
        super().__init__()
        self._missing = 0
        for event in events:
            if not event.is_set:
                event.among = self
                self._missing += 1
        self.is_set = not self._missing

    def one_set(self) -> None:
        """For the events to call."""
        self._missing -= 1
        if not self._missing:
            self.set()


def _release(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
