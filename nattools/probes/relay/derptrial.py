"""A DERP server tried: how far away it is, and a byte through it to this machine's own key."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Final

from nattools.errors import CannotRun
from nattools.model.endpoint import Family
from nattools.net.derp.derplatency import captive_portal, https_latency
from nattools.net.derp.derpsocket import DerpSocket, derp_endpoints, open_derp
from nattools.net.hedging import hedged
from nattools.net.web.serversteps import StepFailure, Steps
from nattools.probes.relay.crossing import LARGE_SIZES, Passage
from nattools.probes.relay.inflight import HANDSHAKE
from nattools.probes.relay.pinger import Pinger
from nattools.probes.relay.relaycontext import DerpAsk, RelayContext, RelayRecord
from nattools.protocols import derp

OPEN_S: Final = 6.0
PATIENCE_S: Final = 2.0
NEAR_TRIPS: Final = 3
NEAR_S: Final = 3.0
"""A server that does not take a connection in this time is not near."""
Pingers = dict[Family, Pinger]


async def how_far(context: RelayContext, ask: DerpAsk, pingers: Pingers) -> tuple[float, ...]:
    """Round trips to a server without relaying, in seconds: by STUN, and where that is not answered by
    HTTPS."""
    node = ask.node
    if node.stun_port is not None:
        await context.flight.take()
        with context.flight.taken():
            found = await derp_endpoints(context.network, node, Steps(), context.family, node.stun_port)
        if isinstance(found, StepFailure):
            return ()
        endpoint = next((each for each in found if each.family in pingers), None)
        if endpoint is not None:
            pinger = pingers[endpoint.family]
            trips = await pinger.trips(derp.tailnode_request, endpoint, NEAR_TRIPS)
            if trips:
                return tuple(round(each.seconds, 6) for each in trips)
    if not node.relays:
        return ()
    await context.flight.take(HANDSHAKE)
    with context.flight.taken(HANDSHAKE):
        latency = await https_latency(
            context.network,
            node,
            family=context.family,
            interface=context.interface,
            timeout_s=NEAR_S,
        )
    return () if isinstance(latency, StepFailure) else (round(latency, 6),)


def note_distance(context: RelayContext, ask: DerpAsk, direct: tuple[float, ...]) -> None:
    """Record a server that is not tried further."""
    record = RelayRecord(context, "derp", ask.node.uri, "tls" if ask.node.tls else "tcp")
    record.told |= {"region": ask.region, "direct_s": direct, "direct_sent": NEAR_TRIPS}
    record.note()


async def try_derp(context: RelayContext, ask: DerpAsk, direct: tuple[float, ...]) -> None:
    """Try it, and record what came of it, with its round trips without relaying."""
    record = RelayRecord(context, "derp", ask.node.uri, "tls" if ask.node.tls else "tcp")
    record.told |= {"region": ask.region, "direct_s": direct, "direct_sent": NEAR_TRIPS}
    try:
        with ExitStack() as opened:
            socket = await _open(context, ask, record)
            if socket is not None:
                opened.callback(socket.close)
                await _relay(record, socket)
    except CannotRun as error:
        record.fail("authenticate", "missing", str(error))
    finally:
        record.note()


async def _open(context: RelayContext, ask: DerpAsk, record: RelayRecord) -> DerpSocket | None:
    await context.flight.take(HANDSHAKE)
    with context.flight.taken(HANDSHAKE):
        socket = await hedged(
            lambda: open_derp(
                context.network,
                ask.node,
                family=context.family,
                interface=context.interface,
                timeout_s=OPEN_S,
            ),
            conclusive=lambda made: not isinstance(made, StepFailure) or made.cause != "timeout",
            discard=lambda made: None if isinstance(made, StepFailure) else made.close(),
        )
        if isinstance(socket, StepFailure):
            portal = await captive_portal(context.network, ask.node, interface=context.interface)
            record.led_nowhere(socket, "captive-portal" if portal else None)
            return None
    record.took(socket.steps)
    record.reached(socket.server)
    return socket


async def _relay(record: RelayRecord, socket: DerpSocket) -> None:
    """Have something relayed to the sender itself: a server passes on what is sent to any key."""
    place = socket.permit(socket.key)
    record.told |= {"relayed": str(socket.local), "back_by": "itself"}
    way = Passage(lambda data: socket.send(data, place))
    socket.on_datagram = way.on_datagram
    proof = way.crossing()
    loop = asyncio.get_running_loop()
    until = loop.time() + PATIENCE_S
    while loop.time() < until and not proof.trips and socket.ended is None:
        proof.send()
        await proof.arrival(0.5)
    if not proof.trips:
        record.told["sent"] = proof.sent
        record.fail(
            "relay", "closed" if socket.ended else "nothing-relayed", socket.ended or socket.complaint
        )
        return
    record.done("relay")
    await record.measure(way, way, LARGE_SIZES)
