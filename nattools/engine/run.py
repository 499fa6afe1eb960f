"""Run a measurement: put the plan's questions, keep what is observed, have it analysed."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from nattools.engine import plan
from nattools.engine.analyse import analyse
from nattools.engine.events import Event
from nattools.engine.options import MeasureOptions
from nattools.engine.plan import Lane, Step
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family, family_of
from nattools.model.host import Host
from nattools.model.measurement import Measurement
from nattools.model.observation import Binding, Gap
from nattools.model.report import Report, Server
from nattools.net.base import Network
from nattools.probes.context import ProbeContext, Recorder
from nattools.probes.pace import Pace
from nattools.probes.ports import ports_tcp, ports_udp
from nattools.probes.reach import Hint, first_of, reach_tcp, reach_udp
from nattools.probes.resolving import resolve
from nattools.probes.target import Target

Emit = Callable[[Event], None]
ENOUGH_PUBLIC_SERVERS = 3
SUSPICION_S = 0.25
"""After so long without any answer over UDP, other ports are tried beside the one that is silent."""
ANYWHERE: dict[Family, str] = {4: "11.0.0.1", 6: "2a10::1"}
"""An address to ask the routing table about; nothing is sent there."""


class Site(msgspec.Struct, frozen=True):
    """A server's address of one family."""

    uri: str
    endpoint: Endpoint
    secure: bool = False
    over: str | None = None

    def serves(self, lane: Lane) -> bool:
        """May it be asked over this lane's transport, as its URI says?"""
        return not self.secure and self.over in (None, lane.transport)


class _Run(msgspec.Struct):
    network: Network
    options: MeasureOptions
    emit: Emit
    recorder: Recorder
    sites: dict[Family, list[Site]] = msgspec.field(default_factory=dict)
    hints: dict[tuple[str, Family], Hint] = msgspec.field(default_factory=dict)
    reached: list[Target] = msgspec.field(default_factory=list)
    paces: dict[Family, Pace] = msgspec.field(default_factory=dict)
    sources: dict[Family, str | None] = msgspec.field(default_factory=dict)
    losses_told: dict[Family, asyncio.Event] = msgspec.field(default_factory=dict)

    def context(self, lane: Lane, probe: str) -> ProbeContext:
        def progress(text: str, fraction: float | None) -> None:
            self.emit(Event("progress", probe, text, fraction))

        pace = self.paces.setdefault(lane.family, Pace())
        source = self.source(lane.family)
        return ProbeContext(
            self.network, self.recorder, pace, lane.family, self.options.interface, source, progress=progress
        )

    def settled(self, family: Family) -> asyncio.Event:
        """Set once UDP's probes have told what a path loses."""
        return self.losses_told.setdefault(family, asyncio.Event())

    def source(self, family: Family) -> str | None:
        """The own address that packets to the servers leave from; with an interface named, its sockets
        know better."""
        if self.options.interface is not None:
            return None
        if family not in self.sources:
            route = self.network.route(self.sites[family][0].endpoint.host)
            self.sources[family] = route[1] if route else None
        return self.sources[family]

    def hint(self, site: Site) -> Hint:
        return self.hints.setdefault((site.uri, site.endpoint.family), Hint())


async def measure(network: Network, options: MeasureOptions, emit: Emit) -> Report:
    """Everything that can be measured here, as a report.

    CannotRun: there is no route, no server's name resolves, or no server answered at all."""
    started = datetime.now(UTC)
    loop = asyncio.get_running_loop()
    run = _Run(network, options, emit, Recorder(loop.time()))
    families = routed(network, options)
    timed_out = False
    _refuse_tls_only(options)
    try:
        async with asyncio.timeout(options.timeout_s):
            await _measure(run, families)
    except TimeoutError:
        timed_out = True
    except BaseExceptionGroup as group:
        raise _foremost(group) from None
    _expect_an_answer(run, timed_out)
    measurement = Measurement(
        command=options.command,
        started=started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        duration_s=round(loop.time() - run.recorder.started, 3),
        substrate=network.substrate,
        scenario=options.scenario,
        host=describe_host(network, options, families, run.reached),
        servers=_servers(run),
        families=families,
        lifetime_asked=options.lifetime,
        timed_out=timed_out,
        observations=tuple(run.recorder.observations),
    )
    return analyse(measurement, is_public=network.is_public)


def _refuse_tls_only(options: MeasureOptions) -> None:
    """CannotRun if every server wants TLS, which nothing here speaks yet."""
    if options.servers and all(server.secure for server in options.servers):
        raise CannotRun(
            f"{options.servers[0].text}: servers over TLS cannot be measured with yet",
            "Name the server as stun:HOST if it answers without TLS too, or name another one with --server.",
        )


def _foremost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error to tell of: side by side, several probes may have failed for the same reason."""
    cannot = group.subgroup(CannotRun)
    first: BaseException = cannot if cannot is not None else group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first


def routed(network: Network, options: MeasureOptions) -> tuple[Family, ...]:
    """The asked-for families that this machine has a route for: to the internet, or to a server that is
    named by its address."""
    named = tuple(
        server.host for server in options.servers if server.host[-1:].isdigit() or ":" in server.host
    )
    found = tuple(
        family
        for family in options.families
        if any(network.route(to) for to in (ANYWHERE[family], *named) if family_of(to) == family)
    )
    if options.interface is not None and not found:
        found = options.families
    if found:
        return found
    wanted = " or ".join(f"IPv{family}" for family in options.families)
    raise CannotRun(
        f"this machine has no {wanted} route to the internet",
        "Connect it to a network (is the cable in, is Wi-Fi on?), or look at its routes with `ip route`.",
    )


async def _measure(run: _Run, families: tuple[Family, ...]) -> None:
    await _resolve(run, families)
    async with asyncio.TaskGroup() as group:
        for lane in plan.lanes([family for family in families if run.sites.get(family)]):
            group.create_task(_lane(run, lane))
        if run.options.cross_check:
            group.create_task(_second_opinion(run))


async def _second_opinion(run: _Run) -> None:
    from nattools.probes.crosscheck import cross_check

    site = run.sites[4][0] if run.sites.get(4) else None
    if site is not None:
        run.emit(Event("started", "cross-check", "asking pystun3 for a second opinion (up to 70 s)"))
        await cross_check(run.network, run.recorder, site.endpoint)
        run.emit(Event("finished", "cross-check"))


async def _resolve(run: _Run, families: tuple[Family, ...]) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [
            (server, group.create_task(resolve(run.network, run.recorder, server.host, families)))
            for server in run.options.servers
        ]
    for server, task in tasks:
        for family, address in task.result().items():
            endpoint = Endpoint(address, server.port_or_default)
            site = Site(server.text, endpoint, server.secure, server.transport)
            run.sites.setdefault(family, []).append(site)
    if not run.sites:
        names = ", ".join(server.host for server in run.options.servers)
        raise CannotRun(
            f"no server's name resolves to an address that can be reached from here: {names}",
            "Check the spelling and that DNS works here, or name a server by its address: --server 192.0.2.1",
        )


async def _lane(run: _Run, lane: Lane) -> None:
    """Find the servers of a lane, then run its probes side by side. UDP's lane tells the loss for TCP's too,
    and says so however it ends."""
    try:
        await _run_lane(run, lane)
    finally:
        if lane.transport == "udp":
            run.settled(lane.family).set()


async def _run_lane(run: _Run, lane: Lane) -> None:
    sites = [
        site for site in run.sites[lane.family] if not site.secure and site.over in (None, lane.transport)
    ]
    if not sites:
        return
    run.emit(Event("started", f"reach {lane.name}", f"asking {len(sites)} server(s) over {lane.name}"))
    targets = await (
        _reach_udp(run, lane, sites) if lane.transport == "udp" else _reach_tcp(run, lane, sites)
    )
    run.emit(Event("finished", f"reach {lane.name}", f"{len(targets)} answered"))
    run.reached += targets
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
    async with asyncio.TaskGroup() as group:
        tasks = {
            step.name: group.create_task(_step(run, lane, step))
            for step in plan.steps(lane, targets, lifetime=run.options.lifetime)
        }
        if lane.transport == "udp":
            await asyncio.wait([task for name, task in tasks.items() if name not in plan.NEVER_WAITED_FOR])
            run.settled(lane.family).set()


async def _step(run: _Run, lane: Lane, step: Step) -> None:
    from nattools.engine.registry import PROBES

    name = f"{step.name} {lane.name}"
    run.emit(Event("started", name, plan.STEP_TEXTS[step.name]))
    context = run.context(lane, name)
    context.settled = run.settled(lane.family)
    await PROBES[step.name](context, step.targets, run.options.max_lifetime_s)
    run.emit(Event("finished", name))


def _patience(run: _Run) -> tuple[int, float]:
    """How many servers are enough, and how long the others then have."""
    return (ENOUGH_PUBLIC_SERVERS, 0.1) if run.options.default_servers else (1, 0.35)


async def _reach_udp(run: _Run, lane: Lane, sites: list[Site]) -> list[Target]:
    """Ask all servers; while none answers, suspect that the port is blocked and try others too."""
    context = run.context(lane, f"reach {lane.name}")
    enough, grace_s = _patience(run)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reach_udp(context, s.uri, s.endpoint, run.hint(s))) for s in sites]
        first = group.create_task(first_of(tasks, enough=enough, grace_s=grace_s))
        await asyncio.wait([first], timeout=SUSPICION_S)
        others: list[asyncio.Task[list[Target]]] = []
        if not any(task.done() and task.result() for task in tasks):
            others = [
                group.create_task(ports_udp(context, s.uri, s.endpoint, run.hint(s))) for s in sites[:2]
            ]
        found = await first
        if found:
            for task in others:
                task.cancel()
    return found or [target for task in others for target in task.result()]


async def _reach_tcp(run: _Run, lane: Lane, sites: list[Site]) -> list[Target]:
    context = run.context(lane, f"reach {lane.name}")
    enough, grace_s = (1, 0.1) if run.options.default_servers else _patience(run)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reach_tcp(context, s.uri, s.endpoint, run.hint(s))) for s in sites]
        found = await first_of(tasks, enough=enough, grace_s=grace_s)
        if not found and not run.options.default_servers:
            await ports_tcp(context, sites[0].uri, sites[0].endpoint)
    return found


def _expect_an_answer(run: _Run, timed_out: bool) -> None:
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


def describe_host(
    network: Network, options: MeasureOptions, families: tuple[Family, ...], reached: list[Target]
) -> Host:
    """This machine, and the interface that the measurement went through."""
    towards = reached[0].endpoint.host if reached else ANYWHERE[families[0]]
    route = network.route(towards)
    return Host(
        os=f"{platform.system()} {platform.release()}",
        python=sys.version.split()[0],
        interfaces=network.interfaces(),
        gateways=network.gateways(),
        measured_interface=options.interface or (route[0] if route else None),
    )


def _servers(run: _Run) -> tuple[Server, ...]:
    """Each server by each of its addresses, with what it can do as far as it answered."""
    servers = []
    for server in run.options.servers:
        sites = [site for family in run.sites for site in run.sites[family] if site.uri == server.text]
        if not sites:
            servers.append(Server(uri=server.text, problem="its name does not resolve"))
        servers += [_server(run, site) for site in sites]
    return tuple(servers)


def _server(run: _Run, site: Site) -> Server:
    targets = [target for target in run.reached if target.endpoint == site.endpoint]
    if not targets:
        problem = "TLS is not supported yet" if site.secure else "no answer"
        return Server(uri=site.uri, address=str(site.endpoint), problem=problem)
    return Server(
        uri=site.uri,
        address=str(site.endpoint),
        answered=True,
        rfc5780=any(target.two_addresses for target in targets),
        nattools=any(target.nattools for target in targets),
    )
