"""How much is under way at once: enough to measure many relays side by side, and too little to drown a slow
line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MOST: Final = 40
"""Packets under way: as many in a round trip, for each is waited for."""
HANDSHAKE: Final = 4
"""Packets that a handshake may have under way."""


class InFlightLimit:
    """Places for packets. Who sends takes one before, and gives it back when the packet is answered or given
    up; those who ask first are served first."""

    def __init__(self, most: int = MOST) -> None:
        self._free = most
        self._most = most
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def take(self, count: int = 1) -> None:
        """Wait for so many places."""
        count = min(count, self._most)
        if self._free >= count and not self._waiting:
            self._free -= count
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(count)
            else:
                self._waiting.remove((count, turn))
            raise

    def give_back(self, count: int = 1) -> None:
        """The packets have arrived, or never will."""
        self._free += min(count, self._most)
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.pop(0)
            self._free -= wanted
            turn.set_result(None)

    @contextmanager
    def taken(self, count: int = 1) -> Iterator[None]:
        """Give them back at the end of the block, before which they were taken."""
        try:
            yield
        finally:
            self.give_back(count)
