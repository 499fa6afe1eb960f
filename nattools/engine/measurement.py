"""Who is asked, and who answers: the beginning of every measurement."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Callable, Coroutine

import msgspec

from nattools.engine.analyse import so_far
from nattools.engine.measureoptions import Emit, Event, MeasureOptions
from nattools.engine.serverlookup import ServerAddress, look_up_servers, why_no_address
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.host import Host
from nattools.model.nat import Nat
from nattools.model.observation import Binding, Connection, Nat64, Outcome
from nattools.model.report import Server
from nattools.model.statement import Statement, statement
from nattools.net.addresses import FAR_AWAY
from nattools.net.base import Network
from nattools.net.eventloop import TimeLimit
from nattools.net.translated import TranslatedNetwork
from nattools.probes.estimate import PathEstimate, RttHint
from nattools.probes.nat64prefix import find_nat64
from nattools.probes.probe import MachineContext, ProbeContext, Progress, Recorder
from nattools.probes.reach import first_address, first_of, ports_tcp, ports_udp, reach_tcp, reach_udp
from nattools.probes.target import Lane, Target
from nattools.protocols.nat64 import parse_prefix

Reach = Callable[[ProbeContext, str, Endpoint, RttHint], Coroutine[None, None, Target | None]]
ENOUGH_PUBLIC_SERVERS = 3
SATELLITE_S = 1.6
SUSPICION_S = 0.25
"""After so long without any answer over UDP, other ports are tried beside the one that is silent."""
LAST_COPY_S = 0.5
"""So long before its end a silent question was last asked."""


class FamilyPath(msgspec.Struct):
    """What is known of the path over one address family; see `probes.probe.ProbeContext`."""

    estimate: PathEstimate = msgspec.field(default_factory=PathEstimate)
    loss_known: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    prediction_lock: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)


class MeasurementRun(msgspec.Struct):
    """A measurement under way: what is known of the servers, and of the paths to them."""

    network: TranslatedNetwork
    options: MeasureOptions
    emit: Emit
    recorder: Recorder
    translation_known: bool = False
    spread: tuple[str, ...] = ()
    addresses: dict[Family, list[ServerAddress]] = msgspec.field(default_factory=dict)
    rtt_hints: dict[tuple[str, Family], RttHint] = msgspec.field(default_factory=dict)
    reached: list[Target] = msgspec.field(default_factory=list)
    paths: dict[Family, FamilyPath] = msgspec.field(default_factory=dict)
    sources: dict[Family, str | None] = msgspec.field(default_factory=dict)
    resolved: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    asking: set[Lane] = msgspec.field(default_factory=set)
    asked: dict[Lane, asyncio.Event] = msgspec.field(default_factory=dict)

    def context(self, lane: Lane, probe: str) -> ProbeContext:
        """The context of a probe of this lane."""
        path = self.path(lane.family)
        return ProbeContext(
            self.network,
            self.recorder,
            path.estimate,
            lane.family,
            self.options,
            self.options.interface,
            self.source(lane.family),
            path.loss_known,
            path.prediction_lock,
            self.findings,
            self._progress_of(probe),
        )

    def machine_context(self, probe: str, families: tuple[Family, ...]) -> MachineContext:
        """The context of a probe without a lane."""
        return MachineContext(
            self.network, self.recorder, families, self.options, self.server_address, self._progress_of(probe)
        )

    def _progress_of(self, probe: str) -> Progress:
        return lambda text, fraction: self.emit(Event("progress", probe, text, fraction))

    def findings(self) -> dict[tuple[Transport, Family], Nat]:
        """What the observations mean so far."""
        seen = tuple(self.recorder.observations)
        return so_far(self.network.interfaces(), seen, is_public=self.network.is_public)

    async def server_address(self, family: Family) -> Endpoint | None:
        """The first server of that family, once the names are resolved."""
        await self.resolved.wait()
        return self.addresses[family][0].endpoint if self.addresses.get(family) else None

    def path(self, family: Family) -> FamilyPath:
        """What is known of it, UDP and TCP alike."""
        path = self.paths.get(family)
        if path is None:
            path = self.paths[family] = FamilyPath()
        return path

    def source(self, family: Family) -> str | None:
        """The own address that packets to the servers leave from; with an interface named, its sockets
        know better."""
        if self.options.interface is not None:
            return None
        if family not in self.sources:
            towards = (
                self.addresses[family][0].endpoint.host if self.addresses.get(family) else FAR_AWAY[family]
            )
            route = self.network.route(towards)
            self.sources[family] = route[1] if route else None
        return self.sources[family]

    def reach_finished(self, lane: Lane) -> asyncio.Event:
        """Set when it is known who answers over this lane."""
        finished = self.asked.get(lane)
        if finished is None:
            finished = self.asked[lane] = asyncio.Event()
        return finished

    async def dial_back_server(self, family: Family, transport: Transport) -> Target | None:
        """A server of that family that dials back over that transport, once it is known; None: there is
        none."""
        await self.resolved.wait()
        for lane in (Lane("udp", family), Lane("tcp", family)):
            if any(address.serves(lane) for address in self.addresses.get(family, ())):
                await self.reach_finished(lane).wait()
            over = [target for target in self.reached if (target.transport, target.family) == lane.key]
            if over:
                return next((target for target in over if target.dials_back(transport)), None)
        return None

    def rtt_hint(self, address: ServerAddress) -> RttHint:
        """What is known of the round trip to a server."""
        return self.rtt_hints.setdefault((address.uri, address.endpoint.family), RttHint())


async def learn_translation(run: MeasurementRun) -> None:
    """How IPv4 is reached on a machine that has IPv6 alone; once for each run, since the network may have
    become another one."""
    if run.translation_known or 4 not in run.options.families:
        return
    run.translation_known = True
    run.network.prefix, run.network.named = None, ()
    servers = [(server.host, server.port_or_default) for server in run.options.servers]
    async with TimeLimit(run.options.timeout_s):
        seen = await find_nat64(run.network, servers, run.options.interface)
        found = [told for each in seen if isinstance(told := run.recorder.add(each), Nat64)]
        run.network.named = tuple(parse_prefix(each.prefix) for each in found if each.dns64)
        run.network.prefix = next((parse_prefix(each.prefix) for each in found if each.used), None)


async def look_for_routers(run: MeasurementRun) -> None:
    """Where nothing answered: how far do packets get? Those with a small TTL go no farther than they must to
    tell."""
    if run.network.missing("icmp-errors") is not None:
        return
    from nattools.probes.layers import walk

    for family in run.options.families:
        known = run.addresses.get(family)
        towards = known[0].endpoint if known else Endpoint(FAR_AWAY[family], 3478)
        if run.network.route(towards.host) is None:
            continue
        run.emit(Event("started", f"routers IPv{family}", "which routers answer?"))
        for hop in await walk(run.context(Lane("udp", family), f"routers IPv{family}"), towards):
            run.recorder.add(hop)
        run.emit(Event("finished", f"routers IPv{family}"))


async def resolve_servers(run: MeasurementRun, families: tuple[Family, ...]) -> None:
    """Fill `run.addresses`. CannotRun: no name resolves."""
    try:
        run.addresses = await look_up_servers(run.network, run.recorder, run.options, families)
    finally:
        run.resolved.set()


async def reach_servers(run: MeasurementRun, lane: Lane) -> list[Target]:
    """The servers that answer over this lane; `run.reached` has them too."""
    run.asking.add(lane)
    try:
        return await _reach(run, lane)
    finally:
        run.reach_finished(lane).set()


async def _reach(run: MeasurementRun, lane: Lane) -> list[Target]:
    addresses = [address for address in run.addresses.get(lane.family, ()) if address.serves(lane)]
    if not addresses:
        return []
    run.emit(Event("started", f"reach {lane.name}", f"asking {len(addresses)} server(s) over {lane.name}"))
    targets = await (
        _reach_udp(run, lane, addresses) if lane.transport == "udp" else _reach_tcp(run, lane, addresses)
    )
    run.emit(Event("finished", f"reach {lane.name}", f"{len(targets)} answered"))
    run.reached += targets
    return targets


def _patience(run: MeasurementRun) -> tuple[int, float]:
    """How many servers are enough, and how long the others then have: those that the user has named long
    enough for a satellite's round trip."""
    return (ENOUGH_PUBLIC_SERVERS, 0.1) if run.options.default_servers else (1, SATELLITE_S)


async def _reach_udp(run: MeasurementRun, lane: Lane, addresses: list[ServerAddress]) -> list[Target]:
    """Ask all servers; while none answers, suspect that the port is blocked and try others too."""
    context = run.context(lane, f"reach {lane.name}")
    enough, grace_s = _patience(run)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_reach_one(run, context, s, reach_udp)) for s in addresses]
        first = group.create_task(first_of(tasks, enough=enough, grace_s=grace_s))
        await asyncio.wait([first], timeout=SUSPICION_S)
        others: list[asyncio.Task[list[Target]]] = []
        if not any(task.done() and task.result() for task in tasks):
            others = [
                group.create_task(ports_udp(context, s.uri, s.endpoint, run.rtt_hint(s)))
                for s in addresses[:2]
            ]
        found = await first
        if found:
            for task in others:
                task.cancel()
    found = found or [target for task in others for target in task.result()]
    if not found and await _came_up_since(run, lane.family):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_reach_one(run, context, s, reach_udp)) for s in addresses]
            found = await first_of(tasks, enough=enough, grace_s=grace_s)
    return found


async def _came_up_since(run: MeasurementRun, family: Family) -> bool:
    """Did the first answer over TCP come after what was last asked over UDP in vain? The network was out
    until then, and their silence is no block."""
    silent_s = asyncio.get_running_loop().time() - run.recorder.started - LAST_COPY_S
    lane = Lane("tcp", family)
    if lane not in run.asking:
        return False
    await run.reach_finished(lane).wait()
    answers = [
        seen.at_s + seen.waited_s
        for seen in run.recorder.observations
        if isinstance(seen, Binding)
        and (seen.transport, seen.family, seen.outcome) == (*lane.key, "answered")
    ]
    return bool(answers) and min(answers) > silent_s


async def _reach_tcp(run: MeasurementRun, lane: Lane, addresses: list[ServerAddress]) -> list[Target]:
    context = run.context(lane, f"reach {lane.name}")
    enough, grace_s = (1, 0.1) if run.options.default_servers else _patience(run)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_reach_one(run, context, s, reach_tcp)) for s in addresses]
        found = await first_of(tasks, enough=enough, grace_s=grace_s)
        # which ports are blocked is not what `ipv6` is asked
        if not found and not run.options.default_servers and run.options.command != "ipv6":
            await ports_tcp(context, addresses[0].endpoint)
    return found


async def _reach_one(
    run: MeasurementRun, context: ProbeContext, server: ServerAddress, ask: Reach
) -> Target | None:
    hint = run.rtt_hint(server)
    if server.tls is not None:
        context.estimate.tls |= dict.fromkeys(server.endpoints, server.tls)
    return await first_address(
        server.endpoints,
        lambda at: ask(context, server.uri, at, hint),
        lambda at: _has_answered(run, at),
    )


def _has_answered(run: MeasurementRun, endpoint: Endpoint) -> bool:
    """Over whichever transport."""
    seen_all = run.recorder.observations
    return any(isinstance(one, Binding) and one.asked == str(endpoint) and one.received for one in seen_all)


def describe_host(
    network: Network,
    options: MeasureOptions,
    families: tuple[Family, ...],
    reached: list[Target],
    spread: tuple[str, ...] = (),
) -> Host:
    """This machine, and the interface that the measurement went through."""
    towards = reached[0].endpoint.host if reached else FAR_AWAY[families[0] if families else 6]
    route = network.route(towards)
    servers = {target.family: target.endpoint.host for target in reversed(reached)}
    ways = [
        network.way(servers.get(family, FAR_AWAY[family]), interface=options.interface) for family in families
    ]
    return Host(
        os=f"{platform.system()} {platform.release()}",
        python=sys.version.split()[0],
        interfaces=network.interfaces(),
        gateways=network.gateways(),
        measured_interface=options.interface or (route[0] if route else None),
        ways=tuple(way for way in ways if way is not None),
        runs_in=network.runs_in(),
        spread=spread,
        ipv6=network.ipv6_setup(),
    )


def describe_servers(run: MeasurementRun) -> tuple[Server, ...]:
    """Each server by each of its addresses, with what it can do as far as it answered."""
    servers = []
    for server in run.options.servers:
        addresses = [
            address
            for family in run.addresses
            for address in run.addresses[family]
            if address.uri == server.text
        ]
        if not addresses:
            why = why_no_address(run.recorder, run.options, server.host)
            problem = statement("server-unresolved", detail=why)
            servers.append(Server(uri=server.text, problems=(problem,)))
        servers += [_server(run, address) for address in addresses]
    return tuple(servers)


def _server(run: MeasurementRun, address: ServerAddress) -> Server:
    targets = [target for target in run.reached if target.endpoint in address.endpoints]
    if not targets:
        dtls = address.tls is not None and address.over == "udp"
        problem = statement("server-dtls") if dtls else _why_silent(run, address.endpoint)
        return Server(uri=address.uri, address=str(address.endpoint), problems=(problem,))
    return Server(
        uri=address.uri,
        address=str(targets[0].endpoint),
        answered=True,
        rfc5780=any(target.two_addresses for target in targets),
        nattools=any(target.nattools for target in targets),
    )


def _why_silent(run: MeasurementRun, endpoint: Endpoint) -> Statement:
    """What came instead of an answer, from there or from a router on the way; the first of these decides."""
    at, seen = str(endpoint), run.recorder.observations
    asked = [one for one in seen if isinstance(one, Binding) and one.asked == at]
    for outcome, code in _INSTEAD.items():
        for one in asked:
            if one.outcome == outcome:
                return statement(code, server=at, detail=one.detail or outcome)
    called = [one for one in seen if isinstance(one, Connection) and one.remote == at]
    if any(one.outcome in ("refused", "reset") for one in called):
        return statement("server-connection-refused")
    return statement("server-silent")


_INSTEAD: dict[Outcome, str] = {
    "error": "server-refused",
    "tls": "server-tls",
    "malformed": "server-not-stun",
    "reset": "server-cut",
    "refused": "server-port-closed",
    "prohibited": "server-prohibited",
    "unreachable": "server-unreachable",
}


def primary_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error to tell of: side by side, several probes may have failed for the same reason."""
    cannot = group.subgroup(CannotRun)
    first: BaseException = cannot if cannot is not None else group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
