"""A glance at the local network in the course of a diagnosis: who answers within a second, beside all else
that is asked. What takes longer is `nattools lan`'s."""

from __future__ import annotations

import asyncio
from typing import Final

from nattools.engine.laninterface import found_on_lan, lan_context, lan_interface, note_link
from nattools.engine.measurement import MeasurementRun
from nattools.model.endpoint import family_of
from nattools.model.host import Interface
from nattools.net.base import Network
from nattools.probes.lan.echoprobe import echo_all
from nattools.probes.lan.lancontext import LanContext
from nattools.probes.lan.mdnsprobe import ask_mdns
from nattools.probes.probe import MachineContext, MachineProbe

LISTEN_S: Final = 0.5
"""For answers by multicast DNS, which are held back by up to 0.12 s (RFC 6762 6)."""
_MOST_KNOWN: Final = 8


class QuickLanScan(MachineProbe):
    """Multicast DNS, and echo requests to the router and to machines that are known or have answered."""

    name = "lan"
    text = "do machines here answer?"
    commands = frozenset({"diagnose"})

    def __init__(self, run: MeasurementRun) -> None:
        self._run = run

    async def run(self, context: MachineContext) -> None:
        """At most a second. Where the neighbours are strangers, nobody is asked."""
        interface = lan_interface(self._run)
        if interface is None or interface.kind == "vpn" or _is_on_internet(self._run.network, interface):
            return
        lan = lan_context(self._run, interface, LISTEN_S, glance=True)
        if lan.own:
            await _look(self._run, lan)


def _is_on_internet(network: Network, interface: Interface) -> bool:
    """Has it a public IPv4 address, so that those beside it are other people's machines?"""
    return any(network.is_public(each) for each in interface.addresses if family_of(each) == 4)


async def _look(run: MeasurementRun, context: LanContext) -> None:
    gateways = note_link(context)
    known = [each for each in _known(context) if each not in gateways]
    async with asyncio.TaskGroup() as group:
        for family in context.families:
            group.create_task(ask_mdns(context, family))
        group.create_task(echo_all(context, dict.fromkeys(gateways), "gateway"))
        group.create_task(echo_all(context, known, "neighbour"))
    asked = {*gateways, *known}
    await echo_all(context, found_on_lan(context, asked), "neighbour")


def _known(context: LanContext) -> list[str]:
    """Machines that this system has exchanged packets with, and that are not the router."""
    found = [
        each.address
        for each in context.network.link_neighbours()
        if each.interface == context.interface.name and family_of(each.address) in context.own
    ]
    others = (
        each for each in dict.fromkeys(found) if not context.is_own(each) and not context.is_router(each)
    )
    return list(others)[:_MOST_KNOWN]
