"""Measuring times and measuring throughput on one uplink: a full uplink would spoil the times, so
throughput is measured when no time is being measured, one measurement after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class SharedUplink:
    """Times are measured side by side; then each throughput measurement has the uplink to itself."""

    def __init__(self) -> None:
        self._measuring = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._one = asyncio.Lock()

    def begin(self) -> None:
        """A measurement of times begins."""
        self._measuring += 1
        self._quiet.clear()

    def end(self) -> None:
        """One of them has ended."""
        self._measuring -= 1
        if not self._measuring:
            self._quiet.set()

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Inside, times are measured."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Inside, no other throughput is measured, nor any times that were begun before."""
        async with self._one:
            await self._quiet.wait()
            yield
