"""Carries out a send schedule: the one place where a punch spends packets on guesses.

A strategy says which sockets send to which ports, when, and with which TTL. What they send are ICE's checks:
the agent behind the driver answers the peer's, nominates what works and keeps it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from nattools.chance import chance
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.statement import Statement, statement
from nattools.net.base import Network, UdpSocket
from nattools.protocols import ice
from nattools.traversal.icedriver import IceDriver, open_path_socket
from nattools.traversal.plan.steps import SendSchedule, Step

LATE_S: Final = 0.5
"""How long packets of the peer may be under way when both sides are done."""
NOMINATION_S: Final = 5.0
"""How much longer a path is waited for on which the peer was heard."""


@dataclass(slots=True)
class ProbeCounts:
    """Packets of a step: `sent` as scheduled, `unsent` that this machine refused to send; of what arrived
    meanwhile, `seen` authentic checks of the peer, and `refused` others."""

    sent: int = 0
    unsent: int = 0
    seen: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """`pair`: what ICE has selected, of this step or not; None: `reason` says how far it came."""

    pair: ice.Pair | None
    reason: Statement | None
    counts: ProbeCounts = field(default_factory=ProbeCounts)

    @property
    def connected(self) -> bool:
        """Is there a path that works both ways?"""
        return self.pair is not None


async def send_step(
    network: Network,
    driver: IceDriver,
    socket: UdpSocket,
    peer: Endpoint,
    step: Step,
    *,
    first: bool,
    counts: ProbeCounts | None = None,
    seed: int | None = None,
    apart_s: float = 0.0,
) -> ProbeOutcome:
    """One side's part, `first` or not, of a step over UDP; both begin within `apart_s`. It lasts until there
    is a path, or until the longer part is over on both sides. ValueError: a step that is not over UDP."""
    if step.schedules is None or step.transport != "udp":
        raise ValueError(f"{step.strategy} over {step.transport} is no step over UDP")
    own, other = step.schedules if first else step.schedules[::-1]
    wait_s = max(LATE_S, other.seconds - own.seconds + LATE_S) + apart_s
    return await send_schedule(network, driver, socket, peer, own, wait_s=wait_s, counts=counts, seed=seed)


async def send_schedule(
    network: Network,
    driver: IceDriver,
    socket: UdpSocket,
    peer: Endpoint,
    schedule: SendSchedule,
    *,
    wait_s: float = LATE_S,
    counts: ProbeCounts | None = None,
    seed: int | None = None,
) -> ProbeOutcome:
    """Send from now on until there is a path, or until `wait_s` after the last packet. Never raises for what
    the network does.

    `socket`: the one whose external port the peer was told; the driver listens on it already and keeps it.
    Sockets that are opened here are closed at the end unless a path on them works. `peer`: where it was seen
    by a socket of its own that its schedule may use. `counts` grows meanwhile. `seed` repeats the draw of
    ports (None: nobody can guess it)."""
    sending = _Sending(driver, peer, schedule, [socket], counts or ProbeCounts())
    if driver.agent.remote_credentials is None:
        return sending.outcome(statement("peer-credentials-unknown"))
    try:
        sockets = await sending.open(network) if schedule.fresh else [socket]
    except CannotRun as error:
        return sending.outcome(statement("cannot-run", problem=f"{error}. {error.remedy}".strip(" .")))
    try:
        draw = chance() if seed is None else random.Random(seed)
        ports = schedule.target_ports(peer, draw)
        found = await sending.all_passes(sockets, ports) or await driver.connected(wait_s) is not None
        if not found and sending.heard:
            await driver.connected(NOMINATION_S)
        return sending.outcome()
    finally:
        for own in sockets:
            if own is not socket:
                driver.release(own)


class _Sending:
    def __init__(
        self,
        driver: IceDriver,
        peer: Endpoint,
        schedule: SendSchedule,
        sockets: list[UdpSocket],
        counts: ProbeCounts,
    ) -> None:
        self.driver, self.peer, self.schedule, self.counts = driver, peer, schedule, counts
        self.sockets = sockets
        self.loop = asyncio.get_running_loop()
        self.started = self.loop.time()
        self.refused_before = sum(driver.agent.rejected.values())

    async def open(self, network: Network) -> list[UdpSocket]:
        """New sockets; with `sources`, on local ports of that range, as many as are free. CannotRun: none
        could be had."""
        told, schedule, failure = self.sockets[0], self.schedule, None
        opened: list[UdpSocket] = []
        ports: Iterable[int] = [0] * schedule.sockets
        if schedule.sources is not None:
            ports = range(schedule.sources[0], schedule.sources[1] + 1)
        for port in ports:
            if len(opened) == schedule.sockets:
                break
            try:
                socket = await open_path_socket(
                    network, family=self.peer.family, host=told.local.host, port=port
                )
            except CannotRun as error:
                failure = error
                continue
            opened.append(socket)
            self.driver.listen(socket)
        self.sockets += opened
        if not opened:
            raise failure or CannotRun("no socket could be opened")
        return opened

    async def all_passes(self, sockets: list[UdpSocket], ports: list[int]) -> bool:
        """True as soon as there is a path. Never more than `schedule.packets`, nor faster than
        `schedule.rate_per_s`."""
        schedule = self.schedule
        if schedule.ttl is not None:
            if await self._pass(sockets, ports, schedule.ttl):
                return True
            if schedule.passes == 1:
                return False
        if await self._within(self.started + schedule.hold_s - self.loop.time()):
            return True
        for number in range(schedule.passes - (schedule.ttl is not None)):
            if number and await self._within(schedule.gap_s):
                return True
            if await self._pass(sockets, ports, None):
                return True
        return False

    async def _pass(self, sockets: list[UdpSocket], ports: list[int], ttl: int | None) -> bool:
        """All sockets to the first port, then all to the next."""
        for port in ports:
            for socket in sockets:
                if self.driver.probe(socket, Endpoint(self.peer.host, port), ttl=ttl) is None:
                    self.counts.sent += 1
                else:
                    self.counts.unsent += 1
                if await self._within(1 / self.schedule.rate_per_s):
                    return True
        return False

    async def _within(self, seconds: float) -> bool:
        return await self.driver.connected(seconds) is not None

    # --- what came of it

    def _pairs(self) -> list[ice.Pair]:
        own = {socket.local for socket in self.sockets}
        return [pair for pair in self.driver.agent.pairs if pair.path[1] in own]

    @property
    def heard(self) -> bool:
        """Has anything of the peer arrived at the sockets of this step?"""
        return any(pair.valid or pair.checks_heard for pair in self._pairs())

    def outcome(self, reason: Statement | None = None) -> ProbeOutcome:
        """What came of it so far; `reason` if nothing did."""
        counts, pairs = self.counts, self._pairs()
        counts.seen = sum(pair.checks_heard + pair.valid for pair in pairs)
        counts.refused = sum(self.driver.agent.rejected.values()) - self.refused_before
        selected = self.driver.agent.selected
        why = None if selected is not None else reason or self._why(any(pair.valid for pair in pairs))
        return ProbeOutcome(selected, why, counts)

    def _why(self, works: bool) -> Statement:
        if works:
            return statement("path-unconfirmed")
        if self.counts.seen:
            return statement("peer-heard-only")
        if self.counts.refused:
            return statement("others-heard-only")
        return statement("nothing-sent" if self.counts.unsent and not self.counts.sent else "nothing-heard")
