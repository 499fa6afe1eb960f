"""Hedged attempts: further ones beside one that takes long. Lost packets hold up a TCP connection for seconds
(RFC 6298), and rarely several connections at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from nattools.errors import CannotRun

Made = TypeVar("Made")
AGAIN_S: Final = 1.5
"""After so long another one begins: an answer from the other side of the world is there by then, and one SYN
was sent again."""
MOST: Final = 3


async def hedged(
    attempt: Callable[[], Awaitable[Made]],
    *,
    conclusive: Callable[[Made], bool],
    discard: Callable[[Made], None],
) -> Made:
    """What came of the first of them that is `conclusive`, else of the first one; the others have `AGAIN_S`
    more than that one. `discard` closes what is not wanted. What takes no longer than `AGAIN_S` is attempted
    once. CannotRun: the first one could not be made."""

    async def run() -> Made | CannotRun:
        try:
            return await attempt()
        except CannotRun as error:
            return error

    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(run())]
        first = running[0]
        while len(running) < MOST and not any(task.done() for task in running):
            await asyncio.wait(running, timeout=AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
            if not any(task.done() for task in running):
                running.append(group.create_task(run()))
        left = set(running)
        good: list[Made] = []
        until: float | None = None
        while left and not good:
            if first.done() and until is None:
                until = loop.time() + AGAIN_S
            patience_s = None if until is None else max(0.0, until - loop.time())
            done, left = await asyncio.wait(left, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            ended = (task.result() for task in done)
            good = [made for made in ended if not isinstance(made, CannotRun) and conclusive(made)]
            if not done:
                break
        for task in left:
            task.cancel()
        for made in good[1:]:
            discard(made)
    found = good[0] if good else first.result()
    if isinstance(found, CannotRun):
        raise found
    return found
