"""What stands on the way out: who answers Time Exceeded at each hop, and how far the filtering reaches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import takewhile

import msgspec

from nattools.model.endpoint import Endpoint
from nattools.model.observation import Gap, Hop, Opener
from nattools.net.base import IcmpError, UdpSocket
from nattools.net.wait import AllEvents
from nattools.probes.hairpin import indication
from nattools.probes.probe import ProbeContext
from nattools.probes.question import Question, StunClient, open_stun_client
from nattools.probes.target import Target

FARTHEST = 5
COPIES = 3
LOSSY_COPIES = 7
OPENER_COPIES = 3


async def layers(context: ProbeContext, target: Target) -> list[Hop]:
    """The first hops towards the server, side by side, each TTL from a port of its own (many routers quote
    no more than the ports of a packet)."""
    reason = context.network.missing("icmp-errors")
    if reason is not None:
        number, at_s = context.recorder.stamp()
        context.recorder.add(
            Gap(
                id=number,
                probe="layers",
                at_s=at_s,
                question="Which routers stand on the way out, and does a second NAT?",
                reason=reason,
                settle="the same diagnosis on a Linux machine of this network",
            )
        )
        return []
    hops = await _walk(context, target)
    for hop in hops:
        number, at_s = context.recorder.stamp()
        context.recorder.add(_numbered(hop, number, at_s))
    return hops


def _numbered(hop: Hop, number: int, at_s: float) -> Hop:
    return Hop(
        id=number,
        probe="layers",
        at_s=at_s,
        family=hop.family,
        destination=hop.destination,
        ttl=hop.ttl,
        address=hop.address,
        sent=hop.sent,
        rtt_s=hop.rtt_s,
    )


class _Step(msgspec.Struct, eq=False):
    """A question that is to die after `question.ttl` hops, and who told of it, after how long."""

    client: StunClient
    question: Question
    began: float
    told: bool = False
    offender: str | None = None
    rtt_s: float | None = None

    def exceeded(self, error: IcmpError) -> None:
        """An ICMP error came."""
        if error.kind == "time-exceeded" and not self.told:
            self.told, self.offender = True, error.offender
            self.rtt_s = round(asyncio.get_running_loop().time() - self.began, 6)
            self.question.done.set()


async def _walk(context: ProbeContext, target: Target) -> list[Hop]:
    """Who answers at each distance before the server itself does."""
    now = asyncio.get_running_loop().time()
    clients = [await open_stun_client(context) for _ in range(FARTHEST)]
    try:
        steps = [_Step(client, client.prepare(target.endpoint, "control"), now) for client in clients]
        for ttl, step in enumerate(steps, 1):
            step.question.ttl = ttl
            step.client.socket.on_icmp = step.exceeded
        waiting = steps
        for _ in range(LOSSY_COPIES if context.estimate.lost else COPIES):
            for step in waiting:
                step.client.put(step.question)
            if await AllEvents([step.question.done for step in waiting]).wait(context.estimate.retry_s):
                break
            waiting = [step for step in waiting if not step.question.done.is_set]
    finally:
        for client in clients:
            client.close()
    return [_hop(step, target) for step in takewhile(lambda step: step.question.answer is None, steps)]


def _hop(step: _Step, target: Target) -> Hop:
    return Hop(
        family=target.family,
        destination=str(target.endpoint),
        ttl=step.question.ttl or 0,
        address=step.offender,
        sent=len(step.question.sent_at),
        rtt_s=step.rtt_s,
    )


def opener_ttls(hops: list[Hop], is_public: Callable[[str], bool]) -> list[int]:
    """The TTLs worth trying: from one beyond the last router with an inside address to the first one with a
    public address. All NATs stand before that; a router that keeps silent may be one of them."""
    inside = [hop.ttl for hop in hops if hop.address is not None and not is_public(hop.address)]
    outside = [hop.ttl for hop in hops if hop.address is not None and is_public(hop.address)]
    last_inside = max((ttl for ttl in inside if not outside or ttl < outside[0]), default=1)
    return list(range(last_inside + 1, (outside[0] if outside else last_inside + 1) + 1))


async def opener(context: ProbeContext, target: Target, ttl: int) -> None:
    """Send towards the server's other address with a small TTL, then have it send from there: does that
    get in? If so, the packet passed every NAT and firewall that filters before it died."""
    assert target.other is not None
    client = await open_stun_client(context)
    try:
        control = await client.expect(client.prepare(target.endpoint, "control"))
        client.record(control)
        if control.answer is None:
            return
        _send_openers(client.socket, target.other, ttl)
        question = client.prepare(target.endpoint, "filter-address", change_address=True, change_port=True)
        await client.try_out(question)
        number, at_s = context.recorder.stamp()
        context.recorder.add(
            Opener(
                id=number,
                probe="layers",
                at_s=at_s,
                family=context.family,
                local=str(client.local),
                towards=str(target.other),
                ttl=ttl,
                sent=OPENER_COPIES,
                opened=_opened(question.source, target.other, question.outcome),
            )
        )
    finally:
        client.close()


def _opened(source: Endpoint | None, towards: Endpoint, outcome: str) -> bool | None:
    if source == towards:
        return True
    return False if outcome == "timeout" else None


def _send_openers(socket: UdpSocket, towards: Endpoint, ttl: int) -> None:
    for _ in range(OPENER_COPIES):
        socket.send(indication(), towards, ttl=ttl)
