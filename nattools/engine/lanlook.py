"""A look at the local network: what passes between its machines, and who is there."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from nattools.engine.measurement import MeasurementRun
from nattools.engine.options import Emit, Event, MeasureOptions
from nattools.engine.run import CompletedRun, new_run, within_time_limit
from nattools.errors import CannotRun
from nattools.model.endpoint import Family, family_of
from nattools.model.host import Interface
from nattools.model.lanseen import BeaconPeer, LanLink, MdnsTrial
from nattools.model.report import Report
from nattools.net.addresses import FAR_AWAY
from nattools.net.base import Network
from nattools.probes.lan.beaconprobe import exchange_beacons
from nattools.probes.lan.echoprobe import echo_all, listen_for_yggdrasil
from nattools.probes.lan.lancontext import LanContext
from nattools.probes.lan.mdnsprobe import ask_mdns

MOST_NEIGHBOURS = 16


async def measure_lan(network: Network, options: MeasureOptions, emit: Emit) -> Report:
    """The local network of one interface, as a report. CannotRun: there is no interface with an address."""
    started = datetime.now(UTC)
    run = new_run(network, options, emit)
    context = _context(run)
    timed_out = await within_time_limit(run, _look(run, context))
    return CompletedRun(run, context.families, started, timed_out, tells_servers=False).report()


def _context(run: MeasurementRun) -> LanContext:
    interface = _interface(run)
    own: dict[Family, str] = {}
    families: tuple[Family, ...] = (4, 6)
    for family in families:
        of_family = [each for each in interface.addresses if family_of(each) == family]
        # a link-local address has no use for those who answer to it from elsewhere
        of_family.sort(key=lambda each: each.startswith(("fe80", "169.254")))
        if of_family and family in run.options.families:
            own[family] = of_family[0]
    if not own:
        raise CannotRun(f"the interface {interface.name} has no address of the family asked for")
    return LanContext(run.network, run.recorder, interface, own, run.options.listen_s)


def _interface(run: MeasurementRun) -> Interface:
    """The one that is named, else the one of the default route, else the first that is up."""
    network = run.network
    able = [each for each in network.interfaces() if each.up and each.kind != "loopback" and each.addresses]
    wanted = run.options.interface
    if wanted is None:
        routes = [network.route(FAR_AWAY[family]) for family in run.options.families]
        wanted = next((route[0] for route in routes if route is not None and route[0]), None)
    found = next((each for each in able if each.name == wanted), None)
    if found is None and run.options.interface is None:
        found = next((each for each in able if each.kind in ("ethernet", "wireless")), None)
    if found is None:
        raise CannotRun(
            "there is no local network: no interface is up and has an address",
            "Connect a cable or join a wireless network, then try again.",
        )
    return found


async def _look(run: MeasurementRun, context: LanContext) -> None:
    gateways = [
        each.address
        for each in run.network.gateways()
        if each.interface == context.interface.name and each.address and each.family in context.own
    ]
    run.recorder.add(
        LanLink(
            probe="lan",
            interface=context.interface.name,
            type=context.interface.kind,
            mtu=context.interface.mtu,
            addresses=context.interface.addresses,
            gateways=tuple(gateways),
        )
    )
    run.emit(Event("started", "lan", f"listening on {context.interface.name} for {context.listen_s:g} s"))
    async with asyncio.TaskGroup() as group:
        group.create_task(exchange_beacons(context))
        group.create_task(listen_for_yggdrasil(context))
        for family in context.families:
            group.create_task(ask_mdns(context, family))
        group.create_task(echo_all(context, dict.fromkeys(gateways), "gateway"))
        group.create_task(echo_all(context, dict.fromkeys(run.options.peers), "named"))
    known = {*gateways, *run.options.peers}
    others = [each for each in _found(run) if each not in known and context.is_near(each)]
    await echo_all(context, others[:MOST_NEIGHBOURS], "neighbour")
    run.emit(Event("finished", "lan"))


def _found(run: MeasurementRun) -> list[str]:
    """Who was heard of, and may be asked for an echo."""
    found: dict[str, None] = {}
    for seen in run.recorder.observations:
        if isinstance(seen, BeaconPeer):
            found[seen.address] = None
        elif isinstance(seen, MdnsTrial):
            found |= dict.fromkeys(seen.responders)
    return list(found)
