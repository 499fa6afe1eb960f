"""The steps of a plan, one after the other, each begun by both sides at the same moment."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from nattools.engine.punch.candidates import AttemptContext, Base, server_of, why_not_a_destination
from nattools.engine.punch.planning import AT_ONCE
from nattools.engine.punch.signaling import SignalingEnded, StepPosition
from nattools.engine.punch.token_signaling import TokenSignaling
from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.punch import Strategy
from nattools.net.base import DatagramHandler, TcpStream, UdpSocket
from nattools.protocols import ice, stun
from nattools.protocols.stun.constants import USERNAME
from nattools.traversal.checks import PREFIX
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.meeting import Meeting, Outcome
from nattools.traversal.path import IcePath, SelectedPath, StreamPath
from nattools.traversal.perform import perform, perform_stream
from nattools.traversal.sample import where_seen, where_seen_over_tcp
from nattools.traversal.simultaneous_open import StreamMeeting, StreamOutcome
from nattools.traversal.steps import Step

CHECKS_S: Final = 2.0
"""How long plain checks have before the next step, beside what their step says."""
NOMINATION_S: Final = 5.0
MAX_ROUNDS: Final = 90
COSTLY_ROUNDS: Final = 3
COSTLY: Final = 100
"""Packets of both sides; a step that may need more is repeated `COSTLY_ROUNDS` times at most."""


@dataclass(frozen=True, slots=True)
class FoundBy:
    """The step that found a path, and when."""

    strategy: Strategy
    elapsed_s: float


class StepRunner:
    """`tried`: the steps so far, in words; `last`: how the last one ended. What a step finds is handed to the
    `driver` of the checks, which run meanwhile."""

    def __init__(self, context: AttemptContext, driver: IceDriver, bases: list[Base]) -> None:
        self.tried: list[str] = []
        self.last = ""
        self.sent = 0
        self.found: FoundBy | None = None
        self._waited = False
        self._context = context
        self._driver = driver
        self._bases = bases
        self._loop = asyncio.get_running_loop()

    async def go(self) -> SelectedPath | None:
        """Until there is a way; None if no step led to one."""
        steps = [step for step in self._context.plan.steps if step.strategy != "relay"]
        if not self._context.partner.live:
            return await self._in_rounds([step for step in steps if not _is_checked(step)])
        for index, step in enumerate(steps):
            self.tried.append(f"{step.strategy} over {step.transport.upper()}")
            self._note(step, step.why)
            way = await self._try(StepPosition(index, len(steps), step.transport), step)
            if way is not None:
                return way
            self._note(step, self.last, ok=False)
        return None

    async def _in_rounds(self, steps: list[Step]) -> SelectedPath | None:
        """Where nobody can say that he is ready: one step after the other, again and again. What costs many
        packets is tried a few times only."""
        for rounds in range(MAX_ROUNDS if steps else 0):
            for index, step in enumerate(steps):
                if rounds >= COSTLY_ROUNDS and sum(step.packets or ()) > COSTLY:
                    continue
                if rounds == 0:
                    self.tried.append(f"{step.strategy} over {step.transport.upper()}")
                self._note(step, step.why)
                way = await self._try(StepPosition(index, len(steps), step.transport), step)
                if way is not None:
                    return way
                self._note(step, self.last, ok=False)
        await asyncio.Event().wait()  # the checks go on
        return None

    async def _try(self, turn: StepPosition, step: Step) -> SelectedPath | None:
        if _is_checked(step):
            # ICE checks all that at once, over both families; this only gives it its time
            if not self._waited:
                self._waited = True
                await asyncio.sleep((step.seconds or 0.0) + CHECKS_S)
            self.last = "No check was answered."
            return None
        if step.parts is None:
            return None
        return await (self._over_udp if step.transport == "udp" else self._over_tcp)(turn, step)

    def _note(
        self, step: Step, text: str, *, ok: bool | None = None, outcome: Outcome | StreamOutcome | None = None
    ) -> None:
        self._context.timeline.note(
            "attempt",
            text,
            ok=ok,
            strategy=step.strategy,
            sent=None if outcome is None else outcome.counts.sent,
            seen=None if outcome is None else outcome.counts.seen,
        )

    async def _begun(self, turn: StepPosition, step: Step, told: Endpoint | None) -> Endpoint | None:
        """Wait for the moment at which it begins: where the peer's socket for it is; None: it cannot be
        done, and `last` says why."""
        context = self._context
        peer = await context.partner.ready(context.number, turn, told)
        transport = step.transport.upper()
        if isinstance(peer, SignalingEnded):
            self.last = peer.why
        elif peer is None or peer.family != step.family:
            self.last = f"The peer's outside {transport} port is not known."
        elif told is None:
            self.last = f"No server tells where this machine's {transport} port is seen."
        else:
            self.last = why_not_a_destination(context.own.run.network, peer, told) or ""
            return peer if not self.last else None
        return None

    # --- over UDP

    async def _socket_for(self, step: Step) -> tuple[UdpSocket, Endpoint | None]:
        """A fresh one, and where a server sees it; or the one that the token told of. CannotRun: there is
        none to be had."""
        context = self._context
        partner = context.partner
        if isinstance(partner, TokenSignaling):
            if partner.told.udp is None:
                raise CannotRun("no server has told where this machine's socket is seen")
            return partner.told.udp
        server = server_of(context.own.run, "udp", step.family)
        own = [base.socket.local.host for base in self._bases if base.socket.local.family == step.family]
        socket = await context.own.run.network.open_udp(
            family=step.family,
            host=own[0] if own else None,
            interface=context.own.run.options.interface,
        )
        return socket, None if server is None else await where_seen(socket, server)

    async def _over_udp(self, turn: StepPosition, step: Step) -> SelectedPath | None:
        context = self._context
        network = context.own.run.network
        try:
            socket, told = await self._socket_for(step)
        except CannotRun as error:
            self.last = str(error)
            return None
        outcome: Outcome | None = None
        try:
            peer = await self._begun(turn, step, told)
            if peer is None:
                return None
            meeting = Meeting(context.partner.secret, context.leads, socket, peer)
            outcome = await perform(network, meeting, step, first=context.leads)
        finally:
            if outcome is None or outcome.socket is not socket:
                self._give_back(socket)
        self.sent += outcome.counts.sent + outcome.counts.answers
        self.last = outcome.reason
        if outcome.socket is None or outcome.remote is None:
            return None
        elapsed = self._loop.time() - context.known_at
        self._note(step, f"a path to {outcome.remote} works", ok=True, outcome=outcome)
        return await self._nominated(step, outcome.socket, outcome.remote, elapsed)

    def _give_back(self, socket: UdpSocket) -> None:
        """What the token told of is needed again."""
        if self._context.partner.live:
            socket.close()

    async def _nominated(
        self, step: Step, socket: UdpSocket, remote: Endpoint, elapsed: float
    ) -> SelectedPath | None:
        """From here on the path is ICE's, which keeps it alive and knows when it is lost."""
        driver = self._driver
        answering = socket.on_datagram
        driver.add_socket(socket)
        _share(socket, answering)
        candidate = ice.local_candidate("prflx", remote)
        driver.add_peer_candidate(ice.encode(candidate))
        self.found = FoundBy(step.strategy, round(elapsed, 4))
        pair = await driver.connected(NOMINATION_S)
        if pair is None:
            self.found = None
            self.last = "The path that was found did not last."
            return None
        return IcePath(driver, pair, self.found.strategy, self.found.elapsed_s)

    # --- over TCP

    async def _stream_for(self, step: Step) -> tuple[TcpStream, Endpoint] | None:
        """A connection to a server, whose local port is used next, and where the server sees it."""
        partner = self._context.partner
        if isinstance(partner, TokenSignaling):
            return partner.told.tcp
        server = server_of(self._context.own.run, "tcp", step.family)
        return None if server is None else await where_seen_over_tcp(self._context.own.run.network, server)

    async def _over_tcp(self, turn: StepPosition, step: Step) -> SelectedPath | None:
        context = self._context
        network = context.own.run.network
        sample = await self._stream_for(step)
        told = None if sample is None else sample[1]
        try:
            peer = await self._begun(turn, step, told)
            if peer is None or sample is None:
                return None
            local = sample[0].local
            meeting = StreamMeeting(context.partner.secret, context.leads, local.port, peer, local.host)
            outcome = await perform_stream(network, meeting, step, first=context.leads)
        finally:
            if sample is not None and context.partner.live:
                sample[0].close()
        self.sent += outcome.counts.sent
        self.last = outcome.reason
        if outcome.stream is None:
            return None
        self._note(step, f"a connection to {outcome.stream.remote}", ok=True, outcome=outcome)
        elapsed = self._loop.time() - context.known_at
        stream = outcome.stream
        return StreamPath(stream, step.strategy, elapsed)


def _is_checked(step: Step) -> bool:
    """Do ICE's own checks do it?"""
    return step.transport == "udp" and step.strategy in AT_ONCE


def _share(socket: UdpSocket, answering: DatagramHandler | None) -> None:
    """The peer's last packets of the strategy are still answered as before; all others are ICE's."""
    checks = socket.on_datagram

    def arrived(data: bytes, source: Endpoint) -> None:
        handler = answering if _is_of_strategy(data) else checks
        if handler is not None:
            handler(data, source)

    socket.on_datagram = arrived


def _is_of_strategy(data: bytes) -> bool:
    if not data or data[0] > 3:
        return False
    try:
        return (stun.decode(data).get(USERNAME) or b"").startswith(PREFIX)
    except ProtocolError:
        return False
