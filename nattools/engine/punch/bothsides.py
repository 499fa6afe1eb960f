"""Both sides of a connection in one process, as in a lab."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from nattools.engine.measurement import primary_error
from nattools.engine.punch.options import Watcher
from nattools.model.report import Report

Work = Coroutine[Any, Any, Report]


async def both_sides(
    watcher: Watcher, first: Callable[[Watcher], Work], second: Callable[[str], Work]
) -> tuple[Report, Report]:
    """The second side begins with what the first one tells its `watcher`: a code, or where to knock. If the
    first ends before that, its report is that of both. Errors are those of either."""
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def tell(what: str) -> None:
        watcher.code(what)
        if not told.done():
            told.set_result(what)

    async def follow() -> Report:
        return await second(await told)

    try:
        async with asyncio.TaskGroup() as group:
            leading = group.create_task(first(replace(watcher, code=tell)))
            following = group.create_task(follow())
            await asyncio.wait((leading, told), return_when=asyncio.FIRST_COMPLETED)
            if not told.done():
                following.cancel()
    except BaseExceptionGroup as errors:
        raise primary_error(errors) from None
    return leading.result(), leading.result() if following.cancelled() else following.result()
