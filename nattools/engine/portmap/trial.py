"""Every way to a mapping tried for a moment: made, read back, verified from outside, removed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nattools.engine.events import Event
from nattools.engine.plan import Lane
from nattools.engine.portmap.session import Session, families_of
from nattools.errors import CannotRun
from nattools.model.endpoint import Transport
from nattools.probes.doorstep import Doorstep, open_doorstep
from nattools.probes.portmap import Granted, Mapper, Refused, Wanted, new_nonce
from nattools.probes.verify import verify

LIFETIME_S = 120
"""Long enough for a trial, short enough to be forgotten by the router if all else fails."""
DESCRIPTION = "nattools trial"
_SETTLE = "`nattools serve` on a machine outside, named with --server"
FORBIDDEN = 606
"""UPnP's code for a port that is forbidden. Where that is said, PCP and NAT-PMP are not asked: miniupnpd
2.3.1 looks for another port among all 65,536 then and answers nobody for more than a minute."""


@dataclass(slots=True)
class Trial:
    """One mapping of a trial."""

    mapper: Mapper
    wanted: Wanted
    doorstep: Doorstep
    granted: Granted | Refused | None = None


async def try_all(session: Session, transports: tuple[Transport, ...] = ("udp", "tcp")) -> None:
    """Try every mapper that was found for each transport. Nothing is left behind, whatever happens."""
    trials: list[Trial] = []
    try:
        for family in families_of(session.found.mappers):
            made = [
                await _prepare(session, mapper, transport)
                for mapper in session.mappers(family)
                for transport in transports
            ]
            trials += [each for each in made if each is not None]
        for family in families_of(session.found.mappers):
            await _make(session, [each for each in trials if each.wanted.family == family])
        await _check(session, trials)
    finally:
        for trial in trials:
            trial.doorstep.close()
        await session.part()


async def _prepare(session: Session, mapper: Mapper, transport: Transport) -> Trial | None:
    """A port of its own for each; None if there is none to be had."""
    place = session.place(mapper.offer.family)
    if place is None:
        return None
    try:
        doorstep = await open_doorstep(place, transport)
    except CannotRun as error:
        session.gap(f"Does {mapper.offer.protocol} make {transport} mappings?", str(error), _SETTLE)
        return None
    wanted = Wanted(
        transport=transport,
        internal=doorstep.local,
        nonce=new_nonce(),
        lifetime_s=LIFETIME_S,
        description=DESCRIPTION,
    )
    return Trial(mapper, wanted, doorstep)


async def _make(session: Session, trials: list[Trial]) -> None:
    """UPnP first, since it tells a forbidden port without harm; the others side by side."""
    session.run.emit(Event("started", "map", "asking the router for a mapping, for a moment"))
    for first in (True, False):
        async with asyncio.TaskGroup() as group:
            for trial in trials:
                if (trial.mapper.offer.protocol == "upnp-igd") == first and not _is_forbidden(trials):
                    group.create_task(_make_one(session, trial))
    session.run.emit(Event("finished", "map"))


async def _make_one(session: Session, trial: Trial) -> None:
    trial.granted = await session.make(trial.mapper, trial.wanted)
    if isinstance(trial.granted, Granted):
        await session.read_back(trial.mapper, trial.wanted, trial.granted)


def _is_forbidden(trials: list[Trial]) -> bool:
    refused = [trial.granted for trial in trials if isinstance(trial.granted, Refused)]
    return any(each.code == FORBIDDEN for each in refused)


async def _check(session: Session, trials: list[Trial]) -> None:
    """Those that were granted, all at once."""
    async with asyncio.TaskGroup() as group:
        for trial in trials:
            if isinstance(trial.granted, Granted):
                group.create_task(check_one(session, trial.granted, trial.doorstep))


async def check_one(session: Session, granted: Granted, doorstep: Doorstep) -> bool | None:
    """Verify a mapping from outside; None if nobody is there to do it."""
    run = session.run
    family, transport = granted.internal.family, granted.transport
    place = session.place(family)
    helper = await run.helper(family, transport)
    if helper is None or place is None:
        question = f"Is the {transport} mapping by {granted.protocol} open from outside?"
        session.gap(question, "no server here connects back", _SETTLE)
        return None
    name = f"verify {granted.protocol} {transport}{family}"
    run.emit(Event("started", name, "trying the mapping from outside"))
    context = run.context(Lane(transport, family), name)
    check = await verify(context, place, helper, granted, doorstep)
    run.emit(Event("finished", name))
    return {"arrived": True, "silent": False, "refused": False, "unreachable": False}.get(check.outcome)
