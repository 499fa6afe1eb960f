"""Can a hole be punched over UDP? The server's second address is the peer (RFC 5128 3.3).

The port has never written there, so that whatever filters here knows nothing of it. It sends an opener
towards it, and has it send a nonce by a dial-back that the first address is asked for: where that gets in, a
hole was punched. An ordinary packet and its answer then prove the other way.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Literal

import msgspec

from nattools.model.endpoint import Endpoint
from nattools.model.nat import Nat
from nattools.model.observation import AnyObservation, PunchTrial
from nattools.probes.dialbacks import arrival_in, start_order, why_not_sent
from nattools.probes.probe import LaneProbe, ProbeContext
from nattools.probes.question import StunClient, open_stun_client
from nattools.probes.target import Target, text_of
from nattools.protocols import dialback

ATTEMPTS = 3
LOSSY_ATTEMPTS = 6
SPREAD = 8
"""How many ports are predicted once one was not enough: as many as others may have taken meanwhile, and one.
A server accepts no more orders at a time."""
FIRST_COPIES = 4
SPREAD_COPIES = 2


class PunchPlan(msgspec.Struct, frozen=True):
    """`ttls`: what may bring a packet through the own outermost NAT and not to the other side, the likeliest
    first; none: that is not known, or need not be. `sure`: the first is known to pass. `step`: how far the
    outside port of a new destination is from the one allocated last (0: all have the same)."""

    ttls: tuple[int, ...] = ()
    sure: bool = False
    step: int = 0

    @property
    def predicts(self) -> bool:
        """Is the port a guess, which others may spoil by taking it?"""
        return self.step != 0

    def ports(self, last: int, count: int = 1) -> tuple[int, ...]:
        """The outside ports to write to, where `last` is the one allocated last: up to `count` if they are
        predicted."""
        if not self.predicts:
            return (last,)
        ahead = (last + self.step * (1 + more) for more in range(count))
        return tuple(port for port in ahead if 0 < port < 65536) or (last,)


class _Attempt(msgspec.Struct, eq=False):
    """One fresh port, and what it found. `nonces`: which outside port each was sent to."""

    client: StunClient
    target: Target
    towards: Endpoint
    began: float
    mapped: Endpoint | None = None
    ttl: int | None = None
    openers: int = 0
    aimed: tuple[int, ...] = ()
    sent: int = 0
    hit: int | None = None
    failure: str = ""
    seen: Endpoint | None = None
    nonces: dict[bytes, int] = msgspec.field(default_factory=dict)
    orders: list[dialback.DialBackRequest] = msgspec.field(default_factory=list)

    @property
    def silent(self) -> bool:
        """Was it tried, and nothing got in?"""
        return self.hit is None and not self.failure and self.sent > 0

    @property
    def missed(self) -> bool:
        """Is the outside port known to have been another than those written to?"""
        return self.seen is not None and self.seen.port not in self.aimed

    def take(self, data: bytes, source: Endpoint) -> None:
        """What the socket gets beside answers to its questions."""
        arrival = arrival_in(data)
        if arrival is not None and source == self.towards and arrival.nonce in self.nonces:
            self.hit = self.nonces[arrival.nonce]
            self.client.exchanges.wake()

    def open(self, copies: int) -> None:
        """Send openers."""
        self.openers += copies
        for _ in range(copies):
            self.client.send_opener(self.towards, self.ttl)

    def order(self, ports: tuple[int, ...], copies: int) -> None:
        """Have the second address write to these outside ports."""
        estimate = self.client.context.estimate
        self.aimed, self.orders = ports, []
        spacing_ms = max(1, min(dialback.MAX_SPACING_MS, round(estimate.gap_s * 1000)))
        for port in ports:
            nonce = dialback.new_nonce()
            self.nonces[nonce] = port
            ask = dialback.Ask("udp", port, nonce, True, True, copies, spacing_ms)
            self.orders.append(start_order(self.client, self.target, ask, estimate.retry_s))

    async def wait(self, copies: int) -> None:
        """Until the nonce is here, or all that was ordered has been sent and had its time."""
        loop, exchanges = asyncio.get_running_loop(), self.client.exchanges
        while self.hit is None and not exchanges.idle:
            await exchanges.step()
        ordered = not all(why_not_sent(order) for order in self.orders)
        self.sent += copies if ordered or self.hit is not None else 0
        until = loop.time() + self.client.context.estimate.last_wait_s
        while self.hit is None and ordered and loop.time() < until:
            await exchanges.step(until)
        if self.hit is None and not ordered:
            told = next((order for order in self.orders if order.result is not None), self.orders[0])
            self.failure = why_not_sent(told)


PunchPlanner = Callable[[Nat | None, Target, Sequence[AnyObservation]], PunchPlan | str]


def record_trial(
    context: ProbeContext,
    target: Target,
    towards: Endpoint,
    outcome: Literal["punched", "silent", "refused", "reached", "denied", "error", "not tried"],
    detail: str = "",
    *,
    began: float | None = None,
    **seen: Any,
) -> None:
    """Put on record what became of a hole towards an endpoint; `seen`: other fields of the observation."""
    now = asyncio.get_running_loop().time()
    context.recorder.add(
        PunchTrial(
            probe="punch",
            transport=target.transport,
            family=context.family,
            asked=str(target.endpoint),
            towards=str(towards),
            outcome=outcome,
            detail=detail,
            took_s=0.0 if began is None else round(now - began, 6),
            **seen,
        ),
        at=began,
    )


class PunchProbe(LaneProbe):
    """Punches a hole towards a server's second address, where the NAT's behaviour tells which port to aim at.
    Of both transports one predicts ports at a time: many NATs count for both.

    `planner` gives the plan from the findings so far, or why there is none."""

    commands = frozenset({"diagnose"})

    def __init__(self, planner: PunchPlanner) -> None:
        self._planner = planner

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """The best one with two addresses that dials back."""
        return [each for each in ranked if each.two_addresses and each.dials_back(self.transport)][:1]

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Plan, and punch."""
        await context.loss_known.wait()
        target = targets[0]
        plan = self._plan(context, target)
        if isinstance(plan, str) and self.transport == "tcp":
            await context.estimate.tcp_questions.over()  # each answer shows one more port
            plan = self._plan(context, target)
        if isinstance(plan, str):
            await self.record_missing(context, targets, plan)
            return
        async with context.prediction_lock if plan.predicts else nullcontext():
            await self.punch(context, target, plan)

    def _plan(self, context: ProbeContext, target: Target) -> PunchPlan | str:
        nat = context.findings().get((target.transport, target.family))
        return self._planner(nat, target, context.recorder.observations)

    async def record_missing(self, context: ProbeContext, targets: Sequence[Target], reason: str) -> None:
        """No hole was punched, and why."""
        await context.loss_known.wait()
        for target in targets:
            assert target.other is not None
            record_trial(context, target, target.other, "not tried", reason)

    @abstractmethod
    async def punch(self, context: ProbeContext, target: Target, plan: PunchPlan) -> None:
        """Try it."""


class UdpPunch(PunchProbe):
    """Tries until a hole is punched, or silence counts. Where the port is predicted, a fresh one is tried as
    long as others took the ports that were predicted."""

    name = "punch"
    text = "can a hole be punched over UDP?"
    commands = frozenset({"diagnose", "ipv6"})
    transport = "udp"
    tells_loss = False

    async def punch(self, context: ProbeContext, target: Target, plan: PunchPlan) -> None:
        """Several attempts, if need be."""
        for number in range(LOSSY_ATTEMPTS):
            attempt = await _try(context, target, plan, spread=number > 0)
            if attempt.hit is not None or (attempt.silent and not attempt.missed and not plan.predicts):
                return
            if number + 1 >= ATTEMPTS and not context.estimate.lost:
                return


async def _try(context: ProbeContext, target: Target, plan: PunchPlan, *, spread: bool) -> _Attempt:
    assert target.other is not None
    with await open_stun_client(context) as client:
        attempt = _Attempt(client, target, target.other, asyncio.get_running_loop().time())
        client.on_other = attempt.take
        control = await client.expect(client.prepare(target.endpoint, "control"))
        attempt.mapped = control.outside(client.local)
        if attempt.mapped is None:
            attempt.failure = "the server did not report the outside port"
        else:
            attempt.ttl = plan.ttls[0] if plan.ttls else None
            await _insist(attempt, plan.ports(attempt.mapped.port, SPREAD if spread else 1))
        _record(context, attempt)
        return attempt


async def _insist(attempt: _Attempt, ports: tuple[int, ...]) -> None:
    """Rounds of openers and dial-backs. After the first one an ordinary packet asks which port it was, and
    the openers have the ordinary TTL: the own NAT may be further away than it seemed."""
    estimate = attempt.client.context.estimate
    copies = FIRST_COPIES if len(ports) == 1 else SPREAD_COPIES
    while not attempt.failure and (not attempt.sent or attempt.sent < 2 * estimate.copies()):
        attempt.open(copies)
        attempt.order(ports, copies)
        await attempt.wait(copies)
        if attempt.seen is None:
            question = attempt.client.prepare(attempt.towards, "control")
            attempt.seen = (await attempt.client.expect(question)).mapped
        if attempt.hit is not None or attempt.missed or len(ports) > 1:
            return
        attempt.ttl, copies = None, dialback.MAX_COPIES


def _record(context: ProbeContext, attempt: _Attempt) -> None:
    record_trial(
        context,
        attempt.target,
        attempt.towards,
        "punched" if attempt.hit is not None else "error" if attempt.failure else "silent",
        attempt.failure,
        began=attempt.began,
        local=str(attempt.client.local),
        mapped=text_of(attempt.mapped),
        ttl=attempt.ttl,
        openers=attempt.openers,
        aimed=attempt.aimed,
        sent=attempt.sent,
        answered=True if attempt.seen is not None else None,
        seen=text_of(attempt.seen),
    )
