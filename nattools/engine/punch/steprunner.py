"""The steps of a plan, one after the other, each begun by both sides at the same moment."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from nattools.engine.punch.candidates import (
    AttemptContext,
    Base,
    seen_over_tcp,
    server_of,
    why_not_a_destination,
)
from nattools.engine.punch.planning import AT_ONCE, is_costly
from nattools.engine.punch.signaling import SignalingEnded, StepPosition
from nattools.engine.punch.tokensignaling import TokenSignaling, how_far_counted, out_of_reach
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.punch import Strategy
from nattools.model.statement import Statement, statement
from nattools.net.base import TcpStream, UdpSocket
from nattools.protocols import ice
from nattools.traversal.icedriver import IceDriver, open_path_socket
from nattools.traversal.path import SelectedPath, StreamPath
from nattools.traversal.plan.steps import Step
from nattools.traversal.sending import ProbeCounts, send_step
from nattools.traversal.serverreflexive import server_reflexive
from nattools.traversal.simultaneousopen import StreamMeeting, simultaneous_open

CHECKS_S: Final = 2.0
"""How long plain checks have before the next step, beside what their step says."""
MAX_ROUNDS: Final = 90
COSTLY_ROUNDS: Final = 3
"""What is costly is repeated so often at most."""


class StepRunner:
    """`tried`: the names of the steps so far; `last`: how the last one ended; `stale`: what tells that tokens
    were made too long ago. Over UDP they send ICE's checks through the `driver`, whose own checks run
    meanwhile."""

    def __init__(self, context: AttemptContext, driver: IceDriver, bases: list[Base]) -> None:
        self.tried: list[str] = []
        self.last: tuple[Statement, ...] = ()
        self.stale: tuple[Statement, ...] = ()
        self._seen_again = False
        self._given_up: list[Statement] = []
        self._counts: list[ProbeCounts] = []
        self._step: Step | None = None
        self._waited = False
        self._context = context
        self._driver = driver
        self._bases = bases
        self._loop = asyncio.get_running_loop()

    @property
    def sent(self) -> int:
        """Packets and attempts to connect of all steps so far."""
        return sum(counts.sent for counts in self._counts)

    async def go(self) -> SelectedPath | None:
        """Until a step has connected over TCP; None if none has, or ICE has selected a pair."""
        steps = self._context.plan.direct_steps
        if not self._context.partner.live:
            return await self._in_rounds([step for step in steps if not _is_of_checks(step)])
        for index, step in enumerate(steps):
            self.tried.append(f"{step.strategy} over {step.transport.upper()}")
            self._note(step, step.reason)
            way = await self._try(StepPosition(index, len(steps), step.transport), step)
            if way is not None or self._driver.agent.selected is not None:
                return way
            self._note(step, *self.last, ok=False)
        return None

    async def _in_rounds(self, steps: list[Step]) -> SelectedPath | None:
        """Where nobody can say that he is ready: one step after the other, again and again. What costs many
        packets is tried a few times only."""
        for rounds in range(MAX_ROUNDS if steps else 0):
            for index, step in enumerate(steps):
                if rounds >= COSTLY_ROUNDS and is_costly(step):
                    self._note_costs(step)
                    continue
                if rounds == 0:
                    self.tried.append(f"{step.strategy} over {step.transport.upper()}")
                self._note(step, step.reason)
                way = await self._try(StepPosition(index, len(steps), step.transport), step)
                if way is not None or self._driver.agent.selected is not None:
                    return way
                self._note(step, *self.last, ok=False)
        await asyncio.Event().wait()  # the checks go on
        return None

    async def _try(self, turn: StepPosition, step: Step) -> SelectedPath | None:
        if _is_checked(step):
            # ICE checks all that at once, over both families; this only gives it its time
            if not self._waited:
                self._waited = True
                await asyncio.sleep((step.seconds or 0.0) + CHECKS_S)
            self.last = (statement("no-check-answered"),)
            return None
        if step.schedules is None:
            return None
        if step.transport == "tcp":
            return await self._over_tcp(turn, step)
        await self._over_udp(turn, step)
        return None

    def _note(
        self,
        step: Step,
        *statements: Statement,
        ok: bool | None = None,
        counts: ProbeCounts | None = None,
    ) -> None:
        self._context.timeline.note(
            "attempt",
            *statements,
            ok=ok,
            strategy=step.strategy,
            sent=None if counts is None else counts.sent,
            seen=None if counts is None else counts.seen,
        )

    async def _begun(self, turn: StepPosition, step: Step, told: Endpoint | None) -> Endpoint | None:
        """Wait for the moment at which it begins: where the peer's socket for it is; None: it cannot be
        done, and `last` says why."""
        context = self._context
        peer = await context.partner.ready(context.number, turn, told)
        transport = step.transport.upper()
        if isinstance(peer, SignalingEnded):
            self.last = peer.reasons
        elif peer is None or peer.family != step.family:
            self.last = (statement("peer-port-unknown", transport=transport),)
        elif told is None:
            self.last = (statement("own-port-unknown", transport=transport),)
        else:
            refused = why_not_a_destination(context.own.run.network, peer, told)
            self.last = () if refused is None else (refused,)
            return peer if refused is None else None
        return None

    # --- over UDP

    async def _socket_for(self, step: Step) -> tuple[UdpSocket, Endpoint | None]:
        """A fresh one, and where a server sees it; or the one that the token told of. CannotRun: there is
        none to be had."""
        context = self._context
        partner = context.partner
        if isinstance(partner, TokenSignaling):
            if partner.told.udp is None:
                raise CannotRun("no server reported this machine's external port")
            return partner.told.udp
        server = server_of(context.own.run, "udp", step.family)
        own = [base.socket.local.host for base in self._bases if base.socket.local.family == step.family]
        socket = await open_path_socket(
            context.own.run.network,
            family=step.family,
            host=own[0] if own else None,
            interface=context.own.run.options.interface,
        )
        try:
            return socket, None if server is None else await server_reflexive(socket, server)
        except BaseException:  # a path was found meanwhile
            socket.close()
            raise

    def _note_costs(self, step: Step) -> None:
        """Say that a strategy is not repeated any more, once for each."""
        told = statement("tokens-tried", strategy=step.strategy, times=COSTLY_ROUNDS)
        if told not in self._given_up:
            self._given_up.append(told)
            self._note(step, told)
            self.stale = self.stale or (told,)

    async def _look_again(self, told: Endpoint | None) -> None:
        """A token says at which port this side's NAT was: does the peer look where it is now?"""
        context, network = self._context, self._context.own.run.network
        server = server_of(context.own.run, "udp", 4)
        counted = how_far_counted(context.plan, leads=context.leads)
        if context.partner.live or told is None or server is None or counted is None or self._seen_again:
            return
        with contextlib.suppress(CannotRun):
            options = context.own.run.options
            socket = await open_path_socket(network, family=4, interface=options.interface)
            try:
                now = await server_reflexive(socket, server)
            finally:
                socket.close()
            stale = None if now is None else out_of_reach(counted, told, now)
            if stale is not None:
                self._seen_again = True
                self.stale = (stale,)
                self._context.timeline.note("attempt", stale)

    async def _over_udp(self, turn: StepPosition, step: Step) -> None:
        context, driver = self._context, self._driver
        try:
            socket, told = await self._socket_for(step)
        except CannotRun as error:
            self.last = (statement("cannot-run", problem=str(error)),)
            return
        counts = ProbeCounts()
        self._counts.append(counts)
        self._step = step
        driver.listen(socket)
        try:
            await self._look_again(told)
            peer = await self._begun(turn, step, told)
            if peer is None:
                return
            outcome = await send_step(
                context.own.run.network,
                driver,
                socket,
                peer,
                step,
                first=context.leads,
                counts=counts,
                apart_s=context.partner.apart_s,
            )
            self.last = () if outcome.reason is None else (outcome.reason,)
        finally:
            # what a token told of is needed again
            driver.release(socket, close=context.partner.live)

    def found(self, pair: ice.Pair) -> Strategy | None:
        """The strategy whose step has found a pair; None: ICE's own checks have."""
        step, bases = self._step, {base.socket.local for base in self._bases}
        if step is None or pair.relayed or pair.path[1] in bases:
            return None
        counts, pairs = self._counts[-1], self._driver.agent.pairs
        counts.seen = sum(each.checks_heard + each.valid for each in pairs if each.path[1] not in bases)
        self._note(step, statement("path-works", remote=str(pair.remote_endpoint)), ok=True, counts=counts)
        return step.strategy

    # --- over TCP

    async def _stream_for(self, step: Step) -> tuple[TcpStream, Endpoint] | None:
        """A connection to a server, whose local port is used next, and where the server sees it."""
        partner = self._context.partner
        if isinstance(partner, TokenSignaling):
            return partner.told.tcp
        return await seen_over_tcp(self._context.own.run, step.family)

    async def _over_tcp(self, turn: StepPosition, step: Step) -> SelectedPath | None:
        context = self._context
        network = context.own.run.network
        sample = await self._stream_for(step)
        told = None if sample is None else sample[1]
        try:
            peer = await self._begun(turn, step, told)
            if peer is None or sample is None:
                return None
            credentials = self._driver.agent.remote_credentials
            if credentials is None:
                self.last = (statement("peer-credentials-unknown"),)
                return None
            meeting = StreamMeeting(
                leads=context.leads,
                own=self._driver.agent.credentials,
                peer=credentials,
                local=sample[0].local,
                remote=peer,
                claim=self._driver.agent.hold_nomination,
                unclaim=self._driver.resume_nomination,
                budget=context.budget,
            )
            counts = ProbeCounts()
            self._counts.append(counts)
            outcome = await simultaneous_open(network, meeting, step, counts=counts)
        finally:
            if sample is not None and context.partner.live:
                sample[0].close()
        self.last = () if outcome.reason is None else (outcome.reason,)
        if outcome.stream is None:
            return None
        works = statement("stream-works", remote=str(outcome.stream.remote))
        self._note(step, works, ok=True, counts=counts)
        elapsed = self._loop.time() - context.known_at
        stream = outcome.stream
        return StreamPath(stream, step.strategy, elapsed)


def _is_of_checks(step: Step) -> bool:
    """Is it what ICE's own checks do, all the time?"""
    return step.transport == "udp" and step.strategy in AT_ONCE


def _is_checked(step: Step) -> bool:
    """Have those done it by the time at which it begins? Not where it is for ports that they have made the
    router forget: then it needs new ones."""
    return _is_of_checks(step) and step.reason.code != "step-without-ttl"
