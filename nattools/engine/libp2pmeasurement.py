"""What libp2p makes of this network: the network measured, then peers asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from nattools.engine.measurement import MeasurementRun, learn_translation
from nattools.engine.measureoptions import Emit, Event, MeasureOptions
from nattools.engine.networkwatch import NetworkWatch
from nattools.engine.peersearch import MOST_PEERS, PeerSearch
from nattools.engine.run import CompletedRun, new_run, put_questions, within_time_limit
from nattools.engine.serverlookup import routed_families
from nattools.errors import CannotRun
from nattools.model.endpoint import Family
from nattools.model.observation import Gap
from nattools.model.peertrial import NameAsked
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.net.libp2p.peerhost import PeerHost
from nattools.probes.libp2p.addresschecks import check_addresses
from nattools.probes.libp2p.dnsnames import NameContext, look_up_names
from nattools.probes.libp2p.peervisits import PROBE, PeerContext, Visited, locate, visit
from nattools.probes.libp2p.quicports import ask_quic_ports
from nattools.probes.libp2p.reservations import ask_for_reservations
from nattools.probes.libp2p.upgradetrials import call_through, wait_for_calls
from nattools.protocols.libp2p.circuit import HOP
from nattools.protocols.libp2p.dnsaddr import name_of
from nattools.protocols.libp2p.hostkey import HostKey
from nattools.protocols.libp2p.multiaddr import Multiaddr, multiaddr_at
from nattools.protocols.stun.constants import SERVICE_LIBP2P


async def measure_libp2p(network: Network, options: MeasureOptions, emit: Emit) -> Report:
    """The network, and the peers of `options.libp2p`, as a report. CannotRun: there is no route."""
    started = datetime.now(UTC)
    run = new_run(network, options, emit)
    await learn_translation(run)
    families = await routed_families(run.network, options)
    timed_out = await within_time_limit(run, NetworkWatch(run, families).during(_all(run, families)))
    return CompletedRun(run, families, started, timed_out).report()


async def _all(run: MeasurementRun, families: tuple[Family, ...]) -> None:
    """One after the other: connections to peers would take ports that a NAT deals out in a row."""
    await _measure_network(run, families)
    search = run.options.libp2p or PeerSearch()
    addresses = await _addresses(run, search, families)
    if not search.named:
        known = {address.endpoint for address in addresses}
        addresses += [each for each in _of_servers(run) if each.endpoint not in known]
    await _ask_peers(run, list(dict.fromkeys(addresses))[:MOST_PEERS], families)


async def _addresses(
    run: MeasurementRun, search: PeerSearch, families: tuple[Family, ...]
) -> list[Multiaddr]:
    """The addresses of the peers searched for, names looked up."""
    wanted = search.routed(families)
    if not any(map(name_of, wanted)):
        return wanted
    run.emit(Event("started", PROBE, "looking up the names of libp2p peers"))
    context = NameContext(run.network, run.recorder, families, search.named)
    found = await look_up_names(context, wanted)
    run.emit(Event("finished", PROBE))
    asked = [each for each in run.recorder.observations if isinstance(each, NameAsked)]
    return found if any(each.found for each in asked) else [*found, *search.routed_instead(families)]


async def _measure_network(run: MeasurementRun, families: tuple[Family, ...]) -> None:
    """Without a server to ask, peers still tell something."""
    try:
        await put_questions(run, families)
    except* CannotRun as group:
        reason = str(next(iter(group.exceptions)))
        question = "What does the NAT do, if there is one?"
        settle = "name a server that can be reached: --server HOST"
        run.recorder.add(Gap(probe=PROBE, question=question, reason=reason, settle=settle))


def _of_servers(run: MeasurementRun) -> Iterable[Multiaddr]:
    """On the ports of STUN over TCP."""
    speaking = (target for target in run.reached if target.services & SERVICE_LIBP2P)
    return dict.fromkeys(multiaddr_at(target.endpoint) for target in speaking)


async def _ask_peers(run: MeasurementRun, addresses: list[Multiaddr], families: tuple[Family, ...]) -> None:
    """Visit them all side by side, then ask those that answered."""
    context = PeerContext(
        run.network, run.recorder, HostKey(), families, run.options.interface, lambda: _loses(run)
    )
    name = "libp2p"
    run.emit(Event("started", name, f"asking {len(addresses)} libp2p peer(s) who they are"))
    async with PeerHost(run.network, context.key) as host:
        visited = await _visit_all(context, host, addresses)
        run.emit(Event("progress", name, "can libp2p peers connect to this machine?"))
        async with asyncio.TaskGroup() as group:
            for family in families:
                group.create_task(check_addresses(context, family, visited))
            group.create_task(ask_for_reservations(context, visited))
            group.create_task(ask_quic_ports(context, visited, addresses))
    run.emit(Event("finished", name))
    for address in addresses:
        if address.relayed:
            run.emit(Event("started", name, "does the connection through the relay become a direct one?"))
            await call_through(context, address)
            run.emit(Event("finished", name))
    search = run.options.libp2p
    if search is not None and search.wait_s:
        await _wait(run, context, visited, search)


async def _wait(
    run: MeasurementRun, context: PeerContext, visited: list[Visited], search: PeerSearch
) -> None:
    """Be called through the first peer that relays."""
    relay = next((each for each in visited if each.offers(HOP)), None)
    problem: str | None = "no peer here relays"
    if relay is not None:
        run.emit(Event("started", PROBE, f"waiting {search.wait_s:g} s to be called through a relay"))
        problem = await wait_for_calls(context, relay.address, search.wait_s, search.told)
        run.emit(Event("finished", PROBE))
    if problem is not None:
        question = "Does a relayed connection become a direct one?"
        settle = "a relay that gives a reservation, and a call from another machine: nattools libp2p ADDRESS"
        run.recorder.add(Gap(probe=PROBE, question=question, reason=problem, settle=settle))


async def _visit_all(context: PeerContext, host: PeerHost, addresses: list[Multiaddr]) -> list[Visited]:
    """Each peer once, whatever addresses of it were named."""

    async def one(address: Multiaddr) -> Visited | None:
        place = await locate(context, address)
        return None if place is None else await visit(context, host, place)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(address)) for address in _to_visit(addresses)]
    found: dict[tuple[str, Family], Visited] = {}
    for task in tasks:
        if (seen := task.result()) is not None:
            found.setdefault((str(seen.connection.peer), seen.connection.remote.family), seen)
    return list(found.values())


def _to_visit(addresses: Iterable[Multiaddr]) -> list[Multiaddr]:
    """Of those behind a relay, the relay; of QUIC ports nothing, since only the port is asked."""
    found = (each for each in addresses if each.over != "quic" or each.endpoint is None)
    direct = (each.relay if each.relayed else each for each in found)
    return list(dict.fromkeys(each for each in direct if each is not None))


def _loses(run: MeasurementRun) -> bool:
    return any(nat.loss for nat in run.findings().values())
