"""The state of a punch, from the signaling with the peer to the end of the connection, and its report."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final

import msgspec

from nattools.engine.punch.attempt import Attempt
from nattools.engine.punch.connection import PunchConnection
from nattools.engine.punch.directsearch import PathLog
from nattools.engine.punch.options import Connected, Use, UseResult
from nattools.engine.punch.pathfinder import PathFinder
from nattools.engine.punch.pathsizes import PathSizes
from nattools.engine.punch.planning import as_told
from nattools.engine.punch.signals import remote_timeline
from nattools.engine.punch.timeline import NoPath, Timeline
from nattools.engine.run import CompletedRun
from nattools.errors import CannotRun, NattoolsError
from nattools.model.punch import Punch
from nattools.model.report import Report
from nattools.model.statement import Statement, statement
from nattools.traversal.path import SelectedPath
from nattools.wording import text_of

TIMELINE_S: Final = 2.0


@dataclass(slots=True)
class PunchState:
    """How far a punch has come: at any moment there is a report to make of it. `result` None: undecided."""

    timeline: Timeline
    looked: CompletedRun | None = None
    connector: PathFinder | None = None
    result: SelectedPath | NoPath | None = None
    used: UseResult = field(default_factory=UseResult)
    ended: tuple[Statement, ...] = ()
    paths: PathLog | None = None
    sizes: PathSizes | None = None

    def report(self) -> Report:
        """The report so far. CannotRun: this machine's network has not been measured yet."""
        if self.looked is None:
            raise CannotRun(
                "the time limit was reached before the network was measured", "Give it more time."
            )
        return msgspec.structs.replace(self.looked.report(), command="punch", punch=self._punch())

    def _punch(self) -> Punch:
        found = Punch(
            connected=isinstance(self.result, SelectedPath),
            stages=self.timeline.stages,
            probes_sent=0 if self.connector is None else self.connector.sent,
            echoes=self.used.echoes,
            throughput=self.used.throughput,
        )
        if self.connector is not None and self.connector.announced is not None:
            found = _with_plan(found, self.connector.announced)
        if isinstance(self.result, SelectedPath):
            found = _with_path(found, self.result)
            if self.paths is not None:
                self.paths.note(self.result)
                found = msgspec.structs.replace(found, paths=self.paths.used, relay=self.paths.relay)
            if self.sizes is not None:
                found = msgspec.structs.replace(found, mtu=self.sizes.mtu)
            return _explained(found, self._reasons(self.result), self.ended)
        failed = self.result or NoPath((statement("stopped"),))
        return _explained(found, failed.reasons, failed.remedies)

    def _reasons(self, path: SelectedPath) -> tuple[Statement, ...]:
        """Why it works; and if over a relay alone, why not directly."""
        reason = statement(f"by-{path.strategy}")
        attempt = None if self.connector is None else self.connector.last
        if not path.relayed or attempt is None:
            return (reason,)
        return (reason, *attempt.why_not_direct)


def _explained(found: Punch, reasons: tuple[Statement, ...], remedies: tuple[Statement, ...]) -> Punch:
    return msgspec.structs.replace(
        found, reasons=reasons, why=text_of(reasons), remedies=remedies, advice=text_of(remedies)
    )


def _with_plan(found: Punch, attempt: Attempt) -> Punch:
    made = attempt.made
    if made is None:
        return found
    return msgspec.structs.replace(
        found,
        plan=tuple(as_told(step, leads=attempt.leads) for step in made.steps),
        odds=None if not made.direct_steps or made.odds is None else round(made.odds, 4),
    )


def _with_path(found: Punch, path: SelectedPath) -> Punch:
    return msgspec.structs.replace(
        found,
        path="relayed" if path.relayed else "direct",
        transport=path.transport,
        family=path.family,
        strategy=path.strategy,
        local=str(path.local),
        remote=str(path.remote),
        elapsed_s=path.elapsed_s,
        rtt_ms=path.rtt_ms,
        secured_by="quic" if path.datagrams is not None else "tls",
        spares=path.spares,
    )


async def connect_and_use(state: PunchState, connector: PathFinder, use: Use) -> None:
    """Make a connection and use it; `state` says how far it has come."""
    state.connector = connector
    connection = PunchConnection(connector, uses=use.names, prepare=use.prepare)
    state.paths = connection.paths
    state.sizes = PathSizes(connector.own.run.network, lambda: connection.path)
    try:
        state.result = await connection.establish()
        if state.result is None:
            await _use(state, connection, use)
        else:
            await _exchange_timelines(connector)
    finally:
        state.result = connection.path or state.result
        connection.close()


async def _use(state: PunchState, connection: PunchConnection, use: Use) -> None:
    def so_far() -> Report:
        state.result = connection.path
        return state.report()

    sizes = state.sizes or PathSizes(connection.connector.own.run.network, lambda: connection.path)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(connection.tunnel.run())
        holding = group.create_task(connection.hold())
        sizing = group.create_task(sizes.watch())
        making_room = group.create_task(connection.make_room())
        exchange = group.create_task(_exchange_timelines(connection.connector))
        state.used = await _until_ended(connection, use, Connected(connection.tunnel, so_far))
        if connection.tunnel.ended is None and not connection.tunnel.leaving:
            await sizes.settled()
        await connection.tunnel.finish()
        await asyncio.wait((exchange,))
        if state.used.problem:
            state.ended = connection.ended or (statement("text", text=state.used.problem),)
        state.timeline.note("end", *(state.ended or (statement("both-done"),)))
        so_far()
        for task in (running, holding, sizing, making_room):
            task.cancel()


async def _until_ended(connection: PunchConnection, use: Use, connected: Connected) -> UseResult:
    """Use it, no longer than there is a tunnel."""
    async with asyncio.TaskGroup() as group:
        using = group.create_task(_used(use, connected))
        ended = group.create_task(_ended(connection))
        await asyncio.wait((using, ended), return_when=asyncio.FIRST_COMPLETED)
        if not using.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asyncio.wait((using,))
        for task in (using, ended):
            task.cancel()
        await asyncio.wait((using, ended))
    if using.cancelled():
        return UseResult(problem=connection.tunnel.ended or "")
    return using.result()


async def _used(use: Use, connected: Connected) -> UseResult:
    """What fails for good here ends the connection, and the peer is told: it has nothing to wait for."""
    try:
        return await use.run(connected)
    except Exception as error:
        reason = str(error) if isinstance(error, NattoolsError) else "the other side has failed"
        await connected.tunnel.finish(reason, timeout_s=TIMELINE_S)
        raise


async def _ended(connection: PunchConnection) -> None:
    while connection.tunnel.ended is None:
        await connection.tunnel.changed()


async def _exchange_timelines(connector: PathFinder) -> None:
    """Put both sides' view of the attempt into one timeline."""
    attempt, timeline = connector.last, connector.timeline
    if attempt is None or attempt.known_at is None:
        return
    own = remote_timeline(attempt.number, timeline.since(attempt.known_at))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TIMELINE_S):
            remote = await connector.signaling.exchange_timelines(own)
            if remote is not None:
                timeline.merge(remote.stages, attempt.known_at)
