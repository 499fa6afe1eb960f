"""Every way to a mapping tried for a moment: made, read back, verified from outside, removed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nattools.engine.events import Event
from nattools.engine.plan import Lane
from nattools.engine.portmap.session import PortmapSession, families_of
from nattools.errors import CannotRun
from nattools.model.endpoint import Transport
from nattools.probes.doorstep import Doorstep, open_doorstep
from nattools.probes.portmap import Granted, Mapper, MappingRequest, Refused, new_nonce
from nattools.probes.verify import verify

LIFETIME_S = 120
"""Long enough for a trial, short enough to be forgotten by the router if all else fails."""
DESCRIPTION = "nattools trial"
_SETTLE = "`nattools serve` on a machine outside, named with --server"
FORBIDDEN = 606
"""UPnP's code for a port that is forbidden. Where that is said, PCP and NAT-PMP are not asked: miniupnpd
2.3.1 looks for another port among all 65,536 then and answers nobody for more than a minute."""


@dataclass(slots=True)
class MappingTrial:
    """One mapping of a trial."""

    mapper: Mapper
    wanted: MappingRequest
    doorstep: Doorstep
    granted: Granted | Refused | None = None


async def try_all(session: PortmapSession, transports: tuple[Transport, ...] = ("udp", "tcp")) -> None:
    """Try every mapper that was found for each transport. Nothing is left behind, whatever happens."""
    trials: list[MappingTrial] = []
    try:
        for mapper in session.found.mappers:
            for transport in transports:
                trial = await _prepare(session, mapper, transport)
                trials += [] if trial is None else [trial]
        async with asyncio.TaskGroup() as checks:
            # one family after the other: some routers break when asked over both at once
            for family in families_of(session.found.mappers):
                of_family = [each for each in trials if each.wanted.family == family]
                await _make(session, of_family, checks)
    finally:
        for trial in trials:
            trial.doorstep.close()
        await session.part()


async def _prepare(session: PortmapSession, mapper: Mapper, transport: Transport) -> MappingTrial | None:
    """A port of its own for each; None if there is none to be had."""
    gateway = session.gateway(mapper.offer.family)
    if gateway is None:
        return None
    try:
        doorstep = await open_doorstep(gateway, transport)
    except CannotRun as error:
        session.gap(f"Does {mapper.offer.protocol} make {transport} mappings?", str(error), _SETTLE)
        return None
    wanted = MappingRequest(
        transport=transport,
        internal=doorstep.local,
        nonce=new_nonce(),
        lifetime_s=LIFETIME_S,
        description=DESCRIPTION,
    )
    return MappingTrial(mapper, wanted, doorstep)


async def _make(session: PortmapSession, trials: list[MappingTrial], checks: asyncio.TaskGroup) -> None:
    """UPnP first, since it tells a forbidden port without harm; the others side by side. Each that is made is
    checked while the others are still asked for."""
    session.run.emit(Event("started", "map", "asking the router for a mapping, for a moment"))
    by_upnp = [each for each in trials if each.mapper.offer.protocol == "upnp-igd"]
    first = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for trial in by_upnp:
            group.create_task(_make_one(session, trial, checks, first))
        if by_upnp:
            await first.wait()
        if not _is_forbidden(by_upnp):
            for trial in trials:
                if trial not in by_upnp:
                    group.create_task(_make_one(session, trial, checks, first))
    session.run.emit(Event("finished", "map"))


async def _make_one(
    session: PortmapSession, trial: MappingTrial, checks: asyncio.TaskGroup, made: asyncio.Event
) -> None:
    try:
        trial.granted = await session.make(trial.mapper, trial.wanted)
    finally:
        made.set()
    if isinstance(trial.granted, Granted):
        checks.create_task(_check(session, trial, trial.granted))


async def _check(session: PortmapSession, trial: MappingTrial, granted: Granted) -> None:
    """Is it in the router's table, and open from outside?"""
    async with asyncio.TaskGroup() as group:
        group.create_task(session.read_back(trial.mapper, trial.wanted, granted))
        group.create_task(check_one(session, granted, trial.doorstep))


def _is_forbidden(trials: list[MappingTrial]) -> bool:
    refused = [trial.granted for trial in trials if isinstance(trial.granted, Refused)]
    return any(each.code == FORBIDDEN for each in refused)


async def check_one(session: PortmapSession, granted: Granted, doorstep: Doorstep) -> bool | None:
    """Verify a mapping from outside; None if nobody is there to do it."""
    run = session.run
    family, transport = granted.internal.family, granted.transport
    gateway = session.gateway(family)
    helper = await run.helper(family, transport)
    if helper is None or gateway is None:
        session.gap(_is_open(granted), f"no server here connects back over IPv{family}", _SETTLE)
        return None
    name = f"verify {granted.protocol} {transport}{family}"
    run.emit(Event("started", name, "trying the mapping from outside"))
    context = run.context(Lane(transport, family), name)
    check = await verify(context, gateway, helper, granted, doorstep)
    run.emit(Event("finished", name))
    return {"arrived": True, "silent": False, "refused": False, "unreachable": False}.get(check.outcome)


def _is_open(granted: Granted) -> str:
    kind = "pinhole" if granted.internal.family == 6 else "mapping"
    return f"Is the {granted.transport} {kind} to port {granted.internal.port} open from outside?"
