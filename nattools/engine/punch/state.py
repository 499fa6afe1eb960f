"""What became of a punch: its state at any moment, its report, and its end."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import msgspec

from nattools.engine.punch.attempt import Attempt, Failed
from nattools.engine.punch.connection import Connection, Connector
from nattools.engine.punch.options import Connected, Use, UseResult
from nattools.engine.punch.planning import as_told
from nattools.engine.punch.signaling import remote_timeline
from nattools.engine.punch.timeline import Timeline
from nattools.engine.run import CompletedRun
from nattools.errors import CannotRun
from nattools.model.punch import Punch, Strategy
from nattools.model.report import Report
from nattools.traversal.path import SelectedPath

_WHY: dict[Strategy, str] = {
    "host": "One side can be written to at its own address.",
    "reflexive": "Both sides wrote to where a server had seen the other, and each opened its own side.",
    "mapped": "A router made a port mapping, and packets came through it.",
    "low-ttl": "One side opened its own NAT with packets that went no further, then the other called.",
    "prediction": "The next outside port of a NAT that counts was foretold.",
    "birthday": "Of many ports opened on one side, a try of the other found one.",
    "simultaneous-open": "Both sides opened a TCP connection at the same moment.",
    "relay": "A relay passes everything on.",
}


@dataclass(slots=True)
class PunchState:
    """How things stand: at any moment there is a report to make of it. `result` None: nothing is decided."""

    timeline: Timeline
    looked: CompletedRun | None = None
    connector: Connector | None = None
    result: SelectedPath | Failed | None = None
    used: UseResult = field(default_factory=UseResult)

    def report(self) -> Report:
        """Everything there is to tell now. CannotRun: not even this machine's network has been looked at."""
        if self.looked is None:
            raise CannotRun("the time given was over before the network had been looked at", "Give it more.")
        return msgspec.structs.replace(self.looked.report(), command="punch", punch=self._punch())

    def _punch(self) -> Punch:
        found = Punch(
            connected=isinstance(self.result, SelectedPath),
            stages=self.timeline.stages,
            probes_sent=0 if self.connector is None else self.connector.sent,
            echoes=self.used.echoes,
            throughput=self.used.throughput,
            advice=self.used.problem,
        )
        if self.connector is not None and self.connector.last is not None:
            found = _with_plan(found, self.connector.last)
        if isinstance(self.result, SelectedPath):
            return _with_path(found, self.result)
        failed = self.result or Failed("It was stopped before it was decided.")
        return msgspec.structs.replace(found, why=failed.why, advice=failed.advice)


def _with_plan(found: Punch, attempt: Attempt) -> Punch:
    made = attempt.made
    if made is None:
        return found
    direct = [step for step in made.steps if step.strategy != "relay"]
    return msgspec.structs.replace(
        found,
        plan=tuple(as_told(step, leads=attempt.leads) for step in made.steps),
        odds=round(made.odds, 4) if direct else None,
    )


def _with_path(found: Punch, path: SelectedPath) -> Punch:
    return msgspec.structs.replace(
        found,
        path="direct",
        transport=path.transport,
        family=path.family,
        strategy=path.strategy,
        local=str(path.local),
        remote=str(path.remote),
        elapsed_s=path.elapsed_s,
        rtt_ms=path.rtt_ms,
        why=_WHY[path.strategy],
        secured_by="quic" if path.datagrams is not None else "tls",
        spares=path.spares,
    )


STORY_S = 2.0


async def connect_and_use(standing: PunchState, connector: Connector, use: Use) -> None:
    """Find a way, secure it, use it; `standing` says how far it has come."""
    standing.connector = connector
    way = standing.result = await connector.connect()
    attempt = connector.last
    if isinstance(way, Failed) or attempt is None:
        await _exchange_timelines(connector)
        return
    connection = Connection(connector, leads=attempt.leads, uses=use.names)
    try:
        use.prepare(connection.tunnel)
        problem = await connection.secure(way)
        if problem is not None:
            standing.result = Failed(f"A path was found, but: {problem}")
            await _exchange_timelines(connector)
            return
        await _use(standing, connection, use)
    finally:
        standing.result = standing.result if connection.path is None else connection.path
        connection.close()


async def _use(standing: PunchState, connection: Connection, use: Use) -> None:
    def so_far() -> Report:
        standing.result = connection.path
        return standing.report()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(connection.tunnel.run())
        holding = group.create_task(connection.hold())
        stories = group.create_task(_exchange_timelines(connection.connector))
        standing.used = await _until_ended(connection, use, Connected(connection.tunnel, so_far))
        await connection.tunnel.finish()
        await asyncio.wait((stories,))
        standing.timeline.note("end", standing.used.problem or "both sides are done")
        so_far()
        for task in (running, holding):
            task.cancel()


async def _until_ended(connection: Connection, use: Use, connected: Connected) -> UseResult:
    """Use it, no longer than there is a tunnel."""
    async with asyncio.TaskGroup() as group:
        using = group.create_task(use.run(connected))
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


async def _ended(connection: Connection) -> None:
    while connection.tunnel.ended is None:
        await connection.tunnel.changed()


async def _exchange_timelines(connector: Connector) -> None:
    """Both sides' view of the attempt in one timeline."""
    attempt, timeline = connector.last, connector.timeline
    if attempt is None or attempt.known_at is None:
        return
    story = remote_timeline(attempt.number, timeline.since(attempt.known_at))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STORY_S):
            told = await connector.partner.exchange_timelines(story)
            if told is not None:
                timeline.merge(told.stages, attempt.known_at)
