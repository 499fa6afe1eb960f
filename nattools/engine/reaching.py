"""Who is asked, and who answers: the beginning of every measurement."""

from __future__ import annotations

import asyncio
import platform
import sys

import msgspec

from nattools.engine.events import Emit, Event
from nattools.engine.options import MeasureOptions
from nattools.engine.plan import Lane
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family, Transport, family_of
from nattools.model.host import Host
from nattools.model.report import Server
from nattools.net.base import Network
from nattools.probes.context import ProbeContext, Recorder
from nattools.probes.hint import Hint
from nattools.probes.pace import Pace
from nattools.probes.ports import ports_tcp, ports_udp
from nattools.probes.reach import first_of, reach_tcp, reach_udp
from nattools.probes.resolving import resolve
from nattools.probes.target import Target

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


class Run(msgspec.Struct):
    """A measurement under way: what is known of the servers, and of the paths to them."""

    network: Network
    options: MeasureOptions
    emit: Emit
    recorder: Recorder
    sites: dict[Family, list[Site]] = msgspec.field(default_factory=dict)
    hints: dict[tuple[str, Family], Hint] = msgspec.field(default_factory=dict)
    reached: list[Target] = msgspec.field(default_factory=list)
    paces: dict[Family, Pace] = msgspec.field(default_factory=dict)
    sources: dict[Family, str | None] = msgspec.field(default_factory=dict)
    resolved: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    asked: dict[Lane, asyncio.Event] = msgspec.field(default_factory=dict)
    losses_told: dict[Family, asyncio.Event] = msgspec.field(default_factory=dict)
    foretelling: dict[Family, asyncio.Lock] = msgspec.field(default_factory=dict)

    def context(self, lane: Lane, probe: str) -> ProbeContext:
        """For a probe of this lane."""

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
            towards = self.sites[family][0].endpoint.host if self.sites.get(family) else ANYWHERE[family]
            route = self.network.route(towards)
            self.sources[family] = route[1] if route else None
        return self.sources[family]

    def reach_is_over(self, lane: Lane) -> asyncio.Event:
        """Set when it is known who answers over this lane."""
        return self.asked.setdefault(lane, asyncio.Event())

    async def helper(self, family: Family, transport: Transport) -> Target | None:
        """A server of that family that dials back over that transport, once it is known; None: there is
        none."""
        await self.resolved.wait()
        for lane in (Lane("udp", family), Lane("tcp", family)):
            if any(site.serves(lane) for site in self.sites.get(family, ())):
                await self.reach_is_over(lane).wait()
            over = [target for target in self.reached if (target.transport, target.family) == lane.key]
            if over:
                return next((target for target in over if target.dials_back(transport)), None)
        return None

    def hint(self, site: Site) -> Hint:
        """What is known of the round trip to a server."""
        return self.hints.setdefault((site.uri, site.endpoint.family), Hint())


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


async def resolve_servers(run: Run, families: tuple[Family, ...]) -> None:
    """Fill `run.sites`. CannotRun: no name resolves."""
    try:
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
    finally:
        run.resolved.set()
    if not run.sites:
        names = ", ".join(server.host for server in run.options.servers)
        raise CannotRun(
            f"no server's name resolves to an address that can be reached from here: {names}",
            "Check the spelling and that DNS works here, or name a server by its address: --server 192.0.2.1",
        )


async def reach(run: Run, lane: Lane) -> list[Target]:
    """The servers that answer over this lane; `run.reached` has them too."""
    try:
        return await _reach(run, lane)
    finally:
        run.reach_is_over(lane).set()


async def _reach(run: Run, lane: Lane) -> list[Target]:
    sites = [site for site in run.sites.get(lane.family, ()) if site.serves(lane)]
    if not sites:
        return []
    run.emit(Event("started", f"reach {lane.name}", f"asking {len(sites)} server(s) over {lane.name}"))
    targets = await (
        _reach_udp(run, lane, sites) if lane.transport == "udp" else _reach_tcp(run, lane, sites)
    )
    run.emit(Event("finished", f"reach {lane.name}", f"{len(targets)} answered"))
    run.reached += targets
    return targets


def _patience(run: Run) -> tuple[int, float]:
    """How many servers are enough, and how long the others then have."""
    return (ENOUGH_PUBLIC_SERVERS, 0.1) if run.options.default_servers else (1, 0.35)


async def _reach_udp(run: Run, lane: Lane, sites: list[Site]) -> list[Target]:
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


async def _reach_tcp(run: Run, lane: Lane, sites: list[Site]) -> list[Target]:
    context = run.context(lane, f"reach {lane.name}")
    enough, grace_s = (1, 0.1) if run.options.default_servers else _patience(run)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reach_tcp(context, s.uri, s.endpoint, run.hint(s))) for s in sites]
        found = await first_of(tasks, enough=enough, grace_s=grace_s)
        if not found and not run.options.default_servers:
            await ports_tcp(context, sites[0].uri, sites[0].endpoint)
    return found


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


def describe_servers(run: Run) -> tuple[Server, ...]:
    """Each server by each of its addresses, with what it can do as far as it answered."""
    servers = []
    for server in run.options.servers:
        sites = [site for family in run.sites for site in run.sites[family] if site.uri == server.text]
        if not sites:
            servers.append(Server(uri=server.text, problem="its name does not resolve"))
        servers += [_server(run, site) for site in sites]
    return tuple(servers)


def _server(run: Run, site: Site) -> Server:
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


def foremost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error to tell of: side by side, several probes may have failed for the same reason."""
    cannot = group.subgroup(CannotRun)
    first: BaseException = cannot if cannot is not None else group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
