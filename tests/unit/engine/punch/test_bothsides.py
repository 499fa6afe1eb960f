"""Two sides in one process, of which the second begins with what the first one tells."""

from __future__ import annotations

import asyncio

import pytest
from report_samples import home_router

from nattools.engine.punch.bothsides import both_sides
from nattools.engine.punch.options import Watcher
from nattools.errors import CannotRun
from nattools.model.report import Report

FIRST, SECOND = home_router(), home_router()


async def second(what: str) -> Report:
    assert what == "7-word-word"
    return SECOND


def test_the_second_begins_with_what_the_first_one_tells() -> None:
    codes: list[str] = []

    async def first(watcher: Watcher) -> Report:
        watcher.code("7-word-word")
        await asyncio.sleep(0)
        return FIRST

    one, other = asyncio.run(both_sides(Watcher(code=codes.append), first, second))
    assert one is FIRST
    assert other is SECOND
    assert codes == ["7-word-word"]


def test_a_first_side_that_ends_before_it_has_told_anything() -> None:
    """The second one would wait for ever."""

    async def first(watcher: Watcher) -> Report:
        return FIRST

    one, other = asyncio.run(both_sides(Watcher(), first, second))
    assert one is FIRST
    assert other is FIRST


def test_an_error_of_either_ends_both() -> None:
    async def first(watcher: Watcher) -> Report:
        watcher.code("7-word-word")
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def fails(what: str) -> Report:
        raise CannotRun("no network")

    with pytest.raises(CannotRun, match="no network"):
        asyncio.run(both_sides(Watcher(), first, fails))
