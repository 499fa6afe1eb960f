"""`nattools map probe`, `add`, `list` and `delete`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

from nattools.engine.measurement import MeasurementRun, reach_servers, resolve_servers
from nattools.engine.measureoptions import Emit, Event, MapOptions, MeasureOptions
from nattools.engine.networkwatch import NetworkWatch
from nattools.engine.portmap import journaled
from nattools.engine.portmap.heldmapping import HeldMapping
from nattools.engine.portmap.journal import Journal
from nattools.engine.portmap.journalentry import JournalEntry, shares_inside
from nattools.engine.portmap.releasing import release
from nattools.engine.portmap.routersession import PortmapSession
from nattools.engine.portmap.routertable import RouterTable
from nattools.engine.portmap.trial import check_one, try_all
from nattools.engine.run import CompletedRun, new_run, within_time_limit
from nattools.engine.serverlookup import routed_families
from nattools.errors import CannotRun, UsageError
from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.portmapping import MAPPING_NAME
from nattools.model.report import MapAction, Report
from nattools.net.base import Network
from nattools.probes.dialbacks import open_inbound_listener
from nattools.probes.portmap import Granted, Listing, Mapper, MappingRequest
from nattools.probes.target import Lane


async def probe(
    network: Network, options: MeasureOptions, emit: Emit, journal: Journal, map_options: MapOptions
) -> Report:
    """What the network offers, each protocol tried for a moment and verified from outside."""

    async def do(session: PortmapSession) -> None:
        if map_options.protocol is not None:
            found = session.discovery
            found.mappers = [each for each in found.mappers if each.offer.protocol == map_options.protocol]
        await try_all(session, map_options.transports)
        if options.cross_check:
            from nattools.probes.crosscheck import cross_check_mappings

            await cross_check_mappings(network, session.run.recorder)

    return await run_map_command("probe", do, network, options, emit, journal, map_options)


async def add(
    network: Network, options: MeasureOptions, emit: Emit, journal: Journal, map_options: MapOptions
) -> Report:
    """Make mappings that stay until their lifetime ends, and test each from outside."""

    async def do(session: PortmapSession) -> None:
        async with asyncio.TaskGroup() as group:
            for port in map_options.ports:
                for transport in map_options.transports:
                    group.create_task(make_checked(session, map_options, port, transport, stays=True))
        made = [held for held in session.held if held.granted is not None]
        for held in made if len(made) > 1 else ():
            await session.has_lost(held)  # on some routers one takes another's place

    check_host(network, map_options)
    return await run_map_command("add", do, network, options, emit, journal, map_options)


async def list_mappings(
    network: Network, options: MeasureOptions, emit: Emit, journal: Journal, map_options: MapOptions
) -> Report:
    """What is in the routers' tables; for PCP and NAT-PMP, which have no list, what the journal has."""

    async def do(session: PortmapSession) -> None:
        for mapper in session.discovery.mappers:
            if map_options.protocol in (None, mapper.offer.protocol):
                await session.list_table(mapper)
        age_s = asyncio.get_running_loop().time() - session.asked_at
        offers = [each.offer for each in session.discovery.mappers]
        epochs = {each.protocol: each.epoch_s for each in offers if each.epoch_s is not None}
        in_force = {entry.id for entry in journal.in_force(epochs, age_s)}
        for entry in _noted(session):
            if not journaled.saw(session, entry) and map_options.protocol in (None, entry.protocol):
                await journaled.show(session, entry, in_force=entry.id in in_force)

    return await run_map_command("list", do, network, options, emit, journal, map_options, from_outside=False)


async def delete(
    network: Network, options: MeasureOptions, emit: Emit, journal: Journal, map_options: MapOptions
) -> Report:
    """Remove mappings of this machine: all that nattools noted (`mine`), or those of the ports named, whoever
    made them."""

    async def do(session: PortmapSession) -> None:
        meant = [each for each in _noted(session) if map_options.mine or _names(map_options, each)]
        left = [entry for entry in meant if await journaled.remove(session, entry) is not None]
        for entry in left:
            # another protocol can take it for the one with the same inside, which may be gone now
            if any(shares_inside(entry, other) for other in meant if other not in left):
                await journaled.remove(session, entry)
        if not map_options.mine:
            await _delete_of_others(session, map_options)

    check_host(network, map_options)
    return await run_map_command(
        "delete", do, network, options, emit, journal, map_options, from_outside=False
    )


def _noted(session: PortmapSession) -> list[JournalEntry]:
    """The journal's mappings of the families asked for."""
    families = session.run.options.families
    return [entry for entry in session.journal.entries() if entry.wanted.family in families]


def _names(map_options: MapOptions, entry: JournalEntry) -> bool:
    """Does the user mean this mapping?"""
    internal = entry.wanted.internal
    external = entry.granted.external_port if entry.granted is not None else entry.wanted.external_port
    return (
        internal.port in map_options.ports
        and map_options.host in (None, internal.host)
        and entry.wanted.transport in map_options.transports
        and map_options.protocol in (None, entry.protocol)
        and map_options.external_port in (None, external)
    )


async def _delete_of_others(session: PortmapSession, map_options: MapOptions) -> None:
    """What other programs have made for this machine: UPnP lists it; without UPnP, NAT-PMP removes whatever
    there may be by its internal port."""
    listed = any(each.offer.protocol == "upnp-igd" for each in session.mappers(4, map_options.protocol))
    for mapper in session.mappers(4, map_options.protocol):
        if mapper.offer.protocol == "upnp-igd":
            await _delete_listed(session, map_options, mapper)
        elif mapper.offer.protocol == "nat-pmp" and map_options.external_port is None and not listed:
            for port in map_options.ports:
                for transport in map_options.transports:
                    router = RouterTable(mapper, session.run.recorder)
                    await router.remove(_wanted(session, map_options, port, transport, 4))


async def _delete_listed(session: PortmapSession, map_options: MapOptions, mapper: Mapper) -> None:
    """Those in the router's table; where that cannot be read to its end, also whatever may be at the external
    port that is named, or at the same one as inside."""
    table = await mapper.listing() or Listing()
    host = map_options.host or mapper.offer.local
    for transport in map_options.transports:
        for port in map_options.ports:
            inside = Endpoint(host, port)
            found = [
                each.external_port
                for each in table.entries
                if (each.transport, each.internal) == (transport, inside)
                and map_options.external_port in (None, each.external_port)
            ]
            unlisted = [map_options.external_port or port] if table.incomplete and not found else []
            for external_port in (*found, *unlisted):
                wanted = _wanted(session, map_options, port, transport, 4)
                there = Granted(
                    protocol="upnp-igd",
                    transport=transport,
                    internal=inside,
                    external_host=mapper.offer.external,
                    external_port=external_port,
                    lifetime_s=None,
                )
                router = RouterTable(mapper, session.run.recorder)
                await router.remove(wanted, there, certain=external_port in found)


# --- making


async def make_checked(
    session: PortmapSession, map_options: MapOptions, port: int, transport: Transport, *, stays: bool
) -> list[tuple[HeldMapping, bool | None]]:
    """A mapping of each family that the router serves, by the first protocol that makes it; and whether it
    is open from outside (None: not tested)."""
    families: list[Family] = sorted({gateway.family for gateway in session.gateways})
    if map_options.host is not None:
        families = [family for family in families if (family == 6) == (":" in map_options.host)]
    found = []
    for family in families:
        wanted = _wanted(session, map_options, port, transport, family)
        mappers = session.mappers(family, map_options.protocol)
        held = await session.make_by_any(mappers, wanted, stays=stays)
        if held is not None and held.granted is not None:
            is_open = await verified(session, held.granted)
            if held.granted.doubtful and not is_open:
                await session.remove(held)
            else:
                if held.granted.doubtful:
                    session.note_proof(held)
                found.append((held, is_open))
    return found


async def verified(session: PortmapSession, granted: Granted) -> bool | None:
    """Test it from outside, if the port is free here meanwhile."""
    gateway = session.gateway(granted.internal.family)
    if gateway is None:
        return None
    try:
        listener = await open_inbound_listener(gateway, granted.transport, granted.internal.port)
    except CannotRun as error:
        session.record_gap(
            f"Is the {granted.transport} mapping of port {granted.internal.port} open from outside?",
            f"{error}, so that nothing else can listen there",
            "stop that program for a moment, or try it with the program itself",
        )
        return None
    try:
        return await check_one(session, granted, listener)
    finally:
        listener.close()


def _wanted(
    session: PortmapSession, map_options: MapOptions, port: int, transport: Transport, family: Family
) -> MappingRequest:
    gateway = session.gateway(family)
    host = map_options.host or (gateway.local if gateway is not None else "")
    return MappingRequest(
        transport=transport,
        internal=Endpoint(host, port),
        external_port=map_options.external_port,
        exact=map_options.external_port is not None,
        lifetime_s=map_options.lifetime_s,
        description=map_options.description or MAPPING_NAME,
    )


def check_host(network: Network, map_options: MapOptions) -> None:
    """UsageError: the address is another machine's. Routers make mappings only for the machine that asks."""
    if map_options.host is None:
        return
    own = [address.partition("%")[0] for each in network.interfaces() for address in each.addresses]
    if map_options.host not in own:
        raise UsageError(
            f"{map_options.host} is not an address of this machine. A router makes mappings only for the "
            "machine that asks: run nattools there"
        )


Do = Callable[[PortmapSession], Awaitable[None]]


async def run_map_command(
    action: MapAction,
    do: Do,
    network: Network,
    options: MeasureOptions,
    emit: Emit,
    journal: Journal,
    map_options: MapOptions,
    *,
    from_outside: bool = True,
) -> Report:
    """Do it, and report. `from_outside`: servers are needed that test from there.

    CannotRun: there is no route, or no router to ask."""
    started = datetime.now(UTC)
    run = new_run(network, options, emit)
    families = await routed_families(network, options)
    session = PortmapSession(run, journal, map_options.host, map_options.gateway)
    work = _run(session, do, families if from_outside else ())
    if action == "probe":
        work = NetworkWatch(run, families).during(work)
    timed_out = await within_time_limit(run, work)
    return CompletedRun(run, families, started, timed_out, action, from_outside).report()


async def _run(session: PortmapSession, do: Do, families: tuple[Family, ...]) -> None:
    run = session.run
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(_find_helpers(run, families))
        try:
            run.emit(Event("started", "map discovery", "does the router make port mappings?"))
            await session.discover()
            run.emit(Event("finished", "map discovery"))
            if not session.gateways:
                raise CannotRun(
                    "there is no router here to ask: the system names no default route through one",
                    "A machine that is on the internet itself needs no mappings; else look at `ip route`, or "
                    "name the router with --gateway ADDRESS, as providers of VPNs tell it.",
                )
            await journaled.remove_stale(session)
            await do(session)
            await _outside_known(run, families)
        finally:
            looking.cancel()
            await release(session)


async def _find_helpers(run: MeasurementRun, families: tuple[Family, ...]) -> None:
    """Servers that tell our external address and dial back. It is no error if none answers."""

    async def reach(family: Family) -> None:
        if not await reach_servers(run, Lane("udp", family)):
            await reach_servers(run, Lane("tcp", family))

    if not families:
        run.resolved.set()
        return
    with suppress(CannotRun):
        await resolve_servers(run, families)
    async with asyncio.TaskGroup() as group:
        for family in families:
            group.create_task(reach(family))


async def _outside_known(run: MeasurementRun, families: tuple[Family, ...]) -> None:
    """Wait until our external address is known: what the router claims is compared with it."""
    await run.resolved.wait()
    if 4 in families and run.addresses.get(4):
        await run.reach_finished(Lane("udp", 4)).wait()
