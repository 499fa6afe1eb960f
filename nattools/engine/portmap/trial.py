"""Every protocol tried for a moment: a mapping made, read back, verified from outside and removed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from nattools.engine.measurement import MeasurementRun
from nattools.engine.measureoptions import Event
from nattools.engine.portmap import journaled
from nattools.engine.portmap.journal import Journal
from nattools.engine.portmap.recording import record_not_asked
from nattools.engine.portmap.releasing import release
from nattools.engine.portmap.routersession import PortmapSession
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.probes.dialbacks import InboundListener, open_inbound_listener
from nattools.probes.mappingcheck import verify
from nattools.probes.portmap import GatewayContext, Granted, Mapper, MappingRequest, Refused, policy
from nattools.probes.probe import MachineContext, MachineProbe, ProbeContext
from nattools.probes.target import Lane, Target

LIFETIME_S = 120
"""Long enough for a trial, short enough to expire soon if removing it fails."""
DESCRIPTION = "nattools trial"
_SETTLE = "`nattools serve` on a machine outside, named with --server"


class RouterMappings(MachineProbe):
    """Does the router make port mappings, and are they true? Each mapper found is tried for a moment."""

    name = "map discovery"
    text = "does the router make port mappings?"
    commands = frozenset({"diagnose", "ipv6", "tailscale"})

    def __init__(self, run: MeasurementRun, journal: Journal) -> None:
        self._session = PortmapSession(run, journal)

    async def run(self, context: MachineContext) -> None:
        """Discover, remove what an earlier run has left, try all."""
        await self._session.discover()
        await journaled.remove_stale(self._session)
        await try_all(self._session)


class MappingTrial(msgspec.Struct):
    """One mapping of a trial."""

    mapper: Mapper
    wanted: MappingRequest
    listener: InboundListener
    granted: Granted | Refused | None = None


async def try_all(session: PortmapSession, transports: tuple[Transport, ...] = ("udp", "tcp")) -> None:
    """Try every mapper that was found for each transport. Nothing is left behind, whatever happens."""
    trials: list[MappingTrial] = []
    try:
        for mapper in policy.to_be_asked(session.discovery.mappers):
            for transport in transports:
                trial = await _prepare(session, mapper, transport)
                trials += [] if trial is None else [trial]
        async with asyncio.TaskGroup() as checks:
            # one family after the other: some routers break when asked over both at once
            for family in _families_of(session.discovery.mappers):
                of_family = [each for each in trials if each.wanted.family == family]
                await _make(session, of_family, checks)
    finally:
        for trial in trials:
            trial.listener.close()
        await release(session)


async def _prepare(session: PortmapSession, mapper: Mapper, transport: Transport) -> MappingTrial | None:
    """Each trial has its own port; None: no port could be opened."""
    gateway = session.gateway(mapper.offer.family)
    if gateway is None:
        return None
    try:
        listener = await open_inbound_listener(gateway, transport)
    except CannotRun as error:
        session.record_gap(f"Does {mapper.offer.protocol} make {transport} mappings?", str(error), _SETTLE)
        return None
    wanted = MappingRequest(
        transport=transport,
        internal=listener.local,
        lifetime_s=LIFETIME_S,
        description=DESCRIPTION,
    )
    return MappingTrial(mapper, wanted, listener)


async def _make(session: PortmapSession, trials: list[MappingTrial], checks: asyncio.TaskGroup) -> None:
    """By UPnP first, then by the others side by side as far as `policy` allows. Each mapping that is made is
    checked while the others are still asked for."""
    session.run.emit(Event("started", "map", "asking the router for a mapping, for a moment"))
    leading = [each for each in trials if each.mapper.offer.protocol == policy.FIRST]
    answered = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for trial in leading:
            group.create_task(_make_one(session, trial, checks, answered))
        if leading:
            await answered.wait()
        refusals = [each.granted for each in leading if isinstance(each.granted, Refused)]
        for trial in trials:
            if trial in leading:
                continue
            if policy.may_ask(trial.mapper.offer.protocol, refusals):
                group.create_task(_make_one(session, trial, checks, answered))
            else:
                record_not_asked(session.run.recorder, trial.mapper.offer.protocol, trial.wanted)
    session.run.emit(Event("finished", "map"))


async def _make_one(
    session: PortmapSession, trial: MappingTrial, checks: asyncio.TaskGroup, made: asyncio.Event
) -> None:
    try:
        trial.granted = await session.make(trial.mapper, trial.wanted, on_answer=made.set)
    finally:
        made.set()
    if isinstance(trial.granted, Granted):
        checks.create_task(check_one(session, trial.granted, trial.listener))


async def check_one(session: PortmapSession, granted: Granted, listener: InboundListener) -> bool | None:
    """Verify a mapping from outside; None if nobody is there to do it."""
    run = session.run
    family, transport = granted.internal.family, granted.transport
    gateway = session.gateway(family)
    helper = await run.dial_back_server(family, transport)
    if helper is None or gateway is None:
        session.record_gap(_is_open(granted), f"no server here connects back over IPv{family}", _SETTLE)
        return None
    name = f"verify {granted.protocol} {transport}{family}"
    run.emit(Event("started", name, "trying the mapping from outside"))
    context = run.context(Lane(transport, family), name)
    check = await verify(context, gateway, helper, granted, listener)
    if check.outcome in ("silent", "refused"):
        await _try_same_number(context, gateway, helper, granted)
    run.emit(Event("finished", name))
    return {"arrived": True, "silent": False, "refused": False, "unreachable": False}.get(check.outcome)


async def _try_same_number(
    context: ProbeContext, gateway: GatewayContext, helper: Target, granted: Granted
) -> None:
    """Providers of VPNs give a port and pass what comes for it on without changing the number: does it arrive
    at the own port that is called as the outside one?"""
    port = granted.external_port
    if port == granted.internal.port or granted.internal.family == 6:
        return
    with suppress(CannotRun):  # somebody else listens there
        listener = await open_inbound_listener(gateway, granted.transport, port)
        try:
            there = msgspec.structs.replace(granted, internal=Endpoint(granted.internal.host, port))
            await verify(context, gateway, helper, there, listener)
        finally:
            listener.close()


def _is_open(granted: Granted) -> str:
    kind = "pinhole" if granted.internal.family == 6 else "mapping"
    return f"Is the {granted.transport} {kind} to port {granted.internal.port} open from outside?"


def _families_of(mappers: Iterable[Mapper]) -> list[Family]:
    """The address families that they serve, IPv4 first: some routers break when asked over both at once."""
    return sorted({mapper.offer.family for mapper in mappers})
