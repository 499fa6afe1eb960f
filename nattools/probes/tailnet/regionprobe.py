"""How far away the regions of a DERP map are, as `tailscale netcheck` measures it: by STUN from one port for
all, and where UDP does not get out by HTTPS and echo requests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final, NamedTuple

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family
from nattools.model.tailnetseen import ChallengeTrial, RegionTrial
from nattools.net.base import EchoReply
from nattools.net.derp.derplatency import captive_portal, https_latency
from nattools.net.derp.derpsocket import derp_endpoints
from nattools.net.eventloop import TimedEvent
from nattools.net.web.serversteps import StepFailure, Steps
from nattools.probes.relay.inflight import HANDSHAKE
from nattools.probes.relay.pinger import FIRST_WAIT_S, Pinger, open_pinger
from nattools.probes.tailnet.tailnetcontext import TailnetContext
from nattools.protocols import derp

TRIES: Final = 3
"""Questions to a region over one family, to its servers in turn, as in netcheck's full plan."""
HTTPS_S: Final = 4.0
ECHO_S: Final = 1.0


class _Question(NamedTuple):
    region: derp.DerpRegion
    family: Family


async def try_regions(context: TailnetContext, number: int, regions: Sequence[derp.DerpRegion]) -> None:
    """Ask all of them, and record what came back."""
    wanted = [region for region in regions if region.measured and region.nodes]
    questions = [_Question(region, family) for family in context.families for region in wanted]
    with ExitStack() as opened:
        pingers: dict[Family, Pinger] = {}
        for family in context.families:
            pingers[family] = await open_pinger(context.network, family, context.flight, context.interface)
            opened.callback(pingers[family].socket.close)
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(_by_stun(context, number, each, pingers[each.family])) for each in questions
            ]
    if not any(task.result() for task in asked):
        await _without_udp(context, number, [each for each in wanted if not each.avoid])


async def _by_stun(context: TailnetContext, number: int, question: _Question, pinger: Pinger) -> bool:
    """Did any of the region's servers answer?"""
    region, family = question
    nodes = [node for node in region.nodes if node.stun_port is not None]
    best: float | None = None
    mapped: list[str] = []
    sent, first, loop = 0, None, asyncio.get_running_loop()
    for attempt in range(TRIES if nodes else 0):
        to = await _endpoint(context, nodes[attempt % len(nodes)], family)
        if to is None:
            continue
        sent += 1
        trip = await pinger.trip(derp.tailnode_request, to, FIRST_WAIT_S)
        if trip is None:
            continue
        if first is None:
            first = round(loop.time() - context.recorder.started, 6)
        best = trip.seconds if best is None else min(best, trip.seconds)
        mapped += [] if trip.mapped is None else [str(trip.mapped)]
    if sent:
        context.recorder.add(
            RegionTrial(
                probe="regions",
                number=number,
                region=region.id,
                family=family,
                by="stun",
                sent=sent,
                latency_s=None if best is None else round(best, 6),
                mapped=tuple(mapped),
                at_first_s=first,
            )
        )
    return best is not None


async def _endpoint(context: TailnetContext, node: derp.DerpNode, family: Family) -> Endpoint | None:
    """Where a server speaks STUN over that family; None: nowhere."""
    found = await derp_endpoints(context.network, node, Steps(), family, node.stun_port)
    if isinstance(found, StepFailure):
        return None
    return next((each for each in found if each.family == family), None)


async def _without_udp(context: TailnetContext, number: int, regions: Sequence[derp.DerpRegion]) -> None:
    async with asyncio.TaskGroup() as group:
        for region in regions:
            nodes = [node for node in region.nodes if node.relays]
            if nodes:
                group.create_task(_by_https(context, number, region, nodes[0]))
        group.create_task(_by_echo(context, number, regions))
        group.create_task(_challenge(context, number, regions))


async def _by_https(
    context: TailnetContext, number: int, region: derp.DerpRegion, node: derp.DerpNode
) -> None:
    known = {4: node.ipv4, 6: node.ipv6}
    families = [family for family in context.families if known[family] is not None]
    if not families:
        return
    only = families[0] if len(families) == 1 else None
    await context.flight.take(HANDSHAKE)
    with context.flight.taken(HANDSHAKE):
        found = await https_latency(
            context.network, node, family=only, interface=context.interface, timeout_s=HTTPS_S
        )
    seconds = None if isinstance(found, StepFailure) else round(found, 6)
    context.recorder.add(
        RegionTrial(
            probe="regions",
            number=number,
            region=region.id,
            family=families[0],
            by="https",
            sent=1,
            latency_s=seconds,
        )
    )


async def _by_echo(context: TailnetContext, number: int, regions: Sequence[derp.DerpRegion]) -> None:
    """Echo requests over IPv4, all at once from one socket, where the system lets us send them."""
    network = context.network
    if 4 not in context.families or network.missing("icmp") is not None:
        return
    try:
        socket = await network.open_icmp(family=4)
    except CannotRun:
        return
    loop = asyncio.get_running_loop()
    waiting: dict[int, TimedEvent] = {}
    came: dict[int, float] = {}

    def on_reply(reply: EchoReply) -> None:
        if reply.sequence in waiting and reply.sequence not in came:
            came[reply.sequence] = loop.time()
            waiting[reply.sequence].set()

    async def ask(sequence: int, region: derp.DerpRegion) -> None:
        to = await _endpoint(context, region.nodes[0], 4)
        if to is None:
            return
        waiting[sequence] = TimedEvent()
        began_at = loop.time()
        if socket.send_echo(to.host, sequence) is not None:
            return
        await waiting[sequence].wait(ECHO_S)
        seconds = round(came[sequence] - began_at, 6) if sequence in came else None
        context.recorder.add(
            RegionTrial(
                probe="regions",
                number=number,
                region=region.id,
                family=4,
                by="icmp",
                sent=1,
                latency_s=seconds,
            )
        )

    socket.on_reply = on_reply
    try:
        async with asyncio.TaskGroup() as group:
            for sequence, region in enumerate(regions, 1):
                group.create_task(ask(sequence, region))
    finally:
        socket.close()


async def _challenge(context: TailnetContext, number: int, regions: Sequence[derp.DerpRegion]) -> None:
    """Does a captive portal answer in a server's place? One server that can tell is enough."""
    nodes = [node for region in regions for node in region.nodes if node.answers_port_80]
    if nodes:
        portal = await captive_portal(context.network, nodes[0], interface=context.interface, timeout_s=2.5)
        met = None if portal is None else not portal
        context.recorder.add(ChallengeTrial(probe="regions", number=number, uri=nodes[0].uri, met=met))
