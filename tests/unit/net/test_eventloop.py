"""A time limit takes no other TimeoutError for its own."""

from __future__ import annotations

import asyncio

import pytest

from nattools.net.eventloop import TimeLimit


def test_it_ends_when_its_time_is_over() -> None:
    async def main() -> bool:
        async with TimeLimit(0.0) as limit:
            await asyncio.get_running_loop().create_future()
        return limit.expired()

    assert asyncio.run(main())


def test_another_timeout_is_no_end_of_its_time() -> None:
    async def main() -> None:
        async with TimeLimit(60.0):
            raise TimeoutError("ETIMEDOUT")

    with pytest.raises(TimeoutError, match="ETIMEDOUT"):
        asyncio.run(main())


def test_what_is_cancelled_stays_cancelled() -> None:
    async def main() -> None:
        async with TimeLimit(60.0):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
