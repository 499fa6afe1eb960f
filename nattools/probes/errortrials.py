"""Do ICMP errors that are not true get in, and out (the question that pwnat rests on)?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.errortrialseen import ErrorTrial
from nattools.model.observation import Gap
from nattools.net.base import EchoReply, IcmpError
from nattools.probes.probe import LaneProbe, ProbeContext
from nattools.probes.question import StunClient, open_stun_client
from nattools.probes.quotedsums import QuotedSums
from nattools.probes.target import Lane, Target
from nattools.protocols import pwnat
from nattools.protocols.dialback import new_nonce
from nattools.protocols.errortrial import (
    MAX_COPIES,
    TrialAsk,
    TrialKind,
    TrialRequest,
    TrialResult,
    crafted_error,
)
from nattools.protocols.outsidesum import port_behind
from nattools.protocols.stun.constants import SERVICE_ERROR_TRIALS

QUESTION = "Does an ICMP error that a stranger makes get in, or one of ours out (pwnat)?"
ORDERS = 2
"""The server sends all copies of an order at once, and one burst of losses may take them all: silence counts
after as many orders as this, each with a beacon of its own. One that is not followed leaves it open."""
Outcome = Literal["arrived", "missing", "denied", "error"]
SETTLE = "`nattools serve` as root on a machine with a public address, named with --server"


class ErrorTrials(LaneProbe):
    """In: the server makes an error about what a fresh port sent to nobody; if that does not arrive, one
    about what the port sent to the server itself. Out: one to the server, if this process may make one. It
    comes late, since each port of its own counts for NATs whose ports are being predicted."""

    name = "error-trial"
    text = "do ICMP errors of others get in?"
    commands = frozenset({"diagnose", "pwnat"})
    transport = "udp"
    last = True
    capability = "icmp-errors"
    question = QUESTION
    settle = "the same on a Linux machine in this network"

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """The best one that takes part."""
        able = [each for each in ranked if each.family == 4 and each.services & SERVICE_ERROR_TRIALS]
        return able[:1]

    def gap(self, lane: Lane, targets: Sequence[Target]) -> Gap | None:
        """No server takes part."""
        if lane.family == 6 or self.servers(targets):
            return None
        return Gap(
            probe=self.name, question=QUESTION, reason="no server here crafts ICMP errors", settle=SETTLE
        )

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Try both directions, each from a port of its own."""
        with await open_stun_client(context) as client:
            await _inward(client, targets[0])
        await _outward(context, targets[0])


async def _inward(client: StunClient, target: Target) -> None:
    control = await client.expect(client.prepare(target.endpoint, "control"))
    client.record(control)
    if control.answer is None or control.mapped is None:
        return
    if await _Inward(client, target, control.mapped, "beacon").run() != "missing":
        return
    if await _Inward(client, target, control.mapped, "server").run() != "arrived":
        return
    port = await _port_read(client, control.mapped.host)
    if port is not None:
        await _Inward(client, target, Endpoint(control.mapped.host, port), "beacon", read=True).run()


async def _port_read(client: StunClient, host: str) -> int | None:
    """The outside port of the beacons, where each destination sees another one and quoted checksums tell
    which; `pwnat listen` finds it in the same way."""
    network = client.context.network
    if client.context.interface is not None or network.missing("raw-packets") is not None:
        return None
    with await QuotedSums.open(network) as sums:
        found = await sums.of(client.local.port, pwnat.TARGETS[0])
    return None if found is None else port_behind(found[0], host)


class _Inward:
    """One order to the server. `read`: `mapped` was read from quoted checksums."""

    def __init__(
        self,
        client: StunClient,
        target: Target,
        mapped: Endpoint,
        quotes: Literal["beacon", "server"],
        *,
        read: bool = False,
    ) -> None:
        self.client, self.target, self.mapped, self.quotes = client, target, mapped, quotes
        self.nonce = new_nonce()
        self.read = read
        self.source: str | None = None
        self.arrived = False
        client.socket.on_icmp = self._heard

    def _heard(self, error: IcmpError) -> None:
        if error.quoted.startswith(self.nonce):
            self.arrived, self.source = True, error.offender
            self.client.exchanges.wake()

    async def run(self) -> Outcome:
        """Order, wait until one is here or silence counts, and record what came of it."""
        client, began = self.client, asyncio.get_running_loop().time()
        estimate = client.context.estimate
        kind: TrialKind = "quote-beacon" if self.quotes == "beacon" else "quote-server"
        sent, answer = 0, None
        while not self.arrived and sent < estimate.copies():
            copies = min(MAX_COPIES, -(-estimate.copies() // ORDERS), estimate.copies() - sent)
            if self.quotes == "beacon":
                client.socket.send(pwnat.BEACON, pwnat.TARGETS[0])
            ask = TrialAsk(kind, self.mapped.port, self.nonce, copies)
            answer = await self._ordered(ask)
            sent += copies if answer is not None and answer.outcome == "sent" else 0
            if answer is None or answer.outcome != "sent":
                break
        return self._record(answer, sent, began)

    async def _ordered(self, ask: TrialAsk) -> TrialResult | None:
        loop, client = asyncio.get_running_loop(), self.client
        estimate, exchanges = client.context.estimate, client.exchanges
        rto_s = estimate.retry_s
        request = TrialRequest(ask, self.target.endpoint, loop.time(), rto_s=rto_s, patience_s=8 * rto_s)
        exchanges.start(request, client.socket)
        while not self.arrived and not exchanges.idle:
            await exchanges.step()
        until = loop.time() + estimate.last_wait_s
        while not self.arrived and request.result is not None and loop.time() < until:
            await exchanges.step(until)
        if self.arrived:
            return request.result or TrialResult("sent")
        return request.result

    def _record(self, answer: TrialResult | None, sent: int, began: float) -> Outcome:
        """`answer`: to the last order."""
        outcome: Outcome = "error"
        if self.arrived:
            outcome = "arrived"
        elif answer is not None and answer.outcome == "sent":
            outcome = "missing"
        elif answer is not None and answer.outcome == "denied":
            outcome = "denied"
        self.client.context.recorder.add(
            ErrorTrial(
                probe=ErrorTrials.name,
                family=4,
                asked=str(self.target.endpoint),
                direction="in",
                quotes=self.quotes,
                local=str(self.client.local),
                mapped=str(self.mapped),
                read=self.read,
                sent=sent,
                outcome=outcome,
                source=self.source,
                detail="the server did not answer" if answer is None and not self.arrived else "",
            ),
            at=began,
        )
        return outcome


async def _outward(context: ProbeContext, target: Target) -> None:
    """Send errors, then have the server tell whether one has come."""
    missing = context.network.missing("raw-packets")
    if missing is not None:
        settle = "the same as root, or with CAP_NET_RAW"
        question = "Does an ICMP error that this machine makes get out (pwnat, as the caller)?"
        context.recorder.add(Gap(probe=ErrorTrials.name, question=question, reason=missing, settle=settle))
        return
    nonce, began = new_nonce(), asyncio.get_running_loop().time()
    with await open_stun_client(context) as client:
        sent, left, answer = 0, 0, await _told(client, target, nonce)  # from now on the server listens
        while sent < context.estimate.copies() and answer is not None and answer.outcome == "missing":
            packet = crafted_error(client.local.host, target.endpoint, pwnat.TARGETS[0], nonce)
            left = 0
            for _ in range(min(MAX_COPIES, context.estimate.copies() - sent)):
                left += context.network.send_packet(packet) is None
                await asyncio.sleep(context.estimate.gap_s)
            sent += left
            await asyncio.sleep(context.estimate.rtt_s / 2)
            answer = await _told(client, target, nonce)
            if not left:
                break
        told = None if answer is None else answer.outcome
        arrived = told == "arrived"
        echoed = None if arrived else await _echoed(context, target)
        context.recorder.add(
            ErrorTrial(
                probe=ErrorTrials.name,
                family=4,
                asked=str(target.endpoint),
                direction="out",
                local=client.local.host,
                mapped=None if answer is None or answer.seen is None else str(answer.seen),
                sent=sent,
                outcome="arrived" if arrived else "missing" if told == "missing" and left else "error",
                source=answer.source if answer is not None else None,
                echoed=echoed,
            ),
            at=began,
        )


async def _told(client: StunClient, target: Target, nonce: bytes) -> TrialResult | None:
    loop = asyncio.get_running_loop()
    ask = TrialAsk("tell", client.local.port, nonce)
    rto_s = client.context.estimate.retry_s
    request = TrialRequest(ask, target.endpoint, loop.time(), rto_s=rto_s, patience_s=8 * rto_s)
    client.exchanges.start(request, client.socket)
    await client.exchanges.run()
    return request.result


async def _echoed(context: ProbeContext, target: Target) -> bool | None:
    """Does ICMP get to the server and back at all?"""
    try:
        socket = await context.network.open_icmp(family=4)
    except CannotRun:
        return None
    came = asyncio.Event()

    def replied(_: EchoReply) -> None:
        came.set()

    socket.on_reply = replied
    try:
        for sequence in range(context.estimate.copies()):
            socket.send_echo(target.endpoint.host, sequence)
            await asyncio.sleep(context.estimate.gap_s)
        if not came.is_set():
            await asyncio.sleep(context.estimate.last_wait_s)
    finally:
        socket.close()
    return came.is_set()
