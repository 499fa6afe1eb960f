"""Mappings known from the journal alone, asked about and removed by their entries: those of another run, of
one that was killed, or of another network."""

from __future__ import annotations

import asyncio

from nattools.engine.portmap.gatewaychoice import hardware_of
from nattools.engine.portmap.heldmapping import HeldMapping
from nattools.engine.portmap.journalentry import JournalEntry, is_of, same_router, superseding
from nattools.engine.portmap.recording import record_attempt, record_entry
from nattools.engine.portmap.routersession import PortmapSession
from nattools.model.mappingseen import MapEntry, MapTable
from nattools.probes.portmap import (
    GatewayContext,
    Mapper,
    Refused,
    TableEntry,
    asking_from,
    named_gateway,
    owns_address,
)
from nattools.probes.portmap.discover import discover, mapper_unheard
from nattools.wording.terms import TECHNIQUES


def saw(session: PortmapSession, entry: JournalEntry) -> bool:
    """Is a mapping of the journal in a router's table that was listed, or told already?"""
    rows = [each for each in session.run.recorder.observations if isinstance(each, MapEntry)]
    same = [
        row
        for row in rows
        if (row.transport, row.internal) == (entry.wanted.transport, str(entry.wanted.internal))
    ]
    # a router's table of IPv4 mappings has those of all protocols; of pinholes there is none
    return any(row.protocol == entry.protocol or row.family == 4 for row in same)


async def show(session: PortmapSession, entry: JournalEntry, *, in_force: bool) -> None:
    """Put a mapping of the journal on record that no table has shown: as the router has it, if it shows
    it when asked for it alone; as it is noted, if that cannot be known and it should be there now. What
    the router denies to have is not shown; and what it has granted and never had in its table is unknown."""
    mapper = await _mapper_for(session, entry) if entry.protocol == "upnp-igd" else None
    found: TableEntry | Refused | None = None
    if mapper is not None and entry.granted is not None:
        unlisted = _lists_all(session) and entry.wanted.family == 4
        found = await mapper.read_back(entry.wanted, entry.granted, unlisted=unlisted)
    if isinstance(found, TableEntry) and is_of(entry, found):
        record_entry(session.run.recorder, entry.protocol, found, ours=True)
    elif in_force and (later := superseding(entry, session.journal.entries())) is not None:
        if later.granted is None:
            session.record_gap(
                f"Where is {_called(entry)}?",
                "it was asked for once more, and no answer to that is noted",
                "nattools map add once more",
            )
    elif in_force and _is_missed(session, entry):
        session.record_gap(
            f"Is {_called(entry)} there?",
            f"the router's list shows another one by {TECHNIQUES[entry.protocol]}, and not this one",
            "nattools map add once more, which makes it again if it is gone",
        )
    elif in_force and (not _is_denied(found) or (entry.granted is not None and entry.granted.proven)):
        _record_as_noted(session, entry)
    elif in_force and entry.granted is not None and entry.granted.listed is False:
        session.record_gap(
            f"Is {_called(entry)} there?",
            "the router said that it had made it, and its table has never shown it",
            "nattools map delete --mine, which removes it if it is",
        )


def _lists_all(session: PortmapSession) -> bool:
    """Was a router's list read to its end?"""
    tables = [each for each in session.run.recorder.observations if isinstance(each, MapTable)]
    return any(not table.incomplete and table.refusal is None for table in tables)


def _is_missed(session: PortmapSession, entry: JournalEntry) -> bool:
    """Has a router that lists what it makes by PCP or NAT-PMP, for it lists another one of ours, not listed
    this one?"""
    if entry.protocol == "upnp-igd" or entry.wanted.family == 6 or not _lists_all(session):
        return False
    seen = session.run.recorder.observations
    rows = [each for each in seen if isinstance(each, MapEntry) and each.protocol == "upnp-igd"]
    alike = [
        (each.wanted.transport, str(each.wanted.internal))
        for each in session.journal.entries()
        if each.protocol == entry.protocol and same_router(each, entry)
    ]
    return any((row.transport, row.internal) in alike for row in rows)


def _record_as_noted(session: PortmapSession, entry: JournalEntry) -> None:
    """Put a mapping of the journal on record as it is noted there."""
    granted = entry.granted
    row = TableEntry(
        transport=entry.wanted.transport,
        internal=entry.wanted.internal,
        external_port=granted.external_port if granted else entry.wanted.external_port or 0,
        external_host=granted.external_host if granted else None,
        lifetime_s=granted.lifetime_s if granted else entry.wanted.lifetime_s,
        description=entry.wanted.description,
    )
    record_entry(session.run.recorder, entry.protocol, row, ours=True)


async def remove_stale(session: PortmapSession) -> None:
    """Remove what a process has left behind that was killed, from the routers that are here."""
    for entry in session.journal.left_behind():
        # not as long as what has the same inside is wanted: the router may take the one for the other
        if not session.journal.in_use_at_same_inside(entry):
            await remove(session, entry)


async def remove(session: PortmapSession, entry: JournalEntry) -> Refused | None:
    """Remove a mapping by the journal alone; "not asked" if its router is not here."""
    mapper = await _mapper_for(session, entry)
    gateway = session.gateway(entry.wanted.family)
    named = gateway is not None and gateway.address == entry.gateway
    namesake = gateway is not None and named and _is_namesake(entry, gateway)
    if mapper is None and gateway is not None and named and not namesake:
        mapper = mapper_unheard(gateway, entry.protocol)
        if mapper is None or entry.wanted.internal.host != gateway.local:
            return _unspoken(session, entry)
        # it may answer this one question all the same, as where it drops what comes too fast
        result = await session.remove(HeldMapping(entry, mapper, entry.wanted, entry.granted))
        return _unspoken(session, entry) if result is not None and result.failure == "timeout" else result
    if mapper is None:
        session.record_gap(
            f"Is {_called(entry)} gone?",
            f"its router, {entry.gateway} on {entry.interface}, "
            + ("is another one than the one here" if namesake else "cannot be reached from here"),
            "nattools map delete --mine in that network, or the end of its lifetime",
        )
        return Refused(protocol=entry.protocol, failure="not asked", detail="its router is not here")
    return await session.remove(HeldMapping(entry, mapper, entry.wanted, entry.granted))


def _called(entry: JournalEntry) -> str:
    return f"the {TECHNIQUES[entry.protocol]} mapping of {entry.wanted.transport} {entry.wanted.internal}"


def _unspoken(session: PortmapSession, entry: JournalEntry) -> Refused:
    """The router is here, and does not speak the protocol any more by which it has made the mapping."""
    name = TECHNIQUES[entry.protocol]
    left = Refused(protocol=entry.protocol, failure="timeout", detail=f"the router does not speak {name} now")
    now = asyncio.get_running_loop().time()
    recorder = session.run.recorder
    record_attempt(recorder, "delete", entry.protocol, entry.wanted, left, now, known=entry.granted)
    session.record_gap(
        f"Is {_called(entry)} still there?",
        f"the router does not speak {name} now",
        f"the router's own list of port mappings, or nattools map delete --mine once {name} is enabled again",
    )
    return left


async def _mapper_for(session: PortmapSession, entry: JournalEntry) -> Mapper | None:
    """Who can be asked about a mapping of the journal: its router, if it is on a network here."""
    gateway = session.gateway(entry.wanted.family)
    if gateway is not None and gateway.address == entry.gateway:
        mappers = session.discovery.mappers
    else:
        mappers = await _elsewhere(session, entry)
    wanted = (entry.wanted.family, entry.protocol)
    found = next((each for each in mappers if (each.offer.family, each.offer.protocol) == wanted), None)
    if found is not None and _is_namesake(entry, found.gateway):
        return None
    host = entry.wanted.internal.host
    if found is None or owns_address(session.run.network, host):
        return found and asking_from(found, host)
    # an address that this machine had: by UPnP alone can its mappings be named
    return found if entry.protocol == "upnp-igd" else None


def _is_namesake(entry: JournalEntry, here: GatewayContext) -> bool:
    """Is who has the address of a mapping's router here another router, as at the office after at home?"""
    known = hardware_of(here.network, here.interface, entry.gateway) if entry.router else ""
    return known not in ("", entry.router)


async def _elsewhere(session: PortmapSession, entry: JournalEntry) -> list[Mapper]:
    """What a router offers that is here and is not the one in use: another interface's, or one that was
    named. Only a neighbour is asked: who has that address elsewhere is somebody else."""
    if entry.gateway not in session.elsewhere:
        way = session.run.network.way(entry.gateway) if entry.gateway else None
        is_here = way is not None and way.gateway is None and way.interface == entry.interface
        found = await discover((named_gateway(session.run.network, entry.gateway),)) if is_here else None
        session.elsewhere[entry.gateway] = [] if found is None else found.mappers
    return session.elsewhere[entry.gateway]


def _is_denied(found: TableEntry | Refused | None) -> bool:
    """Does the router say now that it has no such mapping?"""
    return found.denied if isinstance(found, Refused) else found is not None
