"""A second attempt beside one that takes long: lost packets hold up a TCP connection for seconds (RFC 6298),
and rarely two of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

Made = TypeVar("Made")
AGAIN_S: Final = 1.5
"""After so long a second one begins: an answer from the other side of the world is there by then, and one SYN
was sent again."""


async def with_second(
    attempt: Callable[[], Awaitable[Made]],
    *,
    succeeded: Callable[[Made], bool],
    discard: Callable[[Made], None],
    again_s: float = AGAIN_S,
) -> Made:
    """What the first of them that succeeds made, else what the first one came to. `discard` closes what is
    not wanted. What takes no longer than `again_s` is attempted once."""

    async def run() -> Made:
        return await attempt()

    async with asyncio.TaskGroup() as group:
        first = group.create_task(run())
        await asyncio.wait([first], timeout=again_s)
        if first.done():
            return first.result()
        second = group.create_task(run())
        await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
        ended, other = (first, second) if first.done() else (second, first)
        if not succeeded(ended.result()):
            await asyncio.wait([other])
            return other.result() if succeeded(other.result()) else first.result()
        if other.done():
            discard(other.result())
        else:
            other.cancel()
        return ended.result()
