"""Mappings known from the journal alone, asked about and removed by their entries: those of another run, of
one that was killed, or of another network."""

from __future__ import annotations

import asyncio

from nattools.engine.portmap.journal import JournalEntry, is_of, superseding
from nattools.engine.portmap.recording import record_attempt, record_entry
from nattools.engine.portmap.routersession import HeldMapping, PortmapSession
from nattools.model.mappingseen import MapEntry, MapTable
from nattools.probes.portmap import (
    Mapper,
    Refused,
    TableEntry,
    asking_from,
    named_gateway,
    owns_address,
)
from nattools.probes.portmap.discover import discover, mapper_unheard
from nattools.wording.terms import TECHNIQUES


def saw(session: PortmapSession, note: JournalEntry) -> bool:
    """Is a mapping of the journal in a router's table that was listed, or told already?"""
    rows = [each for each in session.run.recorder.observations if isinstance(each, MapEntry)]
    same = [
        row
        for row in rows
        if (row.transport, row.internal) == (note.wanted.transport, str(note.wanted.internal))
    ]
    # a router's table of IPv4 mappings has those of all protocols; of pinholes there is none
    return any(row.protocol == note.protocol or row.family == 4 for row in same)


async def show(session: PortmapSession, note: JournalEntry, *, in_force: bool) -> None:
    """Put a mapping of the journal on record that no table has shown: as the router has it, if it shows
    it when asked for it alone; as it is noted, if that cannot be known and it should be there now. What
    the router denies to have is not shown; and what it has granted and never had in its table is unknown."""
    mapper = await _mapper_for(session, note) if note.protocol == "upnp-igd" else None
    found: TableEntry | Refused | None = None
    if mapper is not None and note.granted is not None:
        unlisted = _lists_all(session) and note.wanted.family == 4
        found = await mapper.read_back(note.wanted, note.granted, unlisted=unlisted)
    if isinstance(found, TableEntry) and is_of(note, found):
        record_entry(session.run.recorder, note.protocol, found, ours=True)
    elif in_force and (later := superseding(note, session.journal.notes())) is not None:
        if later.granted is None:
            session.record_gap(
                f"Where is {_called(note)}?",
                "it was asked for once more, and no answer to that is noted",
                "nattools map add once more",
            )
    elif in_force and _is_missed(session, note):
        session.record_gap(
            f"Is {_called(note)} there?",
            f"the router's list shows another one by {TECHNIQUES[note.protocol]}, and not this one",
            "nattools map add once more, which makes it again if it is gone",
        )
    elif in_force and (not _is_denied(found) or (note.granted is not None and note.granted.proven)):
        record_as_noted(session, note)
    elif in_force and note.granted is not None and note.granted.listed is False:
        session.record_gap(
            f"Is {_called(note)} there?",
            "the router said that it had made it, and its table has never shown it",
            "nattools map delete --mine, which removes it if it is",
        )


def _lists_all(session: PortmapSession) -> bool:
    """Was a router's list read to its end?"""
    tables = [each for each in session.run.recorder.observations if isinstance(each, MapTable)]
    return any(not table.incomplete and table.refusal is None for table in tables)


def _is_missed(session: PortmapSession, note: JournalEntry) -> bool:
    """Has a router that lists what it makes by PCP or NAT-PMP, for it lists another one of ours, not listed
    this one?"""
    if note.protocol == "upnp-igd" or note.wanted.family == 6 or not _lists_all(session):
        return False
    seen = session.run.recorder.observations
    rows = [each for each in seen if isinstance(each, MapEntry) and each.protocol == "upnp-igd"]
    alike = [
        (each.wanted.transport, str(each.wanted.internal))
        for each in session.journal.notes()
        if (each.protocol, each.gateway) == (note.protocol, note.gateway)
    ]
    return any((row.transport, row.internal) in alike for row in rows)


def record_as_noted(session: PortmapSession, note: JournalEntry) -> None:
    """Put a mapping of the journal on record as it is noted there."""
    granted = note.granted
    entry = TableEntry(
        transport=note.wanted.transport,
        internal=note.wanted.internal,
        external_port=granted.external_port if granted else note.wanted.external_port or 0,
        external_host=granted.external_host if granted else None,
        lifetime_s=granted.lifetime_s if granted else note.wanted.lifetime_s,
        description=note.wanted.description,
    )
    record_entry(session.run.recorder, note.protocol, entry, ours=True)


async def remove_stale(session: PortmapSession) -> None:
    """Remove what a process has left behind that was killed, from the routers that are here."""
    for note in session.journal.left_behind():
        # not as long as what has the same inside is wanted: the router may take the one for the other
        if not session.journal.in_use_at_same_inside(note):
            await remove(session, note)


async def remove(session: PortmapSession, note: JournalEntry) -> Refused | None:
    """Remove a mapping by the journal alone; "not asked" if its router is not here."""
    mapper = await _mapper_for(session, note)
    gateway = session.gateway(note.wanted.family)
    if mapper is None and gateway is not None and gateway.address == note.gateway:
        mapper = mapper_unheard(gateway, note.protocol)
        if mapper is None or note.wanted.internal.host != gateway.local:
            return _unspoken(session, note)
        # it may answer this one question all the same, as where it drops what comes too fast
        result = await session.remove(HeldMapping(note, mapper, note.wanted, note.granted))
        return _unspoken(session, note) if result is not None and result.failure == "timeout" else result
    if mapper is None:
        session.record_gap(
            f"Is {_called(note)} gone?",
            f"its router, {note.gateway} on {note.interface}, cannot be reached from here",
            "nattools map delete --mine in that network, or the end of its lifetime",
        )
        return Refused(protocol=note.protocol, failure="not asked", detail="its router is not here")
    return await session.remove(HeldMapping(note, mapper, note.wanted, note.granted))


def _called(note: JournalEntry) -> str:
    return f"the {TECHNIQUES[note.protocol]} mapping of {note.wanted.transport} {note.wanted.internal}"


def _unspoken(session: PortmapSession, note: JournalEntry) -> Refused:
    """The router is here, and does not speak the protocol any more by which it has made the mapping."""
    name = TECHNIQUES[note.protocol]
    left = Refused(protocol=note.protocol, failure="timeout", detail=f"the router does not speak {name} now")
    now = asyncio.get_running_loop().time()
    recorder = session.run.recorder
    record_attempt(recorder, "delete", note.protocol, note.wanted, left, now, known=note.granted)
    session.record_gap(
        f"Is {_called(note)} still there?",
        f"the router does not speak {name} now",
        f"the router's own list of port mappings, or nattools map delete --mine once {name} is enabled again",
    )
    return left


async def _mapper_for(session: PortmapSession, note: JournalEntry) -> Mapper | None:
    """Who can be asked about a mapping of the journal: its router, if it is on a network here."""
    gateway = session.gateway(note.wanted.family)
    if gateway is not None and gateway.address == note.gateway:
        mappers = session.discovery.mappers
    else:
        mappers = await _elsewhere(session, note)
    wanted = (note.wanted.family, note.protocol)
    found = next((each for each in mappers if (each.offer.family, each.offer.protocol) == wanted), None)
    host = note.wanted.internal.host
    if found is None or owns_address(session.run.network, host):
        return found and asking_from(found, host)
    # an address that this machine had: by UPnP alone can its mappings be named
    return found if note.protocol == "upnp-igd" else None


async def _elsewhere(session: PortmapSession, note: JournalEntry) -> list[Mapper]:
    """What a router offers that is here and is not the one in use: another interface's, or one that was
    named. Only a neighbour is asked: who has that address elsewhere is somebody else."""
    if note.gateway not in session.elsewhere:
        way = session.run.network.way(note.gateway) if note.gateway else None
        is_here = way is not None and way.gateway is None and way.interface == note.interface
        found = await discover((named_gateway(session.run.network, note.gateway),)) if is_here else None
        session.elsewhere[note.gateway] = [] if found is None else found.mappers
    return session.elsewhere[note.gateway]


def _is_denied(found: TableEntry | Refused | None) -> bool:
    """Does the router say now that it has no such mapping?"""
    return found.denied if isinstance(found, Refused) else found is not None
