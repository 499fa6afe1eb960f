"""Does somebody outside get in to one of this machine's own addresses, to a port that has written to nobody?
And if not, how far does it come?"""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.ipv6trial import InboundCheck, InboundOutcome, tried
from nattools.net.base import ArrivalWatch
from nattools.probes.arrivalcheck import has_arrived
from nattools.probes.dialbacks import (
    CONNECTED_S,
    SPACING_MS,
    InboundListener,
    open_inbound_listener,
    order_dial_back,
)
from nattools.probes.ownaddress import OwnAddress
from nattools.probes.probe import ProbeContext
from nattools.probes.target import Target
from nattools.protocols import dialback
from nattools.protocols.dialback import DialTransport, Outcome

REPEATED_SYN_S = 1.05
"""On a path that loses packets an attempt over TCP needs its second SYN (RFC 6298 2.1)."""
MOST_ROUNDS = 5
_ECHO_PORT = 7


class InboundTry(msgspec.Struct):
    """One transport tried at one own address, `place`. `watch` sees what comes to the interface."""

    context: ProbeContext
    place: OwnAddress
    target: Target
    transport: DialTransport
    watch: ArrivalWatch | None = None
    sent: int = 0
    outcome: InboundOutcome = "error"
    detail: str = ""
    seen: str | None = None
    origin: Endpoint | None = None
    offender: str | None = None
    listened_s: float = 0.0

    async def run(self) -> InboundCheck | None:
        """Until something arrives, somebody refuses, or silence counts; on record. None: no port can be
        had."""
        began = asyncio.get_running_loop().time()
        if self.transport == "icmp":
            await self._rounds(None, _ECHO_PORT)
            return self._record(began, 0)
        try:
            listener = await open_inbound_listener(self.place, self.transport)
        except CannotRun:
            return None
        try:
            await self._rounds(listener, listener.local.port)
            return self._record(began, listener.local.port)
        finally:
            listener.close()

    async def _rounds(self, listener: InboundListener | None, port: int) -> None:
        """A refusal is believed at once; silence where the path's loss cannot be the reason."""
        for _ in range(MOST_ROUNDS):
            await self._round(listener, port)
            if self.outcome != "timeout":
                return
            await self.context.loss_known.wait()
            if self._tried >= self.context.estimate.copies():
                return

    @property
    def _tried(self) -> int:
        """How many copies that counts as: a connection takes packets in both directions and back again."""
        return tried(self.transport, self.sent, self.context.estimate.lost)

    async def _round(self, listener: InboundListener | None, port: int) -> None:
        nonce = dialback.new_nonce()
        if listener is not None:
            listener.nonces.add(nonce)
        listen_s = self._listen_s()
        ask = dialback.Ask(
            self.transport,
            port,
            nonce,
            self.target.two_addresses,
            self.target.other is not None or self.transport == "tcp",
            dialback.MAX_COPIES,
            SPACING_MS,
            listen_ms=min(dialback.MAX_LISTEN_MS, round(1000 * listen_s)),
        )
        self.sent += ask.copies
        result = await self._ordered(ask, listener)
        if isinstance(result, str):
            self.outcome, self.detail = "error", result
            return
        self.listened_s = listen_s if self.target.listens else 0.0
        self.seen = result.seen.host if result.seen is not None else self.seen
        self.origin = result.origin or self.origin
        self.offender = result.offender or self.offender
        self.outcome, self.detail = _outcome(result.outcome, self.transport), result.reason
        if listener is not None and result.outcome == "connected":
            await listener.reached.wait(CONNECTED_S)
            self.outcome, self.detail = "error", "something else accepted the connection"
        elif listener is not None and self.outcome == "timeout":
            await listener.reached.wait(self.context.estimate.last_wait_s)
        if listener is not None and listener.reached.is_set:
            self.outcome, self.detail, self.offender = "arrived", "", None
            self.origin = listener.origin or self.origin

    def _listen_s(self) -> float:
        """For an answer to the last copy, and over TCP, where packets are lost, to a second SYN."""
        estimate = self.context.estimate
        again = REPEATED_SYN_S if self.transport == "tcp" and estimate.lost else 0.0
        return again + estimate.last_wait_s

    async def _ordered(self, ask: dialback.Ask, listener: InboundListener | None) -> dialback.Result | str:
        """The server's word, unless the dial-back is here first."""
        if listener is None:
            return await order_dial_back(self.place, self.target, ask)
        async with asyncio.TaskGroup() as group:
            ordered = group.create_task(order_dial_back(self.place, self.target, ask))
            reached = group.create_task(listener.reached.wait(60.0))
            await asyncio.wait({ordered, reached}, return_when=asyncio.FIRST_COMPLETED)
            ordered.cancel()
            reached.cancel()
        return dialback.Result("sent") if ordered.cancelled() else ordered.result()

    def _record(self, began: float, port: int) -> InboundCheck:
        target = self.target
        seen = self.seen or (target.mapped.host if target.mapped is not None else self.place.local)
        origin = self.origin or target.other or target.endpoint
        check = InboundCheck(
            probe="inbound",
            transport=self.transport,
            family=target.family,
            address=self.place.local,
            target=str(Endpoint(seen, port)),
            origin=str(origin),
            outcome=self.outcome,
            sent=self.sent,
            listened_s=round(self.listened_s, 3),
            offender=self.offender,
            reached_card=self._reached_card(origin, port),
            detail=self.detail,
        )
        return self.context.recorder.add(check, at=began)

    def _reached_card(self, origin: Endpoint, port: int) -> bool | None:
        """What a firewall of this machine drops has come to the interface before."""
        if self.outcome == "arrived":
            return True
        if self.outcome in ("denied", "error"):
            return None
        return has_arrived(self.watch, self.transport, port, origin, self.target)


def _outcome(said: Outcome, transport: Literal["udp", "tcp", "icmp"]) -> InboundOutcome:
    """As far as the server can say: that a connection came about proves nothing, since anybody may accept
    it."""
    if said == "connected":
        return "arrived" if transport == "icmp" else "timeout"
    return "timeout" if said == "sent" else said
