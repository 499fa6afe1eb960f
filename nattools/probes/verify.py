"""Is a mapping true? A server outside sends or connects to it, and we see whether that arrives.

"Success" from a router is not proof: it may have mapped the wrong address, stand behind a second NAT, or
forget to open its own firewall. The port behind the mapping writes to nobody, so nothing but the mapping can
have let the dial-back in; it comes from another address of the server's than the one that was asked, where
the server has one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal

from nattools.model.confidence import CERTAIN_ERROR, WORST_LOSS, copies_needed
from nattools.model.endpoint import Endpoint
from nattools.model.observation import MapCheck
from nattools.probes.dialbacks import InboundListener, order_dial_back
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.mapper import Granted
from nattools.probes.probe import ProbeContext
from nattools.probes.target import Target
from nattools.protocols import dialback

Outcome = Literal["arrived", "silent", "refused", "unreachable", "denied", "error"]
SPACING_MS = 15
_LONGEST_S = 60.0
_CONNECTED_S = 3.5
"""How long what was written on a connection may take that is there: a segment may be lost twice."""
_MAY_PASS = ("silent", "refused")
"""Outcomes after which another try may end otherwise: a copy was lost, or the rule was not in force yet."""


@dataclass(slots=True)
class _Trial:
    """One mapping being tried."""

    context: ProbeContext
    gateway: GatewayContext
    target: Target
    granted: Granted
    listener: InboundListener
    sent: int = 0
    outcome: Outcome = "error"
    detail: str = ""
    seen: str | None = None
    origin: Endpoint | None = None
    change_address: bool = field(init=False)
    change_port: bool = field(init=False)

    def __post_init__(self) -> None:
        self.change_address = self.target.two_addresses
        self.change_port = self.target.other is not None or self.granted.transport == "tcp"

    async def run(self) -> None:
        """Until a dial-back arrives, or silence counts. Over UDP the first order is for one datagram, so that
        none is under way when the port is given back to its user; each attempt over TCP repeats its SYN by
        itself."""
        needed = copies_needed(WORST_LOSS, CERTAIN_ERROR)
        estimate = self.context.estimate
        copies = 1 if self.granted.transport == "udp" else dialback.MAX_COPIES
        while self.sent < (max(needed, estimate.copies()) if estimate.lost else needed):
            await self._round(copies)
            if self.listener.reached.is_set:
                self.outcome, self.detail = "arrived", ""
            if self.outcome not in _MAY_PASS or (self.granted.transport == "tcp" and not estimate.lost):
                return
            copies = min(2 * copies, dialback.MAX_COPIES)

    async def _round(self, copies: int) -> None:
        nonce = dialback.new_nonce()
        self.listener.nonces.add(nonce)
        ask = dialback.Ask(
            self.granted.transport,
            self.granted.external_port,
            nonce,
            self.change_address,
            self.change_port,
            copies,
            SPACING_MS,
        )
        self.sent += copies
        result = await self._ordered(ask)
        if isinstance(result, str):
            self.outcome, self.detail = "error", result
            return
        self.seen = result.seen.host if result.seen is not None else self.seen
        self.origin = result.origin or self.origin
        self.outcome, self.detail = _outcome(result), result.reason
        if result.outcome in ("sent", "connected"):
            wait_s = self.context.estimate.last_wait_s if result.outcome == "sent" else _CONNECTED_S
            await self.listener.reached.wait(wait_s)
        if result.outcome == "connected" and not self.listener.reached.is_set:
            self.detail = "something else accepted the connection"

    async def _ordered(self, ask: dialback.Ask) -> dialback.Result | str:
        """The server's word; once the dial-back is here, that is not waited for longer than it may take."""
        async with asyncio.TaskGroup() as group:
            ordered = group.create_task(order_dial_back(self.gateway, self.target, ask))
            reached = group.create_task(self.listener.reached.wait(_LONGEST_S))
            await asyncio.wait({ordered, reached}, return_when=asyncio.FIRST_COMPLETED)
            if not ordered.done():
                await asyncio.wait({ordered}, timeout=self.context.estimate.last_wait_s)
            ordered.cancel()
            reached.cancel()
        return dialback.Result("sent") if ordered.cancelled() else ordered.result()


def _outcome(result: dialback.Result) -> Outcome:
    """As far as the server can say."""
    said = result.outcome
    return "silent" if said == "sent" or said == "connected" or said == "timeout" else said


async def verify(
    context: ProbeContext,
    gateway: GatewayContext,
    target: Target,
    granted: Granted,
    listener: InboundListener,
) -> MapCheck:
    """Have `target`, a nattools server of the mapping's family, dial back to a mapping whose inside is
    `listener`; what came of it is put on record and returned."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    trial = _Trial(context, gateway, target, granted, listener)
    await trial.run()
    origin = trial.listener.origin or trial.origin
    host = trial.seen or (target.mapped.host if target.mapped else granted.external_host) or gateway.local
    check = MapCheck(
        probe="verify",
        protocol=granted.protocol,
        transport=granted.transport,
        family=granted.internal.family,
        internal=str(granted.internal),
        external=None if granted.external is None else str(granted.external),
        target=str(Endpoint(host, granted.external_port)),
        origin=None if origin is None else str(origin),
        outcome=trial.outcome,
        sent=trial.sent,
        waited_s=round(loop.time() - began, 6),
        detail=trial.detail,
    )
    return context.recorder.add(check, at=began)
