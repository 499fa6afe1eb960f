"""Which routers are on the path: who answers Time Exceeded at each hop, and how far does filtering reach?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import takewhile

import msgspec

from nattools.model.endpoint import Endpoint
from nattools.model.observation import Binding, Hop, Opener
from nattools.net.addresses import is_squatted
from nattools.net.base import IcmpError
from nattools.net.eventloop import AllEvents
from nattools.probes.estimate import BURST_S, FLOOR_S
from nattools.probes.probe import LaneProbe, ProbeContext
from nattools.probes.question import Question, StunClient, open_stun_client
from nattools.probes.target import Target

FARTHEST = 5
COPIES = 3
LOSSY_COPIES = 7
OPENER_COPIES = 3
ON_LINK_GAP_S = 0.004
DISCARD = 9
"""RFC 863: a port that NATs give to nobody."""
HERE, NEXT_ROUTER = 1, 2
"""TTLs of a packet that passes no router, and of one that passes the next one alone."""


class Layers(LaneProbe):
    """The first hops towards the server, side by side, each TTL from a port of its own (many routers quote no
    more than the ports of a packet); whether the next router has the outside address; and where the addresses
    tell how far the outermost NAT is, proof of it by an opener."""

    name = "layers"
    text = "which routers are on the path?"
    transport = "udp"
    capability = "icmp-errors"
    question = "Which routers are on the path, and is one of them a second NAT?"
    settle = "the same diagnosis on a Linux machine in this network"

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Hops first, then openers."""
        hops = [context.recorder.add(hop) for hop in await walk(context, targets[0].endpoint)]
        async with asyncio.TaskGroup() as group:
            group.create_task(_ask_next_router(context, targets[0], hops))
            group.create_task(_try_openers(context, targets[0], hops))

    async def record_missing(self, context: ProbeContext, targets: Sequence[Target], reason: str) -> None:
        """An opener needs no ICMP errors."""
        await super().record_missing(context, targets, reason)
        await _try_openers(context, targets[0], await walk(context, targets[0].endpoint))


async def _try_openers(context: ProbeContext, target: Target, hops: list[Hop]) -> None:
    """Unless each destination gets a port of its own: the server could not answer to the opened one then. A
    TTL with which the server was reached proves nothing: a router on the way sets it anew."""
    expires = {hop.ttl: hop.address is not None for hop in hops}
    if target.two_addresses and not _mapping_varies(context, target):
        async with asyncio.TaskGroup() as group:
            for ttl in _opener_ttls(hops, context.network.is_public):
                if ttl in expires:
                    group.create_task(opener(context, target, ttl, expires=expires[ttl]))


def _mapping_varies(context: ProbeContext, target: Target) -> bool:
    """Did one local port show several outside ports to this server so far? (What other servers say does not
    count: one of them may lie.)"""
    own = {str(corner) for corner in target.corners()}
    mapped = {
        seen.mapped
        for seen in context.recorder.observations
        if isinstance(seen, Binding) and seen.purpose == "mapping" and seen.mapped
        if seen.transport == "udp" and seen.asked in own
    }
    return len(mapped) > 1


class _HopQuestion(msgspec.Struct, eq=False):
    """A question that expires after `question.ttl` hops, and who reported that, after how long."""

    client: StunClient
    question: Question
    began: float
    expired: bool = False
    errors: int = 0
    offender: str | None = None
    rtt_s: float | None = None

    def exceeded(self, error: IcmpError) -> None:
        """An ICMP error came."""
        self.errors += error.kind == "time-exceeded"
        if error.kind == "time-exceeded" and not self.expired:
            self.expired, self.offender = True, error.offender
            self.rtt_s = round(asyncio.get_running_loop().time() - self.began, 6)
            self.question.done.set()


async def walk(context: ProbeContext, towards: Endpoint) -> list[Hop]:
    """Who answers at each distance before the server itself does."""
    with ExitStack() as opened:
        clients = [opened.enter_context(await open_stun_client(context)) for _ in range(FARTHEST)]
        steps = [_to_expire(client, towards, ttl) for ttl, client in enumerate(clients, 1)]
        waiting = steps
        for _ in range(LOSSY_COPIES if context.estimate.lost else COPIES):
            for step in waiting:
                step.client.send(step.question)
            if await AllEvents([step.question.done for step in waiting]).wait(context.estimate.retry_s):
                break
            waiting = [step for step in waiting if not step.question.done.is_set]
    return [_hop(step, towards) for step in takewhile(lambda step: step.question.answer is None, steps)]


def _to_expire(client: StunClient, towards: Endpoint, ttl: int) -> _HopQuestion:
    step = _HopQuestion(client, client.prepare(towards, "control"), asyncio.get_running_loop().time())
    step.question.ttl = ttl
    client.socket.on_icmp = step.exceeded
    return step


async def _ask_next_router(context: ProbeContext, target: Target, hops: list[Hop]) -> None:
    """Has the next router the outside address? What expires there, it says so; what is for itself does not
    expire, whatever its TTL (RFC 1812 5.3.1). Of silence those packets count beside which one to the server
    was answered.
    (Of a router farther away silence would prove less: some translate before they look at the TTL.)"""
    outside, copies = target.mapped, context.estimate.copies()
    if outside is None or not hops or hops[0].address is None or not _same_way(context, outside, target):
        return
    own, wait_s = Endpoint(outside.host, DISCARD), FLOOR_S + 2 * (hops[0].rtt_s or 0.0)
    with await open_stun_client(context) as client, await open_stun_client(context) as other:
        asked, beside = _to_expire(client, own, HERE), _to_expire(other, target.endpoint, HERE)
        for copy in range(copies):
            client.send(asked.question)
            other.send(beside.question)
            if await asked.question.done.wait(ON_LINK_GAP_S if copy < copies - 1 else wait_s):
                break
    if asked.expired or (beside.expired and asked.question.failure is None):
        context.recorder.add(_hop(asked, own, sent=beside.errors))


def _same_way(context: ProbeContext, outside: Endpoint, target: Target) -> bool:
    """Is there a NAT, and does what goes to its outside address leave by the way to the server?"""
    network = context.network
    return outside.host != target.local_host and network.route(outside.host) == network.route(
        target.endpoint.host
    )


def _hop(step: _HopQuestion, towards: Endpoint, *, sent: int | None = None) -> Hop:
    return Hop(
        probe="layers",
        family=towards.family,
        destination=str(towards),
        ttl=step.question.ttl or 0,
        address=step.offender,
        sent=len(step.question.sent_at) if sent is None else sent,
        rtt_s=step.rtt_s,
    )


def _opener_ttls(hops: list[Hop], is_public: Callable[[str], bool]) -> list[int]:
    """The TTLs worth trying: from one beyond the last router with an inside address to the first one with a
    public address. All NATs stand before that; a router that keeps silent may be one of them."""
    known = {hop.ttl: is_public(hop.address) and not is_squatted(hop.address) for hop in hops if hop.address}
    inside = [ttl for ttl, public in known.items() if not public]
    outside = [ttl for ttl, public in known.items() if public]
    last_inside = max((ttl for ttl in inside if not outside or ttl < outside[0]), default=1)
    return list(range(last_inside + 1, (outside[0] if outside else last_inside + 1) + 1))


async def _reaches(client: StunClient, target: Target, ttl: int) -> bool:
    """Is the server reached with this TTL?"""
    question = client.prepare(target.endpoint, "control")
    question.ttl = ttl
    return (await client.try_out(question)).answer is not None


async def opener(
    context: ProbeContext, target: Target, ttl: int, *, expires: bool, copies: int = OPENER_COPIES
) -> None:
    """Send towards the server's other address with a small TTL, then have it send from there: does that
    get in? If so, the packet passed every NAT and firewall that filters before it died. That it dies is
    tried, where no router has said so (`expires`). Where packets were lost, no one burst takes all copies."""
    assert target.other is not None
    with await open_stun_client(context) as client:
        control = await client.expect(client.prepare(target.endpoint, "control"))
        client.record(control)
        if control.answer is None:
            return
        for number in range(copies):
            if number == copies // 2 and context.estimate.lost:
                await asyncio.sleep(BURST_S)
            client.send_opener(target.other, ttl)
        question = client.prepare(target.endpoint, "filter-address", change_address=True, change_port=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(client.try_out(question))
            reached = None if expires else group.create_task(_reaches(client, target, ttl))
        if question.server_gone or (reached is not None and reached.result()):
            return
        opened = True if question.source == target.other else None
        context.recorder.add(
            Opener(
                probe="layers",
                family=context.family,
                local=str(client.local),
                towards=str(target.other),
                ttl=ttl,
                sent=copies,
                opened=False if question.outcome == "timeout" else opened,
            )
        )
