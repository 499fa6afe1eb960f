"""`nattools map probe`, `add`, `list` and `delete`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from nattools.engine.events import Emit, Event
from nattools.engine.options import MeasureOptions
from nattools.engine.plan import Lane
from nattools.engine.portmap.journal import AnyJournal, JournalEntry
from nattools.engine.portmap.options import MapOptions
from nattools.engine.portmap.session import HeldMapping, PortmapSession
from nattools.engine.portmap.trial import check_one, try_all
from nattools.engine.reaching import Run, reach, resolve_servers, routed
from nattools.engine.run import Looked, in_time, new_run
from nattools.errors import CannotRun, UsageError
from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.report import MapAction, Report
from nattools.net.base import Network
from nattools.probes.doorstep import Doorstep, open_doorstep
from nattools.probes.portmap import Granted, Mapper, MappingRequest, Refused, TableEntry, new_nonce
from nattools.probes.portmap.mapper import DESCRIPTION
from nattools.protocols.igd import errors


async def probe(
    network: Network, options: MeasureOptions, emit: Emit, journal: AnyJournal, wish: MapOptions
) -> Report:
    """What the network offers, each way tried for a moment and verified from outside."""

    async def do(session: PortmapSession) -> None:
        if wish.protocol is not None:
            found = session.found
            found.mappers = [each for each in found.mappers if each.offer.protocol == wish.protocol]
        await try_all(session, wish.transports)
        if options.cross_check:
            from nattools.probes.crosscheck import cross_check_mappings

            await cross_check_mappings(network, session.run.recorder)

    return await run_map_command("probe", do, network, options, emit, journal)


async def add(
    network: Network, options: MeasureOptions, emit: Emit, journal: AnyJournal, wish: MapOptions
) -> Report:
    """Make mappings that stay until their lifetime ends, and try each from outside."""

    async def do(session: PortmapSession) -> None:
        async with asyncio.TaskGroup() as group:
            for port in wish.ports:
                for transport in wish.transports:
                    group.create_task(make_checked(session, wish, port, transport, stays=True))

    check_host(network, wish)
    return await run_map_command("add", do, network, options, emit, journal, host=wish.host)


async def list_mappings(
    network: Network, options: MeasureOptions, emit: Emit, journal: AnyJournal, wish: MapOptions
) -> Report:
    """What the routers have in their tables; PCP and NAT-PMP have no list, so of those what is noted."""

    async def do(session: PortmapSession) -> None:
        complete = False
        for mapper in session.found.mappers:
            if wish.protocol in (None, mapper.offer.protocol):
                entries = await session.list_table(mapper)
                complete = complete or (isinstance(entries, list) and mapper.offer.protocol == "upnp-igd")
        for note in _noted(session):
            if session.saw(note) or wish.protocol not in (None, note.protocol):
                continue
            if complete and session.is_gone(note):
                journal.gone(note)
            else:
                session.tell_noted(note)

    return await run_map_command("list", do, network, options, emit, journal, from_outside=False)


async def delete(
    network: Network, options: MeasureOptions, emit: Emit, journal: AnyJournal, wish: MapOptions
) -> Report:
    """Remove mappings of this machine: all that nattools noted (`mine`), or those of the ports named, whoever
    made them."""

    async def do(session: PortmapSession) -> None:
        for note in _noted(session):
            if wish.mine or _names(wish, note):
                await session.remove_noted(note)
        if not wish.mine:
            await _delete_of_others(session, wish)

    check_host(network, wish)
    return await run_map_command(
        "delete", do, network, options, emit, journal, from_outside=False, host=wish.host
    )


def _noted(session: PortmapSession) -> list[JournalEntry]:
    """The journal's mappings of the families asked for."""
    families = session.run.options.families
    return [note for note in session.journal.notes() if note.wanted.family in families]


def _names(wish: MapOptions, note: JournalEntry) -> bool:
    """Does the user mean this mapping?"""
    internal = note.wanted.internal
    external = note.granted.external_port if note.granted is not None else note.wanted.external_port
    return (
        internal.port in wish.ports
        and wish.host in (None, internal.host)
        and note.wanted.transport in wish.transports
        and wish.protocol in (None, note.protocol)
        and wish.external_port in (None, external)
    )


async def _delete_of_others(session: PortmapSession, wish: MapOptions) -> None:
    """What other programs have made for this machine: UPnP lists it; without, NAT-PMP removes by the inside
    port, whether or not there is anything."""
    listed = any(each.offer.protocol == "upnp-igd" for each in session.mappers(4, wish.protocol))
    for mapper in session.mappers(4, wish.protocol):
        if mapper.offer.protocol == "upnp-igd":
            await _delete_listed(session, wish, mapper)
        elif mapper.offer.protocol == "nat-pmp" and wish.external_port is None and not listed:
            for port in wish.ports:
                for transport in wish.transports:
                    await session.remove_unnoted(mapper, _wanted(session, wish, port, transport, 4))


async def _delete_listed(session: PortmapSession, wish: MapOptions, mapper: Mapper) -> None:
    entries = await mapper.entries()
    for entry in entries if isinstance(entries, list) else ():
        mine = entry.internal.host == (wish.host or mapper.offer.local)
        meant = entry.internal.port in wish.ports and entry.transport in wish.transports
        if mine and meant and wish.external_port in (None, entry.external_port):
            wanted = _wanted(session, wish, entry.internal.port, entry.transport, 4)
            await session.remove_unnoted(mapper, wanted, _as_granted(mapper, entry))


def _as_granted(mapper: Mapper, entry: TableEntry) -> Granted:
    return Granted(
        protocol=mapper.offer.protocol,
        transport=entry.transport,
        internal=entry.internal,
        external_host=mapper.offer.external,
        external_port=entry.external_port,
        lifetime_s=entry.lifetime_s,
    )


# --- making


@dataclass(frozen=True, slots=True)
class CheckedMapping:
    """A mapping and whether it is open from outside (None: nobody tried)."""

    held: HeldMapping
    granted: Granted
    verified: bool | None


async def make_checked(
    session: PortmapSession, wish: MapOptions, port: int, transport: Transport, *, stays: bool
) -> list[CheckedMapping]:
    """A mapping of each family that the router serves, by the first protocol that makes it."""
    families: list[Family] = sorted({gateway.family for gateway in session.here})
    if wish.host is not None:
        families = [family for family in families if (family == 6) == (":" in wish.host)]
    found = []
    for family in families:
        made = await _make_by_any(session, _wanted(session, wish, port, transport, family), wish, stays)
        if made is not None and isinstance(made.granted, Granted):
            found.append(CheckedMapping(made, made.granted, await verified(session, made.granted)))
    return found


async def _make_by_any(
    session: PortmapSession, wanted: MappingRequest, wish: MapOptions, stays: bool
) -> HeldMapping | None:
    """Ask one protocol after the other; where UPnP says that the port is forbidden, no more than that (see
    `probes.portmap.mapping`)."""
    for mapper in session.mappers(wanted.family, wish.protocol):
        result = await session.make(mapper, wanted, stays=stays)
        if isinstance(result, Granted):
            await session.read_back(mapper, wanted, result)
            return session.holding(wanted, mapper)
        if isinstance(result, Refused) and result.code == errors.NOT_AUTHORIZED:
            return None
    return None


async def verified(session: PortmapSession, granted: Granted) -> bool | None:
    """Tried from outside, if the port is free here for as long as that takes."""
    gateway = session.gateway(granted.internal.family)
    if gateway is None:
        return None
    try:
        doorstep: Doorstep = await open_doorstep(gateway, granted.transport, granted.internal.port)
    except CannotRun as error:
        session.gap(
            f"Is the {granted.transport} mapping of port {granted.internal.port} open from outside?",
            f"{error}, so that nothing else can listen there",
            "stop that program for a moment, or try it with the program itself",
        )
        return None
    try:
        return await check_one(session, granted, doorstep)
    finally:
        doorstep.close()


def _wanted(
    session: PortmapSession, wish: MapOptions, port: int, transport: Transport, family: Family
) -> MappingRequest:
    gateway = session.gateway(family)
    host = wish.host or (gateway.local if gateway is not None else "")
    return MappingRequest(
        transport=transport,
        internal=Endpoint(host, port),
        nonce=new_nonce(),
        external_port=wish.external_port,
        exact=wish.external_port is not None,
        lifetime_s=wish.lifetime_s,
        description=wish.description or DESCRIPTION,
    )


def check_host(network: Network, wish: MapOptions) -> None:
    """UsageError: the address is another machine's. Routers make mappings only for who asks."""
    if wish.host is None:
        return
    own = [address.partition("%")[0] for each in network.interfaces() for address in each.addresses]
    if wish.host not in own:
        raise UsageError(
            f"{wish.host} is no address of this machine: a router makes mappings only for the machine that "
            "asks, so run nattools there"
        )


Do = Callable[[PortmapSession], Awaitable[None]]


async def run_map_command(
    action: MapAction,
    do: Do,
    network: Network,
    options: MeasureOptions,
    emit: Emit,
    journal: AnyJournal,
    *,
    from_outside: bool = True,
    host: str | None = None,
) -> Report:
    """Do it, and report. `from_outside`: servers are needed that look from there. `host`: the own address
    that mappings are to lead to.

    CannotRun: there is no route, or no router to ask."""
    started = datetime.now(UTC)
    run = new_run(network, options, emit)
    families = routed(network, options)
    session = PortmapSession(run, journal, host)
    timed_out = await in_time(run, _run(session, do, families if from_outside else ()))
    return Looked(run, families, started, timed_out, action, from_outside).report()


async def _run(session: PortmapSession, do: Do, families: tuple[Family, ...]) -> None:
    run = session.run
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(find_helpers(run, families))
        try:
            run.emit(Event("started", "map discovery", "does the router make port mappings?"))
            await session.look()
            run.emit(Event("finished", "map discovery"))
            if not session.here:
                raise CannotRun(
                    "there is no router here to ask: no default route leads through one",
                    "A machine that is on the internet itself needs no mappings; else look at `ip route`.",
                )
            await session.sweep()
            await do(session)
            await _outside_known(run, families)
        finally:
            looking.cancel()
            await session.part()


async def find_helpers(run: Run, families: tuple[Family, ...]) -> None:
    """Servers that tell our outside address and dial back. None that answers is no error here."""
    if not families:
        run.resolved.set()
        return
    with suppress(CannotRun):
        await resolve_servers(run, families)
    async with asyncio.TaskGroup() as group:
        for family in families:
            group.create_task(_find_helpers(run, family))


async def _find_helpers(run: Run, family: Family) -> None:
    if not await reach(run, Lane("udp", family)):
        await reach(run, Lane("tcp", family))


async def _outside_known(run: Run, families: tuple[Family, ...]) -> None:
    """Wait until it is known who we are outside: a router's word is held against that."""
    await run.resolved.wait()
    if 4 in families and run.sites.get(4):
        await run.reach_is_over(Lane("udp", 4)).wait()
