"""One attempt at a connection: introduce, plan, check what can be checked at once, try step after step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from itertools import groupby

from nattools.chance import chance
from nattools.engine.punch.candidates import AttemptContext, Base, EarlyDatagrams, begin_checks, gather
from nattools.engine.punch.localside import LocalSide, RouterMapping, behaviour
from nattools.engine.punch.options import AnnouncedPlan
from nattools.engine.punch.planning import as_told, planned
from nattools.engine.punch.relaying import AFTER_S, BY_TOKENS_S, AttemptRelay
from nattools.engine.punch.relaying import WAIT_S as RELAY_WAIT_S
from nattools.engine.punch.signaling import Signaling, SignalingEnded, Superseded
from nattools.engine.punch.signals import (
    A_PATH,
    MAX_CANDIDATES,
    AttemptAim,
    Introduction,
    without_evidence,
)
from nattools.engine.punch.steprunner import StepRunner
from nattools.engine.punch.timeline import NoPath, Timeline
from nattools.model.punch import PlannedStep, Strategy
from nattools.model.statement import Statement, statement
from nattools.net.addresses import carries_ipv4_over_ipv6
from nattools.protocols import derp, ice
from nattools.traversal.budget import Budget
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.path import IcePath, SelectedPath, strategy_of
from nattools.traversal.plan.steps import Plan
from nattools.traversal.relayaccess import AnyAccess, derp_keys

logger = logging.getLogger(__name__)

LAST_WAIT_S = 1.0
"""After the last step, for what the checks that run beside it may still find."""
MAPPING_WAIT_S = 4.0
"""The same where a router is still being asked for a port."""
ONLY_CHECKS_S = 10.0
"""Where there is no plan, so long the checks go on."""
MAX_URI = 300
CHECKS = 600
"""Packets that ICE's own checks may take: seven for each of 80 pairs."""
CHECKS_BY_TOKENS = 1500
"""The same where they go on for ten minutes, and small steps with them."""


class Attempt:
    """`go` it once. `made`, `sent`, `known_at` (the loop's time at which both sides' candidates were known)
    and `only_relayed` (one of the sides wants a relay alone) tell of it afterwards."""

    def __init__(
        self,
        own: LocalSide,
        partner: Signaling,
        number: int,
        timeline: Timeline,
        announce: Callable[[AnnouncedPlan], None],
        budget: Budget,
        router: RouterMapping | None = None,
        relays: tuple[AnyAccess, ...] = (),
        aim: AttemptAim = A_PATH,
    ) -> None:
        """`relays`: those that this side can use."""
        self.own, self.partner, self.number, self.timeline = own, partner, number, timeline
        self.made: Plan | None = None
        self.leads = False
        self.known_at: float | None = None
        self.runner: StepRunner | None = None
        self.driver: IceDriver | None = None
        self.resumes = False
        self._announce = announce
        self._budget = budget
        self._router = router
        self._relays = relays
        self._aim = aim
        self._relay: AttemptRelay | None = None
        self._peer_relays = False
        self.only_relayed = False
        self._peer_asks = False
        self._answered_at: float | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def sent(self) -> int:
        """Packets of all steps and checks so far."""
        checks = 0 if self.driver is None else self.driver.checks_sent
        return checks + (0 if self.runner is None else self.runner.sent)

    @property
    def why_not_direct(self) -> tuple[Statement, ...]:
        """Why no direct path was found, as far as is known."""
        made, runner = self.made, self.runner
        if made is None:
            return ()
        if runner is None or not runner.tried:
            return _obstacle(made)
        return (statement("direct-failed", steps=_named(runner.tried)), *runner.last)

    # --- the attempt

    async def go(self, introduction: Introduction, bases: list[Base]) -> SelectedPath | NoPath | Superseded:
        """Find a way. Closes the bases' sockets unless the way uses them."""
        early = EarlyDatagrams(bases)
        try:
            peer = await self.partner.introduce(introduction)
        except BaseException:
            close_all(bases)
            raise
        if isinstance(peer, SignalingEnded):
            close_all(bases)
            return NoPath(peer.reasons)
        if isinstance(peer, Superseded):
            close_all(bases)
            return peer
        self.known_at = self._loop.time()
        self.leads = introduction.nonce > peer.nonce
        self.resumes = introduction.resumes and peer.resumes
        self._peer_asks = peer.asks_router
        self.only_relayed = "only" in (introduction.relaying, peer.relaying)
        self.made = planned(introduction, peer, leads=self.leads, aim=self._aim)
        if not self._aim.aside:
            self.timeline.note("behaviour", behaviour(peer.nat), side="there")
        self._tell_plan()
        if introduction.nonce == peer.nonce:
            close_all(bases)
            return NoPath((statement("peer-mirrors"),))
        context = AttemptContext(
            self.own,
            self.partner,
            self.number,
            self.timeline,
            self.made,
            self.leads,
            self.known_at,
            self._budget,
            relays=not self._aim.search and "never" not in (introduction.relaying, peer.relaying),
        )
        self.driver = begin_checks(context, introduction, peer, bases)
        self.driver.on_event = self._on_event
        early.hand_to(self.driver)
        self.runner = StepRunner(context, self.driver, bases)
        self._take_relay(context, self.driver, peer)
        try:
            way = await self._race(self.driver, self.runner, bases)
        except BaseException:
            self.driver.close()
            raise
        if not isinstance(way, IcePath):
            self.driver.close()
        return way

    def _take_relay(self, context: AttemptContext, driver: IceDriver, peer: Introduction) -> None:
        self._peer_relays = context.relays and bool(peer.relay)
        if context.relays and self._relays:
            self._relay = AttemptRelay(
                self.own.run, driver, self.timeline, self._relays, peer.candidates, self._keys
            )

    def _keys(self, own: bool) -> derp.KeyPair:
        """At a DERP server: of this side, or of the peer."""
        return derp_keys(self.partner.secret, self.number, leads=self.leads == own)

    async def _race(self, driver: IceDriver, runner: StepRunner, bases: list[Base]) -> SelectedPath | NoPath:
        """The checks that run all the time, and the steps one after the other: whichever finds a way."""
        async with asyncio.TaskGroup() as group:
            mapping = group.create_task(self._mapped(driver, bases))
            checks = group.create_task(self._by_checks(driver))
            steps = group.create_task(runner.go())
            relay = group.create_task(self._relayed())
            limit_s = None if self.partner.live else self.own.options.wait_s
            await asyncio.wait((checks, steps), return_when=asyncio.FIRST_COMPLETED, timeout=limit_s)
            if steps.done() and not checks.done() and steps.result() is None:
                await asyncio.wait((checks,), timeout=self._last_wait_s())
                await self._wait_for_relay(checks)
            for task in (checks, steps, mapping, relay):
                task.cancel()
            await asyncio.wait((checks, steps, mapping, relay))
        for task in (steps, checks):
            if not task.cancelled() and task.result() is not None:
                way = task.result()
                assert way is not None
                return way
        return self._why_not(runner)

    async def _relayed(self) -> None:
        """The relay's part, if this side has one."""
        if self._relay is not None:
            await self._relay.run(self._relay_after_s())

    def _relay_after_s(self) -> float:
        if self.partner.live:
            return AFTER_S
        return BY_TOKENS_S if self.made is not None and self.made.direct_steps else 0.0

    async def _wait_for_relay(self, checks: asyncio.Task[SelectedPath | None]) -> None:
        """Direct tries have come to nothing: what a relay on either side gives is used now."""
        if self._relay is not None:
            self._relay.begin()
        if not checks.done() and (self._relay is not None or self._peer_relays):
            await asyncio.wait((checks,), timeout=RELAY_WAIT_S)

    def _last_wait_s(self) -> float:
        if self.made is None or self.made.path == "unknown":
            return ONLY_CHECKS_S
        if self.only_relayed:
            return 0.0
        expecting = self._peer_asks or (self._router is not None and not self._router.settled)
        if expecting:
            return MAPPING_WAIT_S
        return LAST_WAIT_S if self.made.direct_steps or self._relay is None else 0.0

    async def _mapped(self, driver: IceDriver, bases: list[Base]) -> None:
        """Ports on the router, asked for meanwhile; the peer is told of each."""
        if self._router is not None and self.own.options.udp:
            await self._router.ask_all([base.socket.local for base in bases], driver.add_mapping)

    async def _by_checks(self, driver: IceDriver) -> SelectedPath | None:
        """What ICE finds by itself."""
        pair = await driver.connected(3600.0)
        if pair is None:
            await asyncio.Event().wait()  # the steps may still find something
            return None
        found = None if self.runner is None else self.runner.found(pair)
        self.timeline.note("nomination", statement("path-nominated", **_ends(pair)), ok=True)
        answered = self._answered_at if self._answered_at is not None else self._loop.time()
        return IcePath(driver, pair, found or self._name_of(pair), answered - (self.known_at or answered))

    def _name_of(self, pair: ice.Pair) -> Strategy:
        """What the checks found, as the plan calls it: a NAT may stand before one of two own addresses."""
        if pair.relayed:
            return "relay"
        name = strategy_of(pair)
        steps = () if self.made is None else self.made.steps
        family = pair.remote_endpoint.family
        planned_so = any((each.strategy, each.family) == ("host", family) for each in steps)
        return "host" if name == "reflexive" and planned_so else name

    def _on_event(self, event: ice.IceEvent) -> None:
        if isinstance(event, ice.PairChanged) and event.after == "succeeded" and self._answered_at is None:
            self._answered_at = self._loop.time()
        if isinstance(event, ice.Selected) and event.before is not None and event.pair is not None:
            logger.debug("path changed, %s: %s", event.reason, event.before.reason)
            nearer = event.before.relayed and not event.pair.relayed
            reason = "direct" if nearer else event.reason
            changed = statement(f"path-changed-{reason}", **_ends(event.pair))
            self.timeline.note("nomination", changed, ok=True)

    # --- words

    def _tell_plan(self) -> None:
        """To who looks on; what is tried again in the background is bounded all the same."""
        assert self.made is not None
        made = self.made
        steps = tuple(as_told(step, leads=self.leads) for step in made.steps)
        direct = made.direct_steps
        odds = made.odds if direct else None
        most = self._most(steps)
        if self._aim.aside:
            return
        self._announce(AnnouncedPlan(steps, odds, _gain(made), most))
        if not direct:
            self.timeline.note("plan", statement("plan-none"), *_obstacle(made), most)
        else:
            names = _named(f"{step.strategy} over {step.transport.upper()}" for step in direct)
            sure = made.odds is not None
            told = statement("plan-made", steps=names, odds=made.odds) if sure else None
            self.timeline.note("plan", told or statement("plan-made-beside", steps=names), most)

    def _most(self, steps: Iterable[PlannedStep]) -> Statement:
        """What is spent at most until the peer is found."""
        planned = sum(step.packets[0] for step in steps if step.packets is not None)
        limit = self._budget.announce(planned, CHECKS if self.partner.live else CHECKS_BY_TOKENS)
        return statement("plan-limit", packets=limit.packets, addresses=limit.addresses)

    def _why_not(self, runner: StepRunner) -> NoPath:
        made = self.made
        assert made is not None
        gain = (*runner.stale, *_gain(made))
        if self._relay is not None and self._relay.problem:
            gain = (*self._relay.problem, *gain, *_other_relay(made))
        if self._budget.exceeded:
            gain = (statement("budget-spent"), *gain)
        if made.path == "unknown" and not runner.tried:
            return NoPath((statement("plan-none"), *_obstacle(made)), gain)
        if not runner.tried:
            return NoPath(_obstacle(made), gain or _other_relay(made) or (statement("relay-would-help"),))
        return NoPath((statement("steps-failed", steps=_named(runner.tried)), *runner.last), gain)


def _obstacle(made: Plan) -> tuple[Statement, ...]:
    """Why no direct step is planned."""
    if made.unknown is not None:
        return (made.unknown,)
    return (made.steps[0].reason if made.steps else statement("nothing-in-common"),)


def _gain(made: Plan) -> tuple[Statement, ...]:
    """What would make it easier."""
    return () if made.privilege is None else (made.privilege,)


def _other_relay(made: Plan) -> tuple[Statement, ...]:
    """Where an ordinary relay is out of reach, the one that would do."""
    strict = made.steps and made.steps[0].reason.code in ("relay-tcp-ports", "relay-tcp-restricted")
    return (statement("relay-within-tls-would-help"),) if strict else ()


def _named(steps: Iterable[str]) -> tuple[str, ...]:
    """Steps by their names, and how often each, if several times in a row."""
    often = [(name, len(list(same))) for name, same in groupby(steps)]
    return tuple(name if times == 1 else f"{name} ({times} times)" for name, times in often)


def close_all(bases: list[Base]) -> None:
    """Their sockets. Idempotent."""
    for base in bases:
        base.socket.close()


async def prepare(
    own: LocalSide,
    number: int,
    credentials: ice.Credentials,
    *,
    asks_router: bool = False,
    resumes: bool = False,
    relay: str = "",
    direct: bool = False,
) -> tuple[Introduction, list[Base]]:
    """Sockets, and how they are told of to the peer. `relay`: the URI of one that this side can use;
    `direct`: it is for a direct path alone."""
    from nattools import __version__

    families = sorted({each.family for each in own.run.reached} or set(own.run.options.families))
    relaying = "never" if direct and own.options.relaying == "reserve" else own.options.relaying
    bases = await gather(own.run, families, own.nat) if own.options.udp and relaying != "only" else []
    candidates = [candidate for base in bases for candidate in base.candidates()]
    texts = [ice.encode(each) for each in candidates if not carries_ipv4_over_ipv6(each.endpoint.host)]
    introduction = Introduction(
        program=f"nattools {__version__}",
        attempt=number,
        nonce=chance().getrandbits(62),
        nat=without_evidence(own.nat),
        low_ports=own.low_ports,
        low_ports_help=own.low_ports_help,
        outside=() if relaying == "only" else tuple(sorted(own.nat.external()))[:MAX_CANDIDATES],
        asks_router=asks_router,
        resumes=resumes,
        udp=own.options.udp,
        tcp=own.options.tcp,
        ufrag=credentials.ufrag,
        password=credentials.password,
        candidates=tuple(texts[:MAX_CANDIDATES]),
        relaying=relaying,
        relay="" if relaying == "never" else relay[:MAX_URI],
    )
    return introduction, bases


def _ends(pair: ice.Pair) -> dict[str, str]:
    return {"local": str(pair.local.sends_from), "remote": str(pair.remote_endpoint)}
