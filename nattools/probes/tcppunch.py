"""Can a hole be punched over TCP? The server's second address is the peer, and both connect at once
(RFC 9293 3.5; RFC 5382 REQ-2).

A connection to the first address tells the own port's outside port and carries the order of a dial-back;
from the same port a SYN goes towards the second address with a TTL that lets it die on the way, behind the
own NAT; then the second address connects, from its serving port. What comes about by our own later SYNs
proves nothing, since something listens there: the attempt ends before the first of them is due, and a
connection counts by the nonce that it brings.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.net.base import LowTtlSyn, TcpFailure, TcpStream
from nattools.probes.dialbacks import DialBacks
from nattools.probes.probe import ProbeContext
from nattools.probes.target import BindingQuestion, Target, text_of
from nattools.probes.tcpquestion import KNOWN_PATIENCE_S, ask_over_tcp
from nattools.probes.udppunch import PunchPlan, PunchProbe, record_trial

GUESSES = (2, 3, 4)
"""TTLs to try at once where nothing tells how far the own NAT is."""
ROUNDS = (1, 4, 9)
"""So many attempts side by side, round by round: as many as make silence count on a path that is good."""
IN_TURN = 3
LOSSY_IN_TURN = 4
SPREAD = 4
"""How many ports are predicted once one was not enough. A server attempts each for 3 s, and 16 at a time."""
OPENER_S = 0.03
"""As long as a SYN with a low TTL may still be alive."""
BEFORE_ORDER_S = 0.05
WINDOW_S = 0.9
REPEATED_S = 0.98
"""A SYN is repeated after a second (RFC 6298 2.1), then with the ordinary TTL."""
PROOF_S = 1.5
"""For the nonce on a connection that is there: a segment may be lost."""

Outcome = Literal["punched", "silent", "refused", "reached", "denied", "error"]


class _Attempt(msgspec.Struct, eq=False):
    """One fresh port with one TTL, and what came of it."""

    target: Target
    towards: Endpoint
    began: float
    ttl: int
    sure: bool
    local: Endpoint | None = None
    mapped: Endpoint | None = None
    aimed: tuple[int, ...] = ()
    sent: int = 0
    outcome: Outcome = "error"
    detail: str = ""


class TcpPunch(PunchProbe):
    """Tries until a hole is punched or there were attempts enough; where the port is predicted, one after the
    other, since each takes a port."""

    name = "punch-tcp"
    text = "can a hole be punched over TCP?"
    transport = "tcp"
    capability = "ttl"
    after = ("mapping-tcp",)

    async def punch(self, context: ProbeContext, target: Target, plan: PunchPlan) -> None:
        """In rounds, as many attempts as make silence count."""
        assert target.other is not None
        towards = Endpoint(target.other.host, target.endpoint.port)
        if 3 * (context.estimate.lowest_s or 0.0) + BEFORE_ORDER_S > WINDOW_S:
            why = "the round trip is too long: both SYNs must cross before the first one is repeated"
            record_trial(context, target, towards, "not tried", why)
            return
        ttls = plan.ttls or GUESSES
        rounds: tuple[int, ...] = ROUNDS if len(plan.ttls) == 1 else (1, 1)
        if plan.predicts:
            rounds = (1,) * (LOSSY_IN_TURN if context.estimate.lost else IN_TURN)
        for number, side_by_side in enumerate(rounds):
            attempts = [
                _Attempt(target, towards, asyncio.get_running_loop().time(), ttl, plan.sure)
                for ttl in ttls
                for _ in range(side_by_side)
            ]
            await _all(context, plan, attempts, spread=number > 0)
            if any(attempt.outcome in ("punched", "denied") for attempt in attempts):
                return


async def _all(context: ProbeContext, plan: PunchPlan, attempts: list[_Attempt], *, spread: bool) -> None:
    """Side by side, or one after the other where the next port is predicted; the first that gets through ends
    the others."""
    if plan.predicts:
        for attempt in attempts:
            await _try(context, attempt, plan, spread=spread)
            if attempt.outcome == "punched":
                return
        return
    async with asyncio.TaskGroup() as group:
        waiting = {group.create_task(_try(context, attempt, plan, spread=spread)) for attempt in attempts}
        while waiting and not any(attempt.outcome == "punched" for attempt in attempts):
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()


async def _try(context: ProbeContext, attempt: _Attempt, plan: PunchPlan, *, spread: bool) -> None:
    question = BindingQuestion(attempt.target.endpoint, "control")
    stream = await ask_over_tcp(context, question, timeout_s=KNOWN_PATIENCE_S)
    if isinstance(stream, TcpFailure):
        attempt.detail = f"the server's first address could not be reached: {stream.outcome}"
    else:
        try:
            attempt.local, attempt.mapped = stream.local, question.outside(stream.local)
            if attempt.mapped is None:
                attempt.detail = "the server did not report the outside port"
            else:
                attempt.aimed = plan.ports(attempt.mapped.port, SPREAD if spread else 1)
                await _open(context, attempt, stream)
        finally:
            stream.abort()
    _record(context, attempt)


async def _open(context: ProbeContext, attempt: _Attempt, stream: TcpStream) -> None:
    """Send the opener, have the other side connect, and see what comes of it."""
    backs = DialBacks()
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(backs.listen_to(stream))
        opening = group.create_task(_connect(context, attempt))
        await asyncio.wait({opening}, timeout=BEFORE_ORDER_S)
        if not opening.done():
            for port in attempt.aimed:
                backs.order(stream, port, change_address=True)
            backs.ask_for_receipt(stream)
            attempt.sent = 1
        made = await opening
        in_time = loop.time() - began < REPEATED_S  # a busy machine may have been late to end the attempt
        if not isinstance(made, TcpFailure) and attempt.sent and in_time:
            await _prove(made, backs)
        elif not isinstance(made, TcpFailure):
            made.abort()
        reader.cancel()
    _judge(attempt, made, backs)


async def _connect(context: ProbeContext, attempt: _Attempt) -> TcpStream | TcpFailure:
    assert attempt.local is not None
    try:
        return await context.network.connect_tcp(
            attempt.towards,
            host=attempt.local.host,
            port=attempt.local.port,
            interface=context.interface,
            timeout_s=WINDOW_S,
            opener=LowTtlSyn(attempt.ttl, OPENER_S),
        )
    except CannotRun as error:
        return TcpFailure("error", str(error))


async def _prove(stream: TcpStream, backs: DialBacks) -> None:
    """Does this connection bring the nonce, or does the server say that it made none?"""
    async with asyncio.TaskGroup() as group:
        backs.greet(stream, group)
        await backs.news.wait(PROOF_S)
        stream.abort()


def _judge(attempt: _Attempt, made: TcpStream | TcpFailure, backs: DialBacks) -> None:
    """The server's word counts only where nothing is here to be seen: the dial-backs to ports that were not
    ours fail in their own ways."""
    attempt.detail = next((result.reason for result in backs.results if result.reason), "")
    said = {result.outcome for result in backs.results}
    if backs.arrived:
        attempt.outcome, attempt.detail = "punched", ""
    elif not isinstance(made, TcpFailure):
        attempt.outcome = "reached"
    elif "denied" in said:
        attempt.outcome = "denied"
    elif not attempt.sent or made.outcome == "error":
        attempt.outcome, attempt.detail = "error", made.detail or made.outcome
    elif not backs.receipt.is_set:
        attempt.outcome, attempt.detail = "error", "the server did not confirm the order"
    elif said == {"refused"}:
        attempt.outcome = "refused"
    else:
        attempt.outcome, attempt.detail = "silent", "" if made.outcome == "timeout" else made.detail


def _record(context: ProbeContext, attempt: _Attempt) -> None:
    record_trial(
        context,
        attempt.target,
        attempt.towards,
        attempt.outcome,
        attempt.detail,
        began=attempt.began,
        local=text_of(attempt.local),
        mapped=text_of(attempt.mapped),
        ttl=attempt.ttl,
        sure=attempt.sure,
        openers=1 if attempt.aimed else 0,
        aimed=attempt.aimed,
        sent=attempt.sent,
    )
