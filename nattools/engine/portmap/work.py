"""The frame of every `nattools map`: the routers looked at, servers found that can look from outside, the
work done, and in every case what is not to stay removed. Then the report."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

from nattools.engine.options import Emit, Event, MeasureOptions
from nattools.engine.portmap.journal import AnyJournal
from nattools.engine.portmap.session import Session
from nattools.engine.run import CompletedRun, new_run, within_time_limit
from nattools.engine.servers import MeasurementRun, reach_servers, resolve_servers, routed_families
from nattools.errors import CannotRun
from nattools.model.endpoint import Family
from nattools.model.report import MapAction, Report
from nattools.net.base import Network
from nattools.probes.target import Lane

Do = Callable[[Session], Awaitable[None]]


async def carry_out(
    action: MapAction,
    do: Do,
    network: Network,
    options: MeasureOptions,
    emit: Emit,
    journal: AnyJournal,
    *,
    from_outside: bool = True,
    host: str | None = None,
) -> Report:
    """Do it, and report. `from_outside`: servers are needed that look from there. `host`: the own address
    that mappings are to lead to.

    CannotRun: there is no route, or no router to ask."""
    started = datetime.now(UTC)
    run = new_run(network, options, emit)
    families = routed_families(network, options)
    session = Session(run, journal, host)
    timed_out = await within_time_limit(run, _carry_out(session, do, families if from_outside else ()))
    return CompletedRun(run, families, started, timed_out, action, from_outside).report()


async def _carry_out(session: Session, do: Do, families: tuple[Family, ...]) -> None:
    run = session.run
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(find_helpers(run, families))
        try:
            run.emit(Event("started", "map discovery", "does the router make port mappings?"))
            await session.look()
            run.emit(Event("finished", "map discovery"))
            if not session.here:
                raise CannotRun(
                    "there is no router here to ask: no default route leads through one",
                    "A machine that is on the internet itself needs no mappings; else look at `ip route`.",
                )
            await session.sweep()
            await do(session)
            await _outside_known(run, families)
        finally:
            looking.cancel()
            await session.part()


async def find_helpers(run: MeasurementRun, families: tuple[Family, ...]) -> None:
    """Servers that tell our outside address and dial back. None that answers is no error here."""
    if not families:
        run.resolved.set()
        return
    with suppress(CannotRun):
        await resolve_servers(run, families)
    async with asyncio.TaskGroup() as group:
        for family in families:
            group.create_task(_find_helpers(run, family))


async def _find_helpers(run: MeasurementRun, family: Family) -> None:
    if not await reach_servers(run, Lane("udp", family)):
        await reach_servers(run, Lane("tcp", family))


async def _outside_known(run: MeasurementRun, families: tuple[Family, ...]) -> None:
    """Wait until it is known who we are outside: a router's word is held against that."""
    await run.resolved.wait()
    if 4 in families and run.addresses.get(4):
        await run.reach_finished(Lane("udp", 4)).wait()
