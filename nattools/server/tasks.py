"""A task group that outlives the coroutine that asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """Runs coroutines until `close`, which cancels them and waits for their end.

    One that fails is reported to the event loop's exception handler and takes no other with it.
    """

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Before anything else."""
        started = asyncio.Event()
        self._keeper = asyncio.get_running_loop().create_task(self._keep(started))
        await started.wait()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it on the side; after `close` not at all."""
        if self._group is None:
            work.close()
        else:
            self._group.create_task(_guard(work))

    async def close(self) -> None:
        """Cancel what runs and wait for it. Idempotent."""
        self._group = None
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])

    async def _keep(self, started: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            started.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None


async def _guard(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:
        context = {"message": "a task of the server failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
