"""MeasurementRun a measurement: put the plan's questions, keep what is observed, have it analysed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nattools.engine import plan
from nattools.engine.analyse import analyse
from nattools.engine.options import Emit, Event, MeasureOptions
from nattools.engine.plan import Step, StepName
from nattools.engine.servers import (
    MeasurementRun,
    describe_host,
    describe_servers,
    primary_error,
    reach_servers,
    resolve_servers,
    routed_families,
)
from nattools.errors import CannotRun
from nattools.model.endpoint import Family
from nattools.model.observation import Binding, Gap
from nattools.model.report import MapAction, Measurement, Report
from nattools.net.base import Network
from nattools.probes.probe import Recorder
from nattools.probes.target import Lane

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import AnyJournal


@dataclass(frozen=True, slots=True)
class CompletedRun:
    """A measurement that is over; what its `run` found can be used further, and recorded further. `action`:
    what was done on routers; `tells_servers`: servers had a part in it."""

    run: MeasurementRun
    families: tuple[Family, ...]
    started: datetime
    timed_out: bool
    action: MapAction | None = None
    tells_servers: bool = True

    def report(self) -> Report:
        """What the observations mean, with those that came later."""
        run, options = self.run, self.run.options
        measurement = Measurement(
            command=options.command,
            action=self.action,
            started=self.started.isoformat(timespec="seconds").replace("+00:00", "Z"),
            duration_s=round(asyncio.get_running_loop().time() - run.recorder.started, 3),
            substrate=run.network.substrate,
            scenario=options.scenario,
            host=describe_host(run.network, options, self.families, run.reached),
            servers=describe_servers(run) if self.tells_servers else (),
            families=self.families,
            lifetime_asked=options.lifetime,
            timed_out=self.timed_out,
            observations=tuple(run.recorder.observations),
        )
        return analyse(measurement, is_public=run.network.is_public)


async def measure(
    network: Network, options: MeasureOptions, emit: Emit, journal: AnyJournal | None = None
) -> Report:
    """Everything that can be measured here, as a report. `journal`: where to write down what is asked of
    routers; None: they are not to be asked for mappings.

    CannotRun: there is no route, no server's name resolves, or no server answered at all."""
    completed = await observe(new_run(network, options, emit), journal)
    _expect_an_answer(completed.run, completed.timed_out)
    return completed.report()


def new_run(network: Network, options: MeasureOptions, emit: Emit) -> MeasurementRun:
    """A measurement that is about to begin."""
    return MeasurementRun(network, options, emit, Recorder(asyncio.get_running_loop().time()))


async def observe(run: MeasurementRun, journal: AnyJournal | None = None) -> CompletedRun:
    """The same before it is analysed, also if no server answered.

    CannotRun: there is no route, or no server's name resolves."""
    started = datetime.now(UTC)
    families = routed_families(run.network, run.options)
    _refuse_tls_only(run.options)
    timed_out = await within_time_limit(run, _measure(run, families, journal))
    return CompletedRun(run, families, started, timed_out)


async def within_time_limit(run: MeasurementRun, work: Awaitable[None]) -> bool:
    """Do the work; was it broken off because the time given was over? Of several errors at once it raises
    the primary_error."""
    try:
        async with asyncio.timeout(run.options.timeout_s):
            await work
    except TimeoutError:
        return True
    except BaseExceptionGroup as group:
        raise primary_error(group) from None
    return False


def _refuse_tls_only(options: MeasureOptions) -> None:
    """CannotRun if every server wants TLS, which nothing here speaks yet."""
    if options.servers and all(server.secure for server in options.servers):
        raise CannotRun(
            f"{options.servers[0].text}: servers over TLS cannot be measured with yet",
            "Name the server as stun:HOST if it answers without TLS too, or name another one with --server.",
        )


async def _measure(run: MeasurementRun, families: tuple[Family, ...], journal: AnyJournal | None) -> None:
    async with asyncio.TaskGroup() as group:
        if run.options.command == "diagnose" and journal is not None:
            group.create_task(_mappings(run, journal))
        await resolve_servers(run, families)
        for lane in plan.lanes([family for family in families if run.addresses.get(family)]):
            group.create_task(_lane(run, lane))
        if run.options.cross_check:
            group.create_task(_second_opinion(run))
    if run.options.command == "diagnose":
        for lane, step in plan.last_steps(run.reached):
            await _step(run, lane, step, [])


async def _mappings(run: MeasurementRun, journal: AnyJournal) -> None:
    """Does the router make port mappings, and are they true?"""
    from nattools.engine.portmap.session import PortmapSession
    from nattools.engine.portmap.trial import try_all

    run.emit(Event("started", "map discovery", "does the router make port mappings?"))
    session = PortmapSession(run, journal)
    await session.discover()
    run.emit(Event("finished", "map discovery"))
    await session.remove_stale()
    await try_all(session)


async def _second_opinion(run: MeasurementRun) -> None:
    from nattools.probes.crosscheck import cross_check

    address = run.addresses[4][0] if run.addresses.get(4) else None
    if address is not None:
        run.emit(Event("started", "cross-check", "asking pystun3 for a second opinion (up to 75 s)"))
        await cross_check(run.network, run.recorder, address.endpoint)
        run.emit(Event("finished", "cross-check"))


async def _lane(run: MeasurementRun, lane: Lane) -> None:
    """Find the servers of a lane, then run its probes side by side. UDP's lane tells the loss for TCP's too,
    and says so however it ends."""
    try:
        await _run_lane(run, lane)
    finally:
        if lane.transport == "udp":
            run.loss_known(lane.family).set()


async def _run_lane(run: MeasurementRun, lane: Lane) -> None:
    targets = await reach_servers(run, lane)
    if not targets:
        return
    for gap in plan.gaps(lane, targets):
        number, at_s = run.recorder.stamp()
        run.recorder.add(
            Gap(
                id=number,
                probe="plan",
                at_s=at_s,
                question=gap.question,
                reason=gap.reason,
                settle=gap.settle,
            )
        )
    punch = run.options.command == "diagnose"
    tasks: dict[StepName, asyncio.Task[None]] = {}
    async with asyncio.TaskGroup() as group:
        for step in plan.steps(lane, targets, lifetime=run.options.lifetime, punch=punch):
            before = [tasks[name] for name in plan.AFTER.get(step.name, ()) if name in tasks]
            tasks[step.name] = group.create_task(_step(run, lane, step, before))
        if lane.transport == "udp":
            await asyncio.wait([task for name, task in tasks.items() if name not in plan.NEVER_WAITED_FOR])
            run.loss_known(lane.family).set()


async def _step(run: MeasurementRun, lane: Lane, step: Step, before: list[asyncio.Task[None]]) -> None:
    from nattools.engine.registry import PROBES

    if before:
        await asyncio.wait(before)
    name = f"{step.name} {lane.name}"
    run.emit(Event("started", name, plan.STEP_TEXTS[step.name]))
    context = run.context(lane, name)
    context.loss_known = run.loss_known(lane.family)
    context.prediction_lock = run.prediction_locks.setdefault(lane.family, asyncio.Lock())
    await PROBES[step.name](context, step.targets, run.options.max_lifetime_s)
    run.emit(Event("finished", name))


def _expect_an_answer(run: MeasurementRun, timed_out: bool) -> None:
    """CannotRun unless something came back from somewhere."""
    if run.reached:
        return
    for seen in run.recorder.observations:
        if isinstance(seen, Binding) and seen.received:
            return
    asked = ", ".join(dict.fromkeys(server.text for server in run.options.servers))
    why = "in the time given" if timed_out else "over UDP or TCP"
    raise CannotRun(
        f"no server answered {why}; asked: {asked}",
        "Check that this machine is online and that the server runs; another one can be named with "
        "--server. `nattools serve` on a machine with a public address makes one.",
    )
