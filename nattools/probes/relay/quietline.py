"""When a line may be filled: who measures times on it needs it for himself, and so does who fills it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class QuietLine:
    """Measurements go on side by side; then those who fill the line have it, one after the other."""

    def __init__(self) -> None:
        self._measuring = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._one = asyncio.Lock()

    def begin(self) -> None:
        """One more measures."""
        self._measuring += 1
        self._quiet.clear()

    def end(self) -> None:
        """One of them is finished."""
        self._measuring -= 1
        if not self._measuring:
            self._quiet.set()

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Inside, somebody measures."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Inside, nobody else fills the line, and nobody who has begun before measures."""
        async with self._one:
            await self._quiet.wait()
            yield
