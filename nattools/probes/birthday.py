"""Are random ports met? Birthday probing (RFC 5128 3.5 has its elements) with the server's second address.

Many own ports send an opener to one endpoint of that address. The first address is asked to have this very
endpoint write to ports of our own outside address, picked at random and none twice, until a nonce gets in.
Where none does, ordinary packets ask some of the ports which outside ports they had, and the second address
writes to these: that tells bad luck from a network that lets nobody in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import msgspec

from nattools.chance import chance
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family
from nattools.model.observation import BirthdayTrial
from nattools.probes.dialbacks import arrival_in, start_order, why_not_sent
from nattools.probes.probe import LaneProbe, NatFindings, ProbeContext
from nattools.probes.question import StunClient, expect_all, open_stun_client
from nattools.probes.target import Target, text_of
from nattools.protocols import dialback
from nattools.protocols.provenrequest import NO_COOKIE

AT_A_TIME = 2
"""Lists of ports that the server works off side by side; one more may be under way or late."""
FEWEST_SOCKETS = 4
SPARE_SOCKETS = 16
"""Where the system gives no more sockets, so many are given back: the program needs some itself."""
CHECKED = 24
LATE_S = 0.01
"""So much of a delay of its own a sender makes up for."""


class BirthdayPlan(msgspec.Struct, frozen=True):
    """How random ports are to be met: `sockets` own ports, and up to `probes` tries among the ports of `pool`
    (lowest and highest), after `first` of which the own ports are opened once more. `per_s`: packets a second
    at most. `ttl`: what may bring a packet through the own outermost NAT and not further (None: not known).
    """

    pool: tuple[int, int]
    sockets: int
    probes: int
    first: int
    per_s: float
    ttl: int | None = None


class _Order(msgspec.Struct, eq=False):
    """A list of ports that the server is to write to; `before`: how many it was given earlier."""

    request: dialback.DialBackRequest
    before: int
    checks: bool

    @property
    def sent(self) -> int:
        """How many packets the server says that it sent."""
        result = self.request.result
        return self.request.ask.datagrams if result is not None and result.outcome == "sent" else 0


class _Trial:
    """One trial of birthday probing under way; `close` it. `control` asks the server."""

    def __init__(
        self, context: ProbeContext, target: Target, plan: BirthdayPlan, control: StunClient
    ) -> None:
        assert target.other is not None
        self.context = context
        self.target = target
        self.towards = target.other
        self.plan = plan
        self.control = control
        self.began = asyncio.get_running_loop().time()
        self.host: str | None = None
        self.clients: list[StunClient] = []
        self.openers = 0
        self.orders: dict[bytes, _Order] = {}
        self.failure = ""
        self.denied = False
        self.shortage = ""
        self.hit: tuple[StunClient, int, int] | None = None
        self.seen: Endpoint | None = None
        self.checked = 0
        self.open = 0
        self.entered: set[int] = set()

    # --- sockets

    async def begin(self) -> bool:
        """Learn the own outside address, and open the ports; False: there is nothing to go on with."""
        question = self.control.prepare(self.target.endpoint, "control")
        mapped = (await self.control.expect(question)).outside(self.control.local)
        if mapped is None:
            self.failure = "the server did not report the outside address"
            return False
        self.host = mapped.host
        await self._open_ports()
        return not self.failure

    async def _open_ports(self) -> None:
        wanted = self.plan.sockets
        try:
            while len(self.clients) < wanted:
                client = await open_stun_client(self.context)
                self.clients.append(client)
                client.on_other = partial(self._arrived, client)
        except (CannotRun, OSError) as error:
            for client in self.clients[-SPARE_SOCKETS:]:
                client.close()
            del self.clients[-SPARE_SOCKETS:]
            self.shortage = f"{len(self.clients)} of {wanted} ports could be opened: {error}"
            if len(self.clients) < FEWEST_SOCKETS:
                self.failure = self.shortage

    def close(self) -> None:
        """Idempotent."""
        for client in self.clients:
            client.close()

    # --- what arrives

    def _arrived(self, client: StunClient, data: bytes, source: Endpoint) -> None:
        """A nonce that came to one of the many ports."""
        arrival = arrival_in(data)
        order = self.orders.get(arrival.nonce) if arrival is not None else None
        if arrival is None or order is None or source != self.towards:
            return
        ports = order.request.ask.ports
        if arrival.copy >= len(ports):
            return
        if order.checks:
            self.entered.add(ports[arrival.copy])
        elif self.hit is None:
            self.hit = client, ports[arrival.copy], order.before + arrival.copy + 1
        self.control.exchanges.wake()

    def _answered(self, nonce: bytes) -> None:
        """An order is over. One that failed fails the trial."""
        request = self.orders[nonce].request
        result = request.result
        self.failure = why_not_sent(request) or self.failure
        if result is not None and result.outcome != "sent":
            self.denied = result.outcome == "denied"

    # --- what is sent

    async def send_openers(self, ttl: int | None) -> None:
        """One from each port, no faster than agreed."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for client in self.clients:
            client.send_opener(self.towards, ttl)
            self.openers += 1
            due = max(due + 1 / self.plan.per_s, loop.time() - LATE_S)
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def have_written(self, ports: list[int], *, checks: bool = False) -> None:
        """Have the second address write to these, until one got in, or all had time (`checks`: all)."""
        loop, size, exchanges = asyncio.get_running_loop(), dialback.MAX_PORTS, self.control.exchanges
        lists = [tuple(ports[start : start + size]) for start in range(0, len(ports), size)]
        next_at = loop.time()
        while self.hit is None and not self.failure:
            ready = bool(lists) and len(exchanges) <= AT_A_TIME
            if exchanges.idle and not lists:
                await self._last_wait(checks)
                return
            if ready and loop.time() >= next_at:
                next_at = loop.time() + len(lists[0]) / self.plan.per_s
                self._order(lists.pop(0), checks)
            await exchanges.step(next_at if ready else None)

    async def _last_wait(self, checks: bool) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.context.estimate.last_wait_s
        while loop.time() < until and self.hit is None and (not checks or len(self.entered) < self.open):
            await self.control.exchanges.step(until)

    def _cookie(self) -> bytes:
        """What the server has given to an earlier order, if anything."""
        cookies = [order.request.cookie for order in self.orders.values()]
        return next((each for each in reversed(cookies) if each != NO_COOKIE), NO_COOKIE)

    def _order(self, ports: tuple[int, ...], checks: bool) -> None:
        spacing_ms = max(dialback.LEAST_PORTS_SPACING_MS, round(1000 * AT_A_TIME / self.plan.per_s))
        nonce = dialback.new_nonce()
        ask = dialback.Ask("udp", ports[0], nonce, True, True, 1, spacing_ms, ports)
        # The answer comes when all has been sent: nothing is to be repeated before.
        rto_s = self.context.estimate.retry_s + len(ports) * spacing_ms / 1000
        before = sum(order.request.ask.datagrams for order in self.orders.values())
        request = start_order(
            self.control,
            self.target,
            ask,
            rto_s,
            cookie=self._cookie(),
            on_done=partial(self._answered, nonce),
        )
        self.orders[nonce] = _Order(request, before, checks)
        self.context.progress(f"{before} of up to {self.plan.probes} ports tried", None)

    # --- afterwards

    async def confirm(self) -> None:
        """The other way: an ordinary packet from the port that was hit, and its answer."""
        assert self.hit is not None
        question = self.hit[0].prepare(self.towards, "control")
        self.seen = (await self.hit[0].expect(question, copies=4)).mapped

    async def check(self) -> None:
        """Is it bad luck? Write to ports that are known to be open."""
        some = self.clients[:: max(1, len(self.clients) // CHECKED)][:CHECKED]
        asked = [(client, client.prepare(self.towards, "control")) for client in some]
        self.checked = len(asked)
        await expect_all(asked, copies=4)
        known = {q.mapped.port for _, q in asked if q.mapped is not None and q.mapped.host == self.host}
        if known:
            self.open = len(known)
            await self.have_written(sorted(known), checks=True)
            if not any(order.checks and order.sent for order in self.orders.values()):
                self.open = 0

    @property
    def sent(self) -> int:
        """What the second address sent before the check."""
        return sum(order.sent for order in self.orders.values() if not order.checks)

    @property
    def outcome(self) -> Literal["punched", "silent", "denied", "error"]:
        """In one word. An order that came to nothing spoils only a trial without any packets."""
        if self.hit is not None:
            return "punched"
        if self.sent:
            return "silent"
        return "denied" if self.denied else "error"


BirthdayPlanner = Callable[[NatFindings, Family], BirthdayPlan | None]


class Birthday(LaneProbe):
    """Where ports are drawn at random, in the family that the verdicts are about; tried once. It comes last,
    since it takes hundreds of the NAT's mappings. `planner`: None where it is of no use."""

    name = "birthday"
    text = "can a random port be hit by trying many?"
    commands = frozenset({"diagnose"})
    transport = "udp"
    last = True

    def __init__(self, planner: BirthdayPlanner) -> None:
        self._planner = planner

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """The best one that writes to many ports."""
        return [target for target in ranked if target.meets_ports][:1]

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """With all that was planned, if need be."""
        plan = self._planner(context.findings(), context.family)
        if plan is None:
            return
        with await open_stun_client(context) as control:
            trial = _Trial(context, targets[0], plan, control)
            try:
                if await trial.begin():
                    await _run(trial)
                _record(trial)
            finally:
                trial.close()


async def _run(trial: _Trial) -> None:
    """In two halves. Before the second one the openers have the ordinary TTL: the own NAT may be further away
    than it seemed, and openers may have been lost."""
    low, high = trial.plan.pool
    ports = chance().sample(range(low, high + 1), min(trial.plan.probes, high - low + 1))
    half = len(ports) if len(ports) <= trial.plan.first else trial.plan.first
    await trial.send_openers(trial.plan.ttl)
    await trial.have_written(ports[:half])
    if trial.hit is None and not trial.failure and ports[half:]:
        await trial.send_openers(None)
        await trial.have_written(ports[half:])
    if trial.hit is not None:
        await trial.confirm()
    elif trial.sent and not trial.failure:
        await trial.check()


def _record(trial: _Trial) -> None:
    plan, recorder = trial.plan, trial.context.recorder
    client, port, place = trial.hit or (None, None, trial.sent)
    recorder.add(
        BirthdayTrial(
            probe="birthday",
            family=trial.context.family,
            asked=str(trial.target.endpoint),
            host=trial.host,
            towards=str(trial.towards),
            pool=plan.pool,
            ttl=plan.ttl,
            wanted=plan.sockets,
            sockets=len(trial.clients),
            openers=trial.openers,
            planned=plan.probes,
            sent=place,
            outcome=trial.outcome,
            local=None if client is None else str(client.local),
            hit=port,
            answered=True if trial.seen is not None else None,
            seen=text_of(trial.seen),
            checked=trial.checked,
            open=trial.open,
            entered=len(trial.entered),
            took_s=round(asyncio.get_running_loop().time() - trial.began, 6),
            detail="; ".join(dict.fromkeys(text for text in (trial.failure, trial.shortage) if text)),
        ),
        at=trial.began,
    )
