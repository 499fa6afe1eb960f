"""Can others get in over IPv6? Each kind of address is tried, over UDP, TCP and by an echo request, and how
far a filter is from here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing

from nattools.engine.measurement import MeasurementRun
from nattools.errors import CannotRun
from nattools.model.endpoint import Family
from nattools.model.host import ConfiguredAddress
from nattools.net.base import ArrivalWatch
from nattools.probes.inbound import InboundTry
from nattools.probes.layers import opener
from nattools.probes.portmap.gateway import OwnAddress
from nattools.probes.probe import MachineContext, MachineProbe, ProbeContext
from nattools.probes.target import Lane, Target
from nattools.protocols.dialback import DialTransport

FAMILY: Family = 6
MOST_ADDRESSES = 3
HERE, NEXT_ROUTER = 1, 2
"""TTLs of a packet that passes no router, and of one that passes the next one alone."""


class Ipv6Inbound(MachineProbe):
    """Whoever is asked dials back to ports that have written to nobody."""

    name = "ipv6-inbound"
    text = "can others get in over IPv6?"
    commands = frozenset({"diagnose", "ipv6"})

    def __init__(self, run: MeasurementRun) -> None:
        self._run = run

    async def run(self, context: MachineContext) -> None:
        """All at once; nothing where no server dials back."""
        if FAMILY not in context.families:
            return
        target = await self._run.dial_back_server(FAMILY, "udp")
        if target is None or target.local_host is None:
            return
        probing = self._run.context(Lane("udp", FAMILY), self.name)
        with ExitStack() as stack:
            watch = _watch(context, stack)
            async with asyncio.TaskGroup() as group:
                for place in self._places(target):
                    for transport in _transports(target):
                        group.create_task(InboundTry(probing, place, target, transport, watch).run())
                for ttl in (HERE, NEXT_ROUTER) if target.two_addresses else ():
                    group.create_task(_how_far(probing, target, ttl))

    def _places(self, target: Target) -> Iterator[OwnAddress]:
        """The address that the system chooses, and one of each other kind that others can write to."""
        network, interface = self._run.network, self._run.options.interface
        first = target.local_host or ""
        yield OwnAddress(network, interface, FAMILY, first)
        setup = network.ipv6_setup().addresses
        tried = {_kind(each) for each in setup if each.address == first}
        for each in setup:
            usable = network.is_public(each.address) and not (each.tentative or each.duplicate)
            if usable and _kind(each) not in tried and len(tried) < MOST_ADDRESSES:
                tried.add(_kind(each))
                yield OwnAddress(network, interface, FAMILY, each.address)


async def _how_far(context: ProbeContext, target: Target, ttl: int) -> None:
    """Does a packet that comes so far open the way? That it does not counts, so it is sent often enough."""
    await context.loss_known.wait()
    await opener(context, target, ttl, expires=True, copies=context.estimate.copies())


def _kind(each: ConfiguredAddress) -> tuple[bool, bool]:
    return bool(each.temporary), each.address.split(":")[-2][-2:] == "ff" and "fe" in each.address


def _transports(target: Target) -> Iterator[DialTransport]:
    yield "udp"
    if target.dials_back("tcp"):
        yield "tcp"
    if target.listens:
        yield "icmp"


def _watch(context: MachineContext, stack: ExitStack) -> ArrivalWatch | None:
    """None: this system does not show it, or not to this user."""
    try:
        return stack.enter_context(closing(context.network.watch_arrivals(FAMILY)))
    except CannotRun:
        return None
