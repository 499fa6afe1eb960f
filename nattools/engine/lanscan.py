"""A look at the local network: what passes between its machines, and who is there."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec

from nattools.engine.laninterface import found_on_lan, lan_context, lan_interface, note_link
from nattools.engine.measurement import MeasurementRun
from nattools.engine.measureoptions import Emit, Event, MeasureOptions
from nattools.engine.networkwatch import NetworkWatch
from nattools.engine.run import CompletedRun, new_run, within_time_limit
from nattools.errors import CannotRun
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.probes.lan.beaconprobe import exchange_beacons
from nattools.probes.lan.echoprobe import echo_all, listen_for_yggdrasil
from nattools.probes.lan.lancontext import LanContext
from nattools.probes.lan.mdnsprobe import ask_mdns


async def measure_lan(network: Network, options: MeasureOptions, emit: Emit) -> Report:
    """The local network of one interface, as a report. CannotRun: there is no interface with an address."""
    started = datetime.now(UTC)
    run = new_run(network, options, emit)
    interface = lan_interface(run)
    if interface is None:
        raise CannotRun(
            "there is no local network: no interface is up and has an address",
            "Connect a cable or join a wireless network, then try again.",
        )
    context = lan_context(run, interface, run.options.listen_s)
    if not context.own:
        raise CannotRun(f"the interface {interface.name} has no address of the family asked for")
    watch = NetworkWatch(run, addresses=context.own.values())
    timed_out = await within_time_limit(run, watch.during(_look(run, context)))
    # it is of this network, wherever the default route leads
    run.options = msgspec.structs.replace(run.options, interface=interface.name)
    return CompletedRun(run, context.families, started, timed_out, tells_servers=False).report()


async def _look(run: MeasurementRun, context: LanContext) -> None:
    gateways = note_link(context)
    own = {address for each in run.network.interfaces() for address in each.addresses}
    named = [peer for peer in run.options.peers if peer not in own]  # who answers itself proves nothing
    run.emit(Event("started", "lan", f"listening on {context.interface.name} for {context.listen_s:g} s"))
    async with asyncio.TaskGroup() as group:
        group.create_task(exchange_beacons(context))
        group.create_task(listen_for_yggdrasil(context))
        for family in context.families:
            group.create_task(ask_mdns(context, family))
        group.create_task(echo_all(context, dict.fromkeys(gateways), "gateway"))
        group.create_task(echo_all(context, dict.fromkeys(named), "named"))
    known = {*gateways, *named}
    await echo_all(context, found_on_lan(context, known), "neighbour")
    run.emit(Event("finished", "lan"))
