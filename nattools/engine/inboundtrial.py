"""Can others get in over IPv6? Each kind of address is tried, over UDP, TCP and by an echo request, and how
far a filter is from here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from nattools.engine.analysis.ipv6.ipv6addresses import use_of
from nattools.engine.measurement import MeasurementRun
from nattools.model.endpoint import Family
from nattools.model.host import ConfiguredAddress
from nattools.probes.arrivalcheck import watching_arrivals
from nattools.probes.inbound import InboundTry
from nattools.probes.layers import HERE, NEXT_ROUTER, opener
from nattools.probes.ownaddress import OwnAddress
from nattools.probes.probe import MachineContext, MachineProbe, ProbeContext
from nattools.probes.target import Lane, Target
from nattools.protocols.dialback import DialTransport

FAMILY: Family = 6
MOST_ADDRESSES = 3


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
        with watching_arrivals(context.network, FAMILY) as watch:
            async with asyncio.TaskGroup() as group:
                for place in self._places(target):
                    for transport in _transports(target):
                        group.create_task(InboundTry(probing, place, target, transport, watch).run())
                for ttl in (HERE, NEXT_ROUTER) if target.two_addresses else ():
                    group.create_task(_how_far(probing, target, ttl))

    def _places(self, target: Target) -> Iterator[OwnAddress]:
        network, first = self._run.network, target.local_host or ""
        usable = [each for each in network.ipv6_setup().addresses if network.is_public(each.address)]
        for address in addresses_to_try(first, usable):
            yield OwnAddress(network, self._run.options.interface, FAMILY, address)


def addresses_to_try(first: str, usable: Sequence[ConfiguredAddress]) -> list[str]:
    """The address that the system chooses, `first`, and one of each other kind that is settled."""
    found, uses = [first], {use_of(each) for each in usable if each.address == first}
    for each in usable:
        if use_of(each) not in uses and not (each.tentative or each.duplicate):
            uses.add(use_of(each))
            found.append(each.address)
    return found[:MOST_ADDRESSES]


async def _how_far(context: ProbeContext, target: Target, ttl: int) -> None:
    """Does a packet that comes so far open the way? That it does not counts, so it is sent often enough."""
    await context.loss_known.wait()
    await opener(context, target, ttl, expires=True, copies=context.estimate.copies())


def _transports(target: Target) -> Iterator[DialTransport]:
    yield "udp"
    if target.dials_back("tcp"):
        yield "tcp"
    if target.listens:
        yield "icmp"
