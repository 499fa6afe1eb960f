"""Bytes that have arrived and wait to be read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Inbox:
    """For one reader. It has no bound of its own: whoever puts bytes in looks at `waiting`, and learns by
    `on_taken` how many were read."""

    def __init__(self, on_taken: Callable[[int], None]) -> None:
        self.waiting = 0
        self._on_taken = on_taken
        self._pieces: deque[bytes] = deque()
        self._ended = False
        self._reader: asyncio.Future[None] | None = None

    def put(self, data: bytes) -> None:
        """What arrives after the end is dropped."""
        if data and not self._ended:
            self._pieces.append(data)
            self.waiting += len(data)
            self._wake()

    def end(self, *, drop: bool = False) -> None:
        """No more will come; with `drop` what waits is lost, too."""
        self._ended = True
        if drop:
            self._pieces.clear()
            self.waiting = 0
        self._wake()

    async def read(self, limit: int) -> bytes:
        """Some bytes, at most `limit`; b"" at the end."""
        while not self._pieces and not self._ended:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        data = self._take(limit)
        if data:
            self.waiting -= len(data)
            self._on_taken(len(data))
        return data

    def _take(self, limit: int) -> bytes:
        pieces, taken, size = self._pieces, [], 0
        while pieces and size < limit:
            piece = pieces.popleft()
            if len(piece) > limit - size:
                pieces.appendleft(piece[limit - size :])
                piece = piece[: limit - size]
            taken.append(piece)
            size += len(piece)
        return b"".join(taken)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
