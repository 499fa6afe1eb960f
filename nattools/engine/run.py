"""Run a measurement: put the plan's questions, keep what is observed, have it analysed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from nattools.engine import plan
from nattools.engine.analyse import analyse
from nattools.engine.analysis.endings import ending
from nattools.engine.measurement import (
    MeasurementRun,
    describe_host,
    describe_servers,
    learn_translation,
    look_for_routers,
    primary_error,
    reach_servers,
    resolve_servers,
)
from nattools.engine.measureoptions import Emit, Event, MeasureOptions
from nattools.engine.networkwatch import NetworkWatch
from nattools.engine.plan import PlannedProbe
from nattools.engine.portals import behind_portal, look_for_portal, look_for_tcp_portal
from nattools.engine.serverlookup import routed_families
from nattools.engine.spreadroutes import spread_over
from nattools.errors import CannotRun
from nattools.model.endpoint import Family
from nattools.model.observation import FORBIDDEN_HERE, Binding
from nattools.model.report import MapAction, Measurement, Report
from nattools.net.base import Network
from nattools.net.eventloop import TimeLimit
from nattools.net.translated import TranslatedNetwork
from nattools.probes.probe import LaneProbe, MachineProbe, Recorder
from nattools.probes.target import Lane
from nattools.wording.sentences import text_of

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import Journal


logger = logging.getLogger(__name__)


class NothingAnswered(CannotRun):
    """Nothing outside answered. `report` has what is known all the same, and where it ended."""

    def __init__(self, why: CannotRun, report: Report) -> None:
        super().__init__(str(why), why.remedy)
        self.report = report


class CompletedRun(msgspec.Struct, frozen=True):
    """A measurement that is over; what its `run` found can be used further, and recorded further. `action`:
    what was done on routers; `tells_servers`: servers had a part in it."""

    run: MeasurementRun
    families: tuple[Family, ...]
    started: datetime
    timed_out: bool
    action: MapAction | None = None
    tells_servers: bool = True

    def report(self, *, ended: bool = False) -> Report:
        """What the observations mean, with those that came later. `ended`: nothing outside answered."""
        run, options = self.run, self.run.options
        host = describe_host(run.network, options, self.families or options.families, run.reached, run.spread)
        servers = describe_servers(run) if self.tells_servers else ()
        seen = tuple(run.recorder.observations)
        measurement = Measurement(
            command=options.command,
            action=self.action,
            started=self.started.isoformat(timespec="seconds").replace("+00:00", "Z"),
            duration_s=round(asyncio.get_running_loop().time() - run.recorder.started, 3),
            substrate=run.network.substrate,
            scenario=options.scenario,
            seed=options.seed,
            host=host,
            servers=servers,
            families=self.families,
            lifetime_asked=options.lifetime,
            timed_out=self.timed_out,
            ended=ending(host, options.families, servers, seen) if ended else None,
            observations=seen,
        )
        return analyse(measurement, is_public=run.network.is_public)


async def measure(
    network: Network, options: MeasureOptions, emit: Emit, journal: Journal | None = None
) -> Report:
    """Everything that can be measured here, as a report. `journal`: where to write down what is asked of
    routers; None: they are not to be asked for mappings.

    NothingAnswered: there is no route, no server's name resolves, or no server answered at all."""
    run = new_run(network, options, emit)
    completed = CompletedRun(run, (), datetime.now(UTC), timed_out=False)
    try:
        completed = await observe(run, journal)
        met = await look_for_portal(run)
        if met is None:
            _expect_an_answer(run, completed.timed_out)
            if not completed.timed_out:
                await look_for_tcp_portal(run)
    except CannotRun as error:
        await look_for_routers(run)
        raise NothingAnswered(error, completed.report(ended=True)) from None
    if met is not None:
        await look_for_routers(run)
        raise NothingAnswered(behind_portal(met), completed.report(ended=True))
    return completed.report()


def new_run(network: Network, options: MeasureOptions, emit: Emit) -> MeasurementRun:
    """A measurement that is about to begin. Where this machine spreads what it sends over several interfaces,
    it goes through one of them."""
    translated = network if isinstance(network, TranslatedNetwork) else TranslatedNetwork(network)
    spread = spread_over(network) if options.interface is None and 4 in options.families else ()
    if spread:
        options = msgspec.structs.replace(options, interface=spread[0])
    run = MeasurementRun(translated, options, emit, Recorder(asyncio.get_running_loop().time()))
    run.spread = spread
    return run


async def observe(run: MeasurementRun, journal: Journal | None = None) -> CompletedRun:
    """The same before it is analysed, also if no server answered.

    CannotRun: there is no route, or no server's name resolves."""
    started = datetime.now(UTC)
    await learn_translation(run)
    families = await routed_families(run.network, run.options)
    watch = NetworkWatch(run, families)
    timed_out = await within_time_limit(run, watch.during(put_questions(run, families, journal)))
    return CompletedRun(run, families, started, timed_out)


async def within_time_limit(run: MeasurementRun, work: Awaitable[None]) -> bool:
    """Do the work; True: it was broken off because the time given was over. Of several errors at once it
    raises the `primary_error`."""
    try:
        async with TimeLimit(run.options.timeout_s) as limit:
            await work
    except BaseExceptionGroup as group:
        logger.debug("the measurement failed", exc_info=True)
        raise primary_error(group) from None
    if limit.expired():
        logger.debug("the %s s given are over", run.options.timeout_s)
    return limit.expired()


async def put_questions(
    run: MeasurementRun, families: tuple[Family, ...], journal: Journal | None = None
) -> None:
    """All that the command asks of servers, of this machine's network and, with a journal, of routers.
    CannotRun, perhaps in a group: no server's name resolves."""
    from nattools.engine import registry

    probes = registry.lane_probes(run.options)
    wanted = [probe for probe in probes if probe.wanted(run.options)]
    async with asyncio.TaskGroup() as group:
        for probe in registry.machine_probes(run, journal):
            if probe.wanted(run.options):
                group.create_task(_run_machine_probe(run, probe, families))
        unresolved = await _resolved(run, families)
        for lane in plan.lanes([family for family in families if run.addresses.get(family)]):
            group.create_task(_lane(run, lane, wanted))
    if unresolved is not None:
        raise unresolved
    for lane, step in plan.last_steps(wanted, run.reached):
        await _step(run, lane, step, [])


async def _resolved(run: MeasurementRun, families: tuple[Family, ...]) -> CannotRun | None:
    """Look the servers up; why that cannot be done is told when the machine's own probes are over."""
    try:
        await resolve_servers(run, families)
    except CannotRun as error:
        return error
    return None


async def _run_machine_probe(run: MeasurementRun, probe: MachineProbe, families: tuple[Family, ...]) -> None:
    run.emit(Event("started", probe.name, probe.text))
    context = run.machine_context(probe.name, families)
    reason = None if probe.capability is None else run.network.missing(probe.capability)
    await (probe.run(context) if reason is None else probe.record_missing(context, reason))
    run.emit(Event("finished", probe.name))


async def _lane(run: MeasurementRun, lane: Lane, probes: list[LaneProbe]) -> None:
    """Find the servers of a lane, then run its probes side by side. UDP's lane tells the loss for TCP's too,
    and says so however it ends."""
    try:
        await _run_lane(run, lane, probes)
    finally:
        if lane.transport == "udp":
            run.path(lane.family).loss_known.set()


async def _run_lane(run: MeasurementRun, lane: Lane, probes: list[LaneProbe]) -> None:
    targets = await reach_servers(run, lane)
    if not targets:
        return
    probes = [probe for probe in probes if probe.over(run.options, lane.family)]
    for gap in plan.gaps(probes, lane, targets):
        run.recorder.add(gap)
    tasks: dict[str, asyncio.Task[None]] = {}
    telling: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        for step in plan.steps(probes, lane, targets):
            before = [tasks[name] for name in step.probe.after if name in tasks]
            task = tasks[step.probe.name] = group.create_task(_step(run, lane, step, before))
            telling += [task] if step.probe.tells_loss else []
        if lane.transport == "udp":
            if telling:
                await asyncio.wait(telling)
            run.path(lane.family).loss_known.set()


async def _step(
    run: MeasurementRun, lane: Lane, step: PlannedProbe[LaneProbe], before: list[asyncio.Task[None]]
) -> None:
    if before:
        await asyncio.wait(before)
    probe, targets = step.probe, step.targets
    name = f"{probe.name} {lane.name}"
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("%s: asking %s", name, ", ".join(str(target.endpoint) for target in targets))
    run.emit(Event("started", name, probe.text))
    context = run.context(lane, name)
    reason = None if probe.capability is None else run.network.missing(probe.capability)
    await (probe.run(context, targets) if reason is None else probe.record_missing(context, targets, reason))
    run.emit(Event("finished", name))


def _expect_an_answer(run: MeasurementRun, timed_out: bool) -> None:
    """CannotRun unless something came back from somewhere."""
    if run.reached:
        return
    for seen in run.recorder.observations:
        if isinstance(seen, Binding) and seen.received:
            return
    seen_all = run.recorder.observations
    bindings = [seen for seen in seen_all if isinstance(seen, Binding) and seen.transport == "udp"]
    if bindings and all(seen.detail == FORBIDDEN_HERE for seen in bindings):
        raise CannotRun(
            "this machine's own firewall lets nothing out: the system refuses to send",
            "If it is a VPN's kill switch, connect the VPN or switch that off; else look at the firewall's "
            "rules for what leaves (nft list ruleset).",
        )
    why = "in the time given" if timed_out else "over UDP or TCP"
    raise CannotRun(
        f"no server answered {why}; asked: {', '.join(_asked(run))}",
        "Check that this machine is online and that the server runs; another one can be named with "
        "--server. `nattools serve` on a machine with a public address makes one.",
    )


def _asked(run: MeasurementRun) -> Iterator[str]:
    """The servers' names, with what came instead of an answer."""
    for server in describe_servers(run):
        told = [each for each in server.problems if each.code != "server-silent"]
        yield f"{server.uri} ({text_of(told)})" if told else server.uri
