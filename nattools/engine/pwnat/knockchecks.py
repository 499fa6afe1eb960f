"""One socket, and the checks over it with the other side: the part that listener and caller share."""

from __future__ import annotations

import asyncio

from nattools.engine.measurement import MeasurementRun
from nattools.engine.punch.candidates import server_of
from nattools.engine.punch.timeline import Timeline
from nattools.engine.pwnat.knocksession import KnockSession, Part
from nattools.model.endpoint import Endpoint
from nattools.model.punch import Strategy
from nattools.model.statement import Statement, statement
from nattools.net.base import UdpSocket
from nattools.protocols import ice
from nattools.traversal.budget import Budget
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.path import IcePath, strategy_of
from nattools.traversal.plan.steps import Step
from nattools.traversal.sending import ProbeCounts, send_step
from nattools.traversal.serverreflexive import server_reflexive


async def reached_at(run: MeasurementRun, socket: UdpSocket) -> Endpoint | None:
    """Where others reach a socket: as a server says, or at its own address if that is public. None: nobody
    knows."""
    server = server_of(run, "udp", 4)
    seen = None if server is None else await server_reflexive(socket, server)
    return socket.local if seen is None and run.network.is_public(socket.local.host) else seen


class KnockChecks:
    """The listener checks where a knock says that the caller is; the caller answers, and checks what has
    reached it. `place`: where the other side is thought to be."""

    def __init__(self, session: KnockSession, part: Part, budget: Budget, socket: UdpSocket) -> None:
        own = session.credentials(part)
        peer = session.credentials("caller" if part == "listener" else "listener")
        role: ice.Role = "controlling" if part == "listener" else "controlled"
        agent = ice.Agent(role, ufrag=own.ufrag, password=own.password, patience_s=3600.0)
        self.driver = IceDriver(agent, budget)
        self.driver.on_event = self._on_event
        self.socket = socket
        self.place: Endpoint | None = None
        self.counts: list[tuple[Step, ProbeCounts]] = []
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._answered_at: float | None = None
        self.driver.add_socket(socket)
        self.driver.set_peer(peer.ufrag, peer.password)

    @property
    def sent(self) -> int:
        """Packets so far."""
        return self.driver.checks_sent + sum(counts.sent for _, counts in self.counts)

    def expect(self, place: Endpoint) -> None:
        """The other side is there, by what it says: check it, now and again."""
        if self.place != place:
            self.place = place
            self.driver.add_peer_candidate(ice.encode(ice.local_candidate("srflx", place)))
        else:
            self.driver.probe(self.socket, place)

    async def carry_out(
        self, run: MeasurementRun, timeline: Timeline, step: Step, socket: UdpSocket, *, first: bool
    ) -> None:
        """This side's part of a step of the plan, as `send_step` has it, from a socket that is known to the
        driver."""
        assert self.place is not None
        timeline.note("attempt", step.reason, strategy=step.strategy)
        counts = ProbeCounts()
        self.counts.append((step, counts))
        outcome = await send_step(
            run.network, self.driver, socket, self.place, step, first=first, counts=counts
        )
        if outcome.reason is not None:
            timeline.note(
                "attempt",
                outcome.reason,
                ok=False,
                strategy=step.strategy,
                sent=counts.sent,
                seen=counts.seen,
            )

    def path(self) -> IcePath | None:
        """The path that was found."""
        pair = self.driver.agent.selected
        if pair is None:
            return None
        answered = self._answered_at if self._answered_at is not None else self._loop.time()
        return IcePath(self.driver, pair, self._found_by(pair), answered - self._began)

    @property
    def nominated(self) -> Statement:
        """Which path that is."""
        pair = self.driver.agent.selected
        assert pair is not None
        local, remote = str(pair.local.sends_from), str(pair.remote_endpoint)
        return statement("path-nominated", local=local, remote=remote)

    def _found_by(self, pair: ice.Pair) -> Strategy:
        """A step of the plan, where it goes from a socket or to a port that only a step uses."""
        plain = pair.path[1] == self.socket.local and pair.remote_endpoint == self.place
        if self.counts and not plain:
            return self.counts[-1][0].strategy
        return strategy_of(pair)

    def _on_event(self, event: ice.IceEvent) -> None:
        if isinstance(event, ice.PairChanged) and event.after == "succeeded" and self._answered_at is None:
            self._answered_at = self._loop.time()

    def close(self) -> None:
        """And the socket. Idempotent."""
        self.driver.close()
        self.socket.close()
