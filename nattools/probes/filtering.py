"""Who may send in, over UDP (RFC 4787 5) and over TCP (RFC 5382 4.3)?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar, Literal

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.observation import DialBack, Gap
from nattools.net.base import TcpFailure, TcpStream
from nattools.probes.dialbacks import DialBackOutcome, DialBacks
from nattools.probes.probe import EVERY_COMMAND, LaneProbe, ProbeContext
from nattools.probes.question import Question, open_stun_client
from nattools.probes.target import BindingQuestion, Lane, Target
from nattools.probes.tcpquestion import KNOWN_PATIENCE_S, ask_over_tcp, connected_patience_s
from nattools.protocols import dialback

ORDERS = 3
ROUNDS = 2
MOST_UDP_SERVERS = 2
OWN_SERVER = "`nattools serve` on a machine with two public addresses"


class _Udp(LaneProbe):
    """Asks for an answer from another address and port, or from another port of the same address.

    Each test has a port of its own, so that no test opens the filter for the next; each port first asks the
    server plainly (purpose "control"), which makes the mapping that the test is about."""

    commands = EVERY_COMMAND
    transport = "udp"
    tells_loss = False
    purpose: ClassVar[Literal["filter-address", "filter-port"]]

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """With the best server; if that one answers from where it was asked, it ignores CHANGE-REQUEST and
        proves nothing, so another is asked; and if it is silent, which may be its own fault."""
        for target in targets[:MOST_UDP_SERVERS]:
            question = await self._ask(context, target)
            if question is None or question.outcome not in ("answered", "timeout"):
                continue
            silent = question.answer is None and not target.nattools
            if question.source != question.asked and not silent:
                return

    async def _ask(self, context: ProbeContext, target: Target) -> Question | None:
        """None if the server answered no plain question before it, or none after it."""
        with await open_stun_client(context) as client:
            control = await client.expect(client.prepare(target.endpoint, "control"))
            client.record(control)
            if control.answer is None:
                return None
            question = client.prepare(
                target.endpoint,
                self.purpose,
                change_address=self.purpose == "filter-address",
                change_port=True,
            )
            await client.try_out(question)
            if question.answer is None:
                await context.loss_known.wait()
                await client.try_out(question)
            if question.server_gone:
                return None
            client.record(question)
            return question


class FilterAddress(_Udp):
    """May another address send in (RFC 5780 4.4)?"""

    name = "filter-address"
    text = "may another address send in?"
    purpose = "filter-address"

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """Those that can answer from another address."""
        return [target for target in ranked if target.two_addresses]

    def gap(self, lane: Lane, targets: Sequence[Target]) -> Gap | None:
        """No server can answer from another address."""
        if self.servers(targets):
            return None
        return Gap(
            probe="plan",
            question=f"Who may send in ({lane.name})?",
            reason="no server here can answer from another address (RFC 5780)",
            settle=f"a STUN server that supports RFC 5780, such as {OWN_SERVER}",
        )


class FilterPort(_Udp):
    """May another port of the same address send in?"""

    name = "filter-port"
    text = "may another port of the same address send in?"
    purpose = "filter-port"

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """Those that can answer from another port."""
        return [target for target in ranked if target.other is not None]


class _Tcp(LaneProbe):
    """Has the server connect from another port, and from its other address if `change_address`. STUN over TCP
    cannot ask that (an answer comes on the connection of its question), so a nattools server dials back: to
    the outside address of a port that listens here and whose connection to the server made the mapping."""

    transport = "tcp"
    commands = frozenset({"diagnose", "nat", "punch", "pwnat", "libp2p"})
    change_address: ClassVar[bool]

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Once UDP has shown what the path loses, an order that got lost is given again, and attempts that
        are too few for their silence to count are added to."""
        silent = 0
        for _ in range(ORDERS):
            outcome, attempts = await _try(context, targets[0], self.change_address)
            if outcome not in ("timeout", "error"):
                return
            silent += attempts if outcome == "timeout" else 0
            await context.loss_known.wait()
            if silent >= context.estimate.copies():
                return


class FilterPortTcp(_Tcp):
    """May another port of the same address connect?"""

    name = "filter-port-tcp"
    text = "may another port of the same address connect?"
    change_address = False

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """The best one that dials back."""
        return [target for target in ranked if target.dials_back("tcp")][:1]

    def gap(self, lane: Lane, targets: Sequence[Target]) -> Gap | None:
        """No server dials back."""
        if self.servers(targets):
            return None
        question, reason = f"Who may connect in ({lane.name})?", "no server here connects back"
        return Gap(probe="plan", question=question, reason=reason, settle=OWN_SERVER)


class FilterAddressTcp(_Tcp):
    """May another address connect?"""

    name = "filter-address-tcp"
    text = "may another address connect?"
    change_address = True

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """The best one that dials back from another address."""
        return [target for target in ranked if target.dials_back("tcp") and target.two_addresses][:1]


async def _try(context: ProbeContext, target: Target, change_address: bool) -> tuple[DialBackOutcome, int]:
    """What came of an order, and how many attempts it was for. "error": the order itself failed."""
    question = BindingQuestion(target.endpoint, "control")
    stream = await ask_over_tcp(context, question, timeout_s=KNOWN_PATIENCE_S)
    if isinstance(stream, TcpFailure):
        return "error", 0
    try:
        mapped = question.outside(stream.local)
        if mapped is None:
            return "error", 0
        return await _dialled(context, target, stream, mapped, change_address)
    finally:
        stream.abort()


async def _dialled(
    context: ProbeContext, target: Target, stream: TcpStream, mapped: Endpoint, change_address: bool
) -> tuple[DialBackOutcome, int]:
    backs = DialBacks()
    try:
        async with asyncio.TaskGroup() as group:
            listener = await context.network.listen_tcp(
                family=context.family,
                host=stream.local.host,
                port=stream.local.port,
                interface=context.interface,
                on_stream=lambda incoming: backs.greet(incoming, group),
            )
            reader = group.create_task(backs.listen_to(stream))
            try:
                asked = await _ask(context, stream, mapped, backs, change_address)
            finally:
                listener.close()
                stream.abort()
                reader.cancel()
    except* CannotRun:
        asked = 0
    if not asked:
        return "denied", 0  # the port cannot be listened on here: then there is nothing to observe
    _record(context, target, stream.local, mapped, backs, asked, change_address)
    return backs.outcome(), asked


async def _ask(
    context: ProbeContext, stream: TcpStream, mapped: Endpoint, backs: DialBacks, change_address: bool
) -> int:
    """Ask for as many attempts as make silence count; returns how many. They come in two rounds at least:
    what is kept out because the NAT has just lost the mapping is no filter's, and then the next round finds
    the connection dead, or another mapping, or gets in by one made anew."""
    asked = rounds = 0
    while not backs.over and (rounds < ROUNDS or asked < context.estimate.copies()):
        rounds += 1
        left = max(1, context.estimate.copies() - asked)
        copies = min(dialback.MAX_COPIES, left if rounds > 1 else (left + 1) // 2)
        spacing_ms = max(1, round(context.estimate.gap_s * 1000))
        change = {"change_address": change_address, "change_port": True}
        backs.news.clear()
        backs.order(stream, mapped.port, copies=copies, spacing_ms=spacing_ms, **change)
        backs.ask_for_receipt(stream)
        asked += copies
        if not await backs.receipt.wait(connected_patience_s(context)) or backs.seen != mapped:
            backs.doubt()
            return asked
        wait_s = copies * spacing_ms / 1000
        if rounds >= ROUNDS and asked >= context.estimate.copies():
            wait_s += context.estimate.last_wait_s - context.estimate.rtt_s  # one has passed with the receipt
        await backs.news.wait(wait_s)
    return asked


def _record(
    context: ProbeContext,
    target: Target,
    local: Endpoint,
    mapped: Endpoint,
    backs: DialBacks,
    asked: int,
    change_address: bool,
) -> None:
    origin = next((result.origin for result in backs.results if result.origin is not None), None)
    if origin is None:
        host = target.other.host if change_address and target.other is not None else target.endpoint.host
        origin = Endpoint(host, 0)
    context.recorder.add(
        DialBack(
            probe="filtering-tcp",
            transport="tcp",
            family=context.family,
            target=str(mapped),
            origin=str(origin),
            change_address=change_address,
            change_port=True,
            fresh=True,
            outcome=backs.outcome(),
            sent=asked,
            local=str(local),
            detail=next((result.reason for result in backs.results if result.reason), ""),
        )
    )
