"""Waiting for something to change."""

from __future__ import annotations

import asyncio


class Changes:
    """Lets any number of coroutines wait for the next change of something."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def next(self) -> None:
        """Until `tell` is called."""
        change = asyncio.get_running_loop().create_future()
        self._waiting.append(change)
        await change

    def tell(self) -> None:
        """Something has changed."""
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            if not change.done():
                change.set_result(None)
