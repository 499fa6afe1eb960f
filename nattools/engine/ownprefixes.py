"""Does each of this machine's IPv6 prefixes work? One that the router no longer has (RFC 8978), or whose
packets leave by another router, is silent, and the system may choose it all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import IPv6Network

from nattools.engine.measurement import MeasurementRun
from nattools.errors import CannotRun
from nattools.model.confidence import CERTAIN_ERROR, WORST_LOSS, copies_needed
from nattools.model.endpoint import Endpoint, Family
from nattools.model.host import ConfiguredAddress
from nattools.model.ipv6trial import SourceTrial
from nattools.probes.ownaddress import OwnAddress
from nattools.probes.probe import MachineContext, MachineProbe, ProbeContext
from nattools.probes.question import StunClient
from nattools.probes.target import Lane

FAMILY: Family = 6
MOST_PREFIXES = 4
MOST_SERVERS = 2
GAP_S = 0.05
LAST_WAIT_S = 0.5


class OwnPrefixes(MachineProbe):
    """Where there are several, an address of each asks servers: with a single one, all else tells."""

    name = "ipv6-prefixes"
    text = "does each IPv6 prefix of this machine work?"
    commands = frozenset({"diagnose", "ipv6"})

    def __init__(self, run: MeasurementRun) -> None:
        self._run = run

    async def run(self, context: MachineContext) -> None:
        """All at once."""
        network = self._run.network
        usable = [each for each in network.ipv6_setup().addresses if network.is_public(each.address)]
        addresses = one_of_each_prefix(usable)
        if FAMILY not in context.families or self._run.options.interface is not None or len(addresses) < 2:
            return
        await self._run.resolved.wait()
        servers = [each.endpoint for each in self._run.addresses.get(FAMILY, ())][:MOST_SERVERS]
        probing = self._run.context(Lane("udp", FAMILY), self.name)
        async with asyncio.TaskGroup() as group:
            for address in addresses:
                for server in servers:
                    group.create_task(_ask(probing, OwnAddress(network, None, FAMILY, address), server))


def one_of_each_prefix(addresses: Sequence[ConfiguredAddress]) -> list[str]:
    """One that the system may choose; none that it gives up, or that is not settled."""
    found: dict[IPv6Network, str] = {}
    for each in addresses:
        if not (each.deprecated or each.tentative or each.duplicate):
            found.setdefault(IPv6Network(f"{each.address}/64", strict=False), each.address)
    return list(found.values())[:MOST_PREFIXES]


async def _ask(context: ProbeContext, place: OwnAddress, server: Endpoint) -> None:
    began = asyncio.get_running_loop().time()
    try:
        socket = await place.open_udp()
    except CannotRun:
        return  # the address is gone
    with StunClient(context, socket) as client:
        question = client.prepare(server, "reach")
        for _ in range(copies_needed(WORST_LOSS, CERTAIN_ERROR)):
            client.send(question)
            if await question.done.wait(GAP_S):
                break
        else:
            await question.done.wait(LAST_WAIT_S)
    context.recorder.add(
        SourceTrial(
            probe=OwnPrefixes.name,
            address=place.local,
            asked=str(server),
            answered=question.answer is not None,
            sent=len(question.sent_at),
            detail="" if question.answer is not None else question.detail,
        ),
        at=began,
    )
