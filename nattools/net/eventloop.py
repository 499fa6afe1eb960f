"""An event loop that takes any number of Ctrl-C for one.

`asyncio.run` cancels at the first Ctrl-C and raises KeyboardInterrupt at the second, wherever the loop is: a
task that was about to run may then never run again, and the loop's own clean-up waits for it for ever. Here
every further one is ignored until the clean-up is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
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
