"""A TURN relay tried: an allocation, and a byte through it and back to this machine.

The peer is another port of this machine. It writes to the relayed address, as any peer would, and the relay
writes to it: both directions show whether the relay's own ports are open. Where UDP does not get out of this
network the peer is a second allocation at the same relay.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family
from nattools.model.relaytrial import RelayCause
from nattools.net.turn.turnopening import open_relayed
from nattools.net.turn.turnsocket import RelayedSocket
from nattools.net.web.serversteps import StepFailure
from nattools.net.web.serverstream import Security
from nattools.probes.relay.crossing import Crossing, Passage
from nattools.probes.relay.inflight import HANDSHAKE
from nattools.probes.relay.pinger import FIRST_WAIT_S, Pinger, open_pinger
from nattools.probes.relay.relaycontext import DIRECT_TRIPS, RelayContext, RelayRecord, TurnAsk
from nattools.protocols import stun
from nattools.protocols.turn.credentials import LongTermCredentials, expiry
from nattools.protocols.turn.refusal import TurnRefusal

OPEN_S: Final = 6.0
PATIENCE_S: Final = 2.0
"""For the first byte through a relay; longer where the round trip is."""
_REFUSED: Final = frozenset({401, 441})


async def try_turn(context: RelayContext, ask: TurnAsk) -> None:
    """Try it, and record what came of it."""
    record = RelayRecord(context, "turn", ask.server.text, ask.over)
    try:
        await _Trial(context, ask, record).run()
    finally:
        record.note()


class _Trial:
    def __init__(self, context: RelayContext, ask: TurnAsk, record: RelayRecord) -> None:
        self._context = context
        self._ask = ask
        self._record = record
        self._pinger: Pinger | None = None
        self._outside: Endpoint | None = None

    async def run(self) -> None:
        with ExitStack() as opened:
            relayed = await self._allocate()
            if relayed is None:
                return
            opened.callback(relayed.close)
            self._record.reached(relayed.server)
            self._record.told["relayed"] = str(relayed.local)
            await self._ask_directly(relayed, opened)
            peer = self._peer(relayed)
            self._record.begin()
            if peer is not None:
                refusal = await relayed.permit(peer)
                if refusal is not None:
                    self._record.fail("permit", _cause_of(refusal), refusal.detail, code=refusal.code)
                    return
                self._record.done("permit", peer.host)
            await self._relay(relayed, opened)

    async def _allocate(self, *, again: bool = False) -> RelayedSocket | None:
        """None: it gives none, and the record says why. `again`: a second one, which is not recorded."""
        context, ask = self._context, self._ask
        await context.flight.take(HANDSHAKE)
        with context.flight.taken(HANDSHAKE):
            opened = await open_relayed(
                context.network,
                ask.server,
                ask.credentials,
                transport=ask.transport,
                family=context.family,
                interface=context.interface,
                security=Security(ask.server.host, context.pinned.get(ask.server.host, "")),
                timeout_s=OPEN_S,
            )
        if not isinstance(opened, StepFailure):
            if not again:
                self._record.took(opened.steps)
            return opened
        if not again:
            self._record.led_nowhere(opened, *_expired(opened, ask.credentials))
            await self._ask_the_silent(opened)
        return None

    async def _ask_the_silent(self, failure: StepFailure) -> None:
        """Does it answer STUN, if nothing else?"""
        hosts = await self._context.network.resolve(self._ask.server.host, self._context.family)
        if isinstance(hosts, str):
            return
        server = Endpoint(hosts[0], self._ask.server.port_or_default)
        self._record.reached(server)
        if failure.cause == "timeout" and self._ask.transport == "udp":
            with ExitStack() as opened:
                await self._trips(server, opened)

    async def _ask_directly(self, relayed: RelayedSocket, opened: ExitStack) -> None:
        """The round trip to the relay itself, and how the peer's port is seen from there."""
        server = relayed.server
        await self._trips(server, opened)
        if server.family != relayed.local.family:
            self._pinger, self._outside = await self._open_pinger(relayed.local.family, opened), None

    async def _trips(self, server: Endpoint, opened: ExitStack) -> None:
        self._pinger = await self._open_pinger(server.family, opened)
        if self._pinger is None:
            return
        known_s = self._record.longest_s
        wait_s = FIRST_WAIT_S if known_s is None else min(FIRST_WAIT_S, max(0.3, 3 * known_s))
        trips = await self._pinger.trips(stun.binding_request, server, DIRECT_TRIPS, wait_s)
        if trips:
            self._outside = trips[-1].mapped
            seconds = tuple(round(each.seconds, 6) for each in trips)
            self._record.told |= {"direct_s": seconds, "direct_sent": DIRECT_TRIPS}

    async def _open_pinger(self, family: Family, opened: ExitStack) -> Pinger | None:
        context = self._context
        try:
            pinger = await open_pinger(
                context.network,
                family,
                context.flight,
                context.interface,
                whole=context.sizes,
            )
        except CannotRun:
            return None
        opened.callback(pinger.socket.close)
        return pinger

    def _peer(self, relayed: RelayedSocket) -> Endpoint | None:
        """How the relay sees the peer's port, or at least the machine."""
        if self._outside is not None:
            return self._outside
        mapped = relayed.mapped
        return mapped if mapped is not None and mapped.family == relayed.local.family else None

    async def _relay(self, relayed: RelayedSocket, opened: ExitStack) -> None:
        outside = [self._outside]

        def send_out(data: bytes) -> None:
            if outside[0] is not None:
                relayed.send(data, outside[0])

        inward = Passage(
            lambda data: None if self._pinger is None else self._pinger.socket.send(data, relayed.local)
        )
        outward, own = Passage(send_out), self._at_own_address(relayed)

        def came_in(data: bytes, source: Endpoint) -> None:
            if inward.take(data) or (own is not None and own.take(data)):
                outside[0] = source

        relayed.on_datagram = came_in
        if self._pinger is not None:
            self._pinger.other = outward.on_datagram
        came, left = inward.crossing(), outward.crossing()
        await self._both(came, left)
        if came.trips and left.trips:
            self._record.told["back_by"] = "own-port"
            self._record.done("relay")
            await self._record.measure(outward, inward)
        elif not came.trips and not left.trips and self._outside is None:
            await self._by_second_allocation(relayed, opened, came.sent + left.sent)
        else:
            cause = self._why(relayed, came, left)
            if own is not None and cause in ("not-reached", "nothing-relayed"):
                cause = await self._elsewhere(own, outward, relayed, cause)
            self._record.told["sent"] = came.sent + left.sent
            self._record.fail("relay", cause, detail=relayed.server.host if cause == "other-address" else "")

    def _at_own_address(self, relayed: RelayedSocket) -> Passage | None:
        """To the relayed port at the address under which the relay itself is reached, where it gives another
        one."""
        pinger, own = self._pinger, Endpoint(relayed.server.host, relayed.local.port)
        if pinger is None or own.host == relayed.local.host or own.family != relayed.local.family:
            return None
        return Passage(lambda data: pinger.socket.send(data, own))

    async def _elsewhere(
        self, own: Passage, outward: Passage, relayed: RelayedSocket, cause: RelayCause
    ) -> RelayCause:
        """Would it relay there? Then the address that it gives is set wrongly."""
        came, left = own.crossing(), outward.crossing()
        await self._both(came, left)
        return "other-address" if came.trips else cause

    async def _both(self, came: Crossing, left: Crossing) -> None:
        """Try both directions until both work, or the time is over."""
        loop = asyncio.get_running_loop()
        trip_s = max(self._record.told.get("direct_s", (0.25,)))
        until = loop.time() + max(PATIENCE_S, 6 * trip_s)
        while loop.time() < until and not (came.trips and left.trips):
            for crossing in (came, left):
                if not crossing.trips:
                    crossing.send()
            await (left if came.trips else came).arrival(min(0.25, max(0.1, 1.5 * trip_s)))

    def _why(self, relayed: RelayedSocket, came: Crossing, left: Crossing) -> RelayCause:
        network = self._context.network
        if came.trips:
            return "inward-only"
        if network.is_public(relayed.server.host) and not network.is_public(relayed.local.host):
            return "private-address"
        return "not-reached" if left.trips else "nothing-relayed"

    async def _by_second_allocation(self, relayed: RelayedSocket, opened: ExitStack, sent: int) -> None:
        """UDP does not get out of this network: the peer is at the relay too."""
        other = await self._allocate(again=True)
        if other is not None:
            opened.callback(other.close)
            way = Passage(lambda data: relayed.send(data, other.local))
            other.on_datagram = way.on_datagram
            crossing = way.crossing()
            permitted = (await other.permit(relayed.local), await relayed.permit(other.local))
            loop = asyncio.get_running_loop()
            until = loop.time() + PATIENCE_S
            while loop.time() < until and not crossing.trips and permitted == (None, None):
                crossing.send()
                await crossing.arrival(0.25)
            sent += crossing.sent
            if crossing.trips:
                self._record.told["back_by"] = "second-allocation"
                self._record.done("relay")
                await self._record.measure(way)
                return
        self._record.told["sent"] = sent
        none = Crossing(lambda data: None)
        self._record.fail("relay", self._why(relayed, none, none))


def _expired(failure: StepFailure, credentials: LongTermCredentials | None) -> tuple[RelayCause | None, str]:
    """The relay says only that it does not accept them; that they are too old, they say themselves."""
    until = None if credentials is None else expiry(credentials.username)
    if failure.code not in _REFUSED or until is None or until >= datetime.now(UTC).timestamp():
        return None, ""
    return "expired", datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _cause_of(refusal: TurnRefusal) -> RelayCause:
    return "error" if refusal.code is not None else "timeout"
