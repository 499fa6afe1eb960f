"""What this side brings to an attempt: its measured network, and a port mapping that is made beside the punch
and removed when the connection is over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from nattools.engine.measurement import MeasurementRun
from nattools.engine.portmap import journaled
from nattools.engine.portmap.journal import Journal
from nattools.engine.portmap.releasing import release
from nattools.engine.portmap.routersession import PortmapSession
from nattools.engine.punch.options import PunchOptions
from nattools.engine.punch.timeline import Timeline
from nattools.engine.run import CompletedRun, new_run, observe
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Transport
from nattools.model.nat import NatByTransport
from nattools.model.statement import Statement, statement
from nattools.net.base import Network
from nattools.probes.portmap import Granted, MappingRequest
from nattools.traversal.plan.side import side_of
from nattools.traversal.plan.steps import LOWEST_PORT
from nattools.traversal.serverreflexive import server_reflexive


@dataclass(frozen=True, slots=True)
class LocalSide:
    """What an attempt begins with: the measurement, its findings, and what this side is willing to do.
    `low_ports`: it may use ports below 1024, and `low_ports_help` its NAT, as far as known."""

    run: MeasurementRun
    nat: NatByTransport
    low_ports: bool
    options: PunchOptions
    low_ports_help: bool = True

    def without(self, transport: Transport | None) -> LocalSide:
        """This side, not willing to use that transport."""
        udp, tcp = self.options.udp and transport != "udp", self.options.tcp and transport != "tcp"
        return replace(self, options=replace(self.options, udp=udp, tcp=tcp))


async def local_side(looked: CompletedRun, options: PunchOptions, timeline: Timeline) -> LocalSide:
    """What this side brings to an attempt."""
    nat = looked.report().nat
    low = options.low_ports
    if low is None:
        low = await may_bind_low_ports(looked.run.network)
    helps = not low or await _stay_low(looked.run, nat)
    timeline.note("behaviour", behaviour(nat))
    return LocalSide(looked.run, nat, low and helps, options, helps)


async def measure_again(own: LocalSide, timeline: Timeline) -> LocalSide:
    """This side, measured anew in the network that the machine is in now. CannotRun: it is in none."""
    looked = await observe(new_run(own.run.network, own.options.measuring, own.run.emit))
    return await local_side(looked, own.options, timeline)


def behaviour(nat: NatByTransport) -> Statement:
    """What was measured of a side's network."""
    best = nat.udp4 or nat.udp6
    if best is None:
        return statement("network-not-measured")
    if best.reachable is False:
        return statement("network-blocks-udp")
    if best.classic != "unknown":
        return statement("network-classic", classic=best.classic)
    return statement("network-behaviour", mapping=best.mapping, filtering=best.filtering)


async def may_bind_low_ports(network: Network) -> bool:
    """May this process bind ports below 1024 (on Linux: CAP_NET_BIND_SERVICE, or
    net.ipv4.ip_unprivileged_port_start)? Tried on a few, since one may be taken."""
    for port in (1021, 977, 853):
        try:
            socket = await network.open_udp(family=4, port=port)
        except CannotRun:
            continue
        socket.close()
        return True
    return False


async def _stay_low(run: MeasurementRun, nat: NatByTransport) -> bool:
    """Are ports below 1024 below 1024 outside too, as behind Linux alone? Other NATs, also one of two, draw
    for them from all ports. Asked where ports are drawn at random; True where nobody says otherwise."""
    side = side_of(nat.udp4)
    servers = [each for each in run.reached if (each.transport, each.family) == ("udp", 4)]
    if side is None or side.moves != "at random" or not servers:
        return True
    server = min(servers, key=lambda each: each.rtt_s).endpoint
    for port in (1019, 971, 849):
        with contextlib.suppress(CannotRun):
            socket = await run.network.open_udp(family=4, port=port, interface=run.options.interface)
            try:
                seen = await server_reflexive(socket, server)
            finally:
                socket.close()
            return seen is None or seen.port < LOWEST_PORT
    return True


# --- a port on the router

LIFETIME_S = 7200
"""A path in use stays open by its traffic; this is the limit if removing it fails."""
DESCRIPTION = "nattools punch"


class RouterMapping:
    """`discover` first; `ask_all` for the sockets; `release` at the end, whatever happens."""

    def __init__(self, run: MeasurementRun, journal: Journal, timeline: Timeline) -> None:
        self._session = PortmapSession(run, journal)
        self._timeline = timeline
        self._run = run
        self._discovered = asyncio.Event()
        self._settled = False

    @property
    def settled(self) -> bool:
        """Is nothing more to be expected of the router?"""
        return self._settled

    async def discover(self) -> None:
        """What do the routers offer?"""
        try:
            await self._session.discover()
            await journaled.remove_stale(self._session)
        finally:
            self._discovered.set()
        found = sorted({each.offer.protocol for each in self._session.discovery.mappers})
        self._settled = not found
        if found:
            self._timeline.note("mappings", statement("router-protocols", protocols=tuple(found)))

    async def ask_all(self, sockets: list[Endpoint], take: Callable[[Endpoint, Endpoint], None]) -> None:
        """Ask for each socket once it is known whom to ask; `take(internal, outside)` is told what comes of
        it."""
        await self._discovered.wait()
        for internal in sockets:
            outside = await self.ask(internal)
            if outside is not None:
                take(internal, outside)
        self._settled = True

    async def ask(self, internal: Endpoint) -> Endpoint | None:
        """Where the router says that a socket is reached now; None if it says nothing of use. For IPv6 that
        is the socket's own address, with the firewall open."""
        wanted = MappingRequest(
            transport="udp",
            internal=internal,
            lifetime_s=LIFETIME_S,
            description=DESCRIPTION,
        )
        mappers = self._session.mappers(internal.family)
        held = await self._session.make_by_any(mappers, wanted, usable=self._is_public)
        if held is None or held.granted is None:
            return None
        outside = held.granted.external
        protocol = held.mapper.offer.protocol
        mapped = statement("router-mapped", protocol=protocol, internal=str(internal), external=str(outside))
        self._timeline.note("mappings", mapped, ok=True)
        return outside

    def _is_public(self, granted: Granted) -> bool:
        """What the router calls its external address is of no use where that is private."""
        return granted.external is not None and self._run.network.is_public(granted.external.host)

    async def release(self) -> None:
        """Remove what was made; bounded in time."""
        await release(self._session)
