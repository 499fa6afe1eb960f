"""Reservations at relays: is one given, and does a connection through it come about?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from nattools.errors import CannotRun
from nattools.model.peertrial import ReservationAsked
from nattools.net.libp2p.peerconnection import Libp2pConnection, MuxStream, StreamMessages
from nattools.net.libp2p.peerhost import PeerHost
from nattools.net.libp2p.peerquestions import CircuitAnswer, connect_through, ping, reserve
from nattools.probes.libp2p.peervisits import PROBE, VISIT_S, PeerContext, Visited
from nattools.protocols.libp2p import circuit

MOST_RELAYS: Final = 2
_MOST_CALLS: Final = 8
_MOST_LIMIT_S: Final = 1e6
_SILENT: Final = ("", "silent")
"""What is seen of a connection whose packets were lost, too."""


class RelayedCalls:
    """Takes calls that come through relays on behalf of a host. `told` hears of each."""

    def __init__(self, host: PeerHost, told: Callable[[Libp2pConnection], None] | None = None) -> None:
        self._host = host
        self._told = told
        self._calls = 0
        host.servers[circuit.STOP] = self._stop

    async def _stop(self, stream: MuxStream) -> None:
        """ProtocolError: it is no call."""
        messages = StreamMessages(stream, circuit.MAX_RELAY_MESSAGE)
        request = circuit.decode_stop(await messages.expect())
        refused = request.kind != "connect" or request.peer is None or self._calls >= _MOST_CALLS
        status = circuit.CircuitMessage("status", "connection-failed" if refused else "ok")
        messages.write(circuit.encode_stop(status))
        if refused:
            return
        self._calls += 1
        try:
            made = await self._host.take(
                stream, initiates=False, expected=request.peer, first=messages.rest, relayed=True
            )
            if isinstance(made, Libp2pConnection):
                if self._told is not None:
                    self._told(made)
                await made.ended.wait()
        finally:
            self._calls -= 1


async def ask_for_reservations(context: PeerContext, visited: Sequence[Visited]) -> None:
    """Ask the peers that relay for a reservation, and try to be called through it."""
    relays = [each for each in visited if each.offers(circuit.HOP)]
    async with asyncio.TaskGroup() as group:
        for relay in relays[:MOST_RELAYS]:
            group.create_task(_ask_for_reservation(context, relay))


async def _ask_for_reservation(context: PeerContext, relay: Visited) -> None:
    """As a peer of its own: a relay announces calls on whichever connection it has with the one who is
    called, and this machine has others."""
    began = asyncio.get_running_loop().time()
    async with PeerHost(context.network) as holder:
        made = await _connected(context, holder, relay)
        if not isinstance(made, Libp2pConnection):
            return
        RelayedCalls(holder)
        answer = await reserve(made)
        seen = _observed(relay, answer)
        if answer.granted:
            granted, seen = seen, await _called(context, holder, relay, seen)
            if seen.carried is False and seen.detail in _SILENT and context.lossy():
                seen = await _called(context, holder, relay, granted)
                carried = None if seen.carried is False and seen.detail in _SILENT else seen.carried
                seen = msgspec.structs.replace(seen, carried=carried)
    context.recorder.add(seen, at=began)


async def _connected(context: PeerContext, host: PeerHost, relay: Visited) -> Libp2pConnection | str:
    """A further connection to the relay, or why there is none."""
    try:
        made = await host.dial(
            relay.connection.remote,
            relay.connection.peer,
            timeout_s=VISIT_S,
            interface=context.interface,
        )
    except CannotRun as error:
        return str(error)
    return made if isinstance(made, Libp2pConnection) else "the relay takes no further connection"


def _observed(relay: Visited, answer: CircuitAnswer) -> ReservationAsked:
    message = answer.message
    limit = None if message is None else message.limit
    return ReservationAsked(
        probe=PROBE,
        relay=relay.text,
        peer=str(relay.connection.peer),
        outcome=answer.outcome,
        status=None if message is None else message.status,
        limit_s=None if limit is None else min(limit.seconds / _unit(relay), _MOST_LIMIT_S),
        limit_octets=None if limit is None else limit.octets,
    )


def _unit(relay: Visited) -> int:
    """js-libp2p gives milliseconds where the specification has seconds."""
    return 1000 if relay.description.agent.startswith("js-libp2p/") else 1


async def _called(
    context: PeerContext, holder: PeerHost, relay: Visited, seen: ReservationAsked
) -> ReservationAsked:
    """Call by the own reservation, as another peer would."""
    async with PeerHost(context.network) as caller:
        made = await _connected(context, caller, relay)
        if isinstance(made, str):
            return msgspec.structs.replace(seen, detail=made)
        answer = await connect_through(made, holder.peer)
        if not answer.granted or answer.stream is None:
            status = answer.outcome if answer.message is None else answer.message.status
            return msgspec.structs.replace(seen, carried=False, detail=status)
        through = await caller.take(answer.stream, initiates=True, expected=holder.peer, relayed=True)
        rtt_s = await ping(through) if isinstance(through, Libp2pConnection) else None
        return msgspec.structs.replace(
            seen, carried=rtt_s is not None, rtt_s=None if rtt_s is None else round(rtt_s, 6)
        )
