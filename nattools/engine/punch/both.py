"""Both sides of a punch in one process, as in a lab."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from nattools.engine.measurement import primary_error
from nattools.engine.portmap.journal import Journal
from nattools.engine.punch.options import PunchOptions, Use, Watcher
from nattools.engine.punch.punch import punch
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.traversal.codes import parse_code

Side = tuple[Network, PunchOptions, Watcher]


async def punch_both(
    first: Side,
    second: Side,
    journals: tuple[Journal | None, Journal | None] = (None, None),
    uses: tuple[Use | None, Use | None] = (None, None),
) -> tuple[Report, Report]:
    """The first side makes a code, the second one joins by it. Errors are those of `punch`."""
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    network, options, watcher = first

    def tell(code: str) -> None:
        watcher.code(code)
        if not told.done():
            told.set_result(code)

    async def join() -> Report:
        code = parse_code(await told)
        return await punch(second[0], replace(second[1], code=code), second[2], journals[1], uses[1])

    try:
        async with asyncio.TaskGroup() as group:
            opening = group.create_task(
                punch(network, options, replace(watcher, code=tell), journals[0], uses[0])
            )
            joining = group.create_task(join())
            await asyncio.wait((opening, told), return_when=asyncio.FIRST_COMPLETED)
            if not told.done():
                joining.cancel()  # it came to nothing before there was a code
    except BaseExceptionGroup as errors:
        raise primary_error(errors) from None
    if joining.cancelled():
        return opening.result(), opening.result()
    return opening.result(), joining.result()
