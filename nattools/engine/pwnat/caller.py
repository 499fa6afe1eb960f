"""The caller's side: it knocks at the listener's outside address, and waits for its checks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle, islice, repeat
from typing import Final

from nattools.chance import chance, random_bytes
from nattools.engine.punch.signals import A_PATH, AttemptAim
from nattools.engine.punch.timeline import NoPath
from nattools.engine.pwnat.knockchecks import KnockChecks, reached_at
from nattools.engine.pwnat.knocksession import ORIGINAL_SESSION, PLAN_TIMES, planned
from nattools.engine.pwnat.knockside import KnockContext, KnockSide
from nattools.model.endpoint import Endpoint, Transport
from nattools.model.nat import Nat
from nattools.model.statement import Statement, statement
from nattools.net.base import SendFailure, UdpSocket
from nattools.protocols.pwnat import TARGETS, original, prepare, time_exceeded
from nattools.protocols.pwnat.knock import SESSION_SIZE, CallerNat, Knock, encode_knock
from nattools.protocols.pwnat.outside import ListenerPorts
from nattools.traversal.icedriver import open_path_socket
from nattools.traversal.path import SelectedPath
from nattools.traversal.plan.side import side_of
from nattools.traversal.plan.steps import Step

PAUSE_S: Final = 0.5
LONG_PAUSE_S: Final = 2.0
HURRIED: Final = 20
"""So many knocks come one after the short pause, the others after the long one."""
JITTER: Final = 0.1
STEP_KNOCKS: Final = 2
PLAIN: Final = 4
"""So many knocks before the plan, where nothing is known against this side's being open."""
OPENERS: Final = (2, 3, 4, 5, 6)
"""TTLs of what opens the own NAT, one after the other, where nobody has measured how far that is: too small
opens nothing, and what reaches the listener's router before its own packet has left may block the way."""
CHECKS: Final = 400


class KnockCaller(KnockSide):
    """`close` at the end."""

    def __init__(self, context: KnockContext) -> None:
        own, options = context.own, context.options
        super().__init__(context, ORIGINAL_SESSION if options.compat else random_bytes(SESSION_SIZE))
        assert options.listener is not None
        prepare()
        self._listener = options.listener
        self._nat = CallerNat.of(own.nat.udp4, low_ports=own.low_ports)
        self._moves = ListenerPorts() if options.outside is None else options.outside.ports
        self._steps = planned(self._nat, self._moves, own.nat.udp4 or Nat())
        self._numbers = iter(range(0x10000))
        self._tries = 0
        self._failure: str | None = None

    @property
    def leads(self) -> bool:
        return False

    @property
    def peer(self) -> Endpoint:
        """Where the listener is."""
        return self._listener

    def close(self) -> None:
        """Idempotent."""
        if self._checks is not None:
            self._checks.close()

    async def connect(
        self, *, resumes: bool = False, without: Transport | None = None, aim: AttemptAim = A_PATH
    ) -> SelectedPath | NoPath:
        """Knock until the listener has reached this side."""
        self._session.attempt = min(self._tries, 0xFF)
        self._tries += 1
        run = self.own.run
        source = run.network.route(self._listener.host)
        socket = await open_path_socket(
            run.network,
            family=4,
            host=source and source[1],
            port=self._listener.port if self._options.compat else 0,
            interface=run.options.interface,
        )
        seen = await self._seen(socket)
        self._note_knocking(seen)
        self.budget.announce(sum(step.packets[1] for step in self._steps if step.packets), CHECKS)
        checks = self._checks = KnockChecks(self._session, "caller", self.budget, socket)
        checks.place = self._listener
        wait_s = self._wait_s()
        async with asyncio.TaskGroup() as group:
            knocking = group.create_task(self._knock_all(checks, seen))
            connected = group.create_task(checks.driver.connected(wait_s))
            await asyncio.wait((knocking, connected), return_when=asyncio.FIRST_COMPLETED)
            for task in (knocking, connected):
                task.cancel()
        self.sent += checks.sent
        path = checks.path()
        if path is None:
            checks.close()
            return self._why_not(seen, checks)
        self.timeline.note("nomination", checks.nominated, ok=True)
        return path

    async def _seen(self, socket: UdpSocket) -> Endpoint | None:
        """Where that is reached. Broken off, it closes the socket, which is nobody's yet."""
        try:
            return await reached_at(self.own.run, socket)
        except BaseException:
            socket.close()
            raise

    def _note_knocking(self, seen: Endpoint | None) -> None:
        shown = statement("pwnat-knocking", listener=str(self._listener))
        place = (
            statement("pwnat-place-unknown") if seen is None else statement("pwnat-place", place=str(seen))
        )
        self.timeline.note("knock", shown, place)

    # --- knocking

    async def _knock_all(self, checks: KnockChecks, seen: Endpoint | None) -> None:
        """By the plan where there is one; else until it is broken off. Where the listener's port changes,
        this side may let it in from any: that shows at once."""
        planned = self._steps and seen is not None and not self._options.compat
        if not planned or self._moves.moves != "not":
            await self._knock_on(checks, seen, PLAIN if planned else None)
        if planned:
            for number, step in enumerate(self._steps * PLAN_TIMES, 1):
                await self._by_step(checks, number, step)

    async def _knock_on(self, checks: KnockChecks, seen: Endpoint | None, most: int | None) -> None:
        """Without a plan, so many times (None: on and on)."""
        for number, ttl in enumerate(islice(self._openers(), most)):
            checks.driver.probe(checks.socket, self._listener, ttl=ttl)
            self._knock(checks.socket, seen)
            pause_s = PAUSE_S if number < HURRIED else LONG_PAUSE_S
            await asyncio.sleep(pause_s * (1 + JITTER * (2 * chance().random() - 1)))

    def _openers(self) -> Iterator[int | None]:
        """The TTLs of openers; None, the ordinary one, where there is nothing to open."""
        own = side_of(self.own.nat.udp4)
        return cycle(OPENERS) if own is None or own.ttl is None else repeat(own.ttl)

    def _knock(self, socket: UdpSocket, seen: Endpoint | None, step: int = 0) -> None:
        """One knock for each place that beacons go to."""
        network = self.own.run.network
        if self._options.compat:
            self._sent(network.send_packet(original.original_error(socket.local.host, self._listener.host)))
            return
        for target in TARGETS:
            knock = Knock(
                session=self._session.name or b"",
                number=next(self._numbers, 0xFFFF),
                sent_ms=int(self._wall() * 1000),
                caller=None if seen is None else seen.host,
                port=(seen or socket.local).port,
                attempt=self._session.attempt,
                step=step,
                nat=self._nat,
                listener=self._moves,
            )
            data = encode_knock(knock, self._keys.knock)
            packet = time_exceeded(socket.local.host, self._listener, target, data)
            self._sent(network.send_packet(packet))

    def _sent(self, failure: SendFailure | None) -> None:
        self._failure = failure
        self._counts.knocks += failure is None

    async def _by_step(self, checks: KnockChecks, number: int, step: Step) -> None:
        """Ask where a NAT's counter stands now, say so, and begin."""
        run = self.own.run
        socket = await open_path_socket(
            run.network, family=4, host=checks.socket.local.host, interface=run.options.interface
        )
        seen = await self._seen(socket)
        checks.driver.listen(socket)
        try:
            for _ in range(STEP_KNOCKS):
                self._knock(socket, seen, number)
            await checks.carry_out(run, self.timeline, step, socket, first=False)
        finally:
            checks.driver.release(socket)

    # --- words

    def _why_not(self, seen: Endpoint | None, checks: KnockChecks) -> NoPath:
        """What can be said of this side: the listener's says nothing to whom it does not hear."""
        if self._failure is not None:
            return NoPath((statement("pwnat-not-sent", failure=self._failure),))
        if self._options.compat and checks.driver.agent.rejected:
            return NoPath((statement("pwnat-hole-only", listener=str(self._listener)),))
        reasons = [statement("pwnat-no-answer", listener=str(self._listener), knocks=self._counts.knocks)]
        remedies: list[Statement] = []
        if not self.own.run.network.is_public(self._listener.host):
            reasons.append(statement("pwnat-private-listener", host=self._listener.host))
        if seen is None:
            reasons.append(statement("pwnat-behind-nat"))
            remedies.append(statement("pwnat-name-server"))
        elif seen != Endpoint(self._local_host(), seen.port):
            reasons.append(statement("pwnat-behind-nat"))
        return NoPath(tuple(reasons), (*remedies, statement("pwnat-test")))

    def _local_host(self) -> str:
        route = self.own.run.network.route(self._listener.host)
        return "" if route is None else route[1]
