"""The listener's side: beacons until somebody knocks, then checks to where the caller is."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from nattools.engine.punch.candidates import why_not_a_destination
from nattools.engine.punch.signals import A_PATH, AttemptAim
from nattools.engine.punch.timeline import NoPath
from nattools.engine.pwnat.beacons import Beacons, interval_s
from nattools.engine.pwnat.beaconsources import BeaconSource, EchoBeacons, UdpBeacons
from nattools.engine.pwnat.knockchecks import KnockChecks
from nattools.engine.pwnat.knockreceiver import KnockReceiver, ReceivedKnock
from nattools.engine.pwnat.knocksession import PLAN_TIMES, planned
from nattools.engine.pwnat.knockside import KnockContext, KnockSide
from nattools.engine.pwnat.outsideports import OutsidePorts
from nattools.model.endpoint import Endpoint, Transport, family_of
from nattools.model.statement import Statement, statement
from nattools.net.base import UdpSocket
from nattools.protocols.pwnat.knock import Knock
from nattools.protocols.pwnat.outside import Outside
from nattools.traversal.icedriver import open_path_socket
from nattools.traversal.path import SelectedPath

QUIET_S: Final = 6.0
"""A caller that is still there knocks at least every 2 s."""
CHECKS: Final = 400
"""Packets that go where knocks say that the caller is, beside what a plan takes."""


class KnockListener(KnockSide):
    """`open` first, `close` at the end. `replaced`: the caller is gone, and
    another one waits for its place."""

    def __init__(self, context: KnockContext) -> None:
        own, options = context.own, context.options
        super().__init__(context)
        self._receiver = KnockReceiver(self._keys, self._session, self._counts, self._wall, self._tell)
        nat = own.nat.udp4
        self._beacons = Beacons(self._counts, interval_s(None if nat is None else nat.binding_lifetime_s))
        self._source: BeaconSource = (EchoBeacons if options.compat else UdpBeacons)(self._receiver)
        self._socket: UdpSocket | None = None
        self.outside = OutsidePorts(own.run.network, self._source.send)
        self._port = options.port
        self._done: set[int] = set()
        self._refusal: Statement | None = None
        self.replaced = False
        self._loop = asyncio.get_running_loop()

    @property
    def leads(self) -> bool:
        return True

    def secured(self) -> None:
        super().secured()
        self._receiver.settled = True

    @property
    def newcomer_s(self) -> float | None:
        return self._receiver.newcomer_s

    def make_room(self) -> Statement:
        self.replaced = True
        return statement("pwnat-caller-gone")

    def begin_anew(self, wait_s: float) -> None:
        """Wait for another caller as at first, for so long. The connection with the one before has ended."""
        self.replaced = self.settled = False
        self._receiver.begin_anew()
        self._until = self._loop.time() + wait_s

    @property
    def peer(self) -> Endpoint | None:
        """Where the caller says that it is."""
        return None if self._checks is None else self._checks.place

    async def open(self) -> UdpSocket:
        """The socket that beacons leave from, and over which the connection goes. CannotRun: its port is
        taken."""
        if self._socket is None:
            run = self.own.run
            self._socket = await open_path_socket(
                run.network, family=4, port=self._port, interface=run.options.interface
            )
            self._port = self._socket.local.port
        return self._socket

    async def look_outside(self) -> Outside | None:
        """The outside port of the beacons, where it is not the own one and routers give it away; it takes the
        privilege for raw sockets. What is sent whole leaves by the system's route, whatever interface is
        named."""
        socket = await self.open()
        blind = self._options.compat or self.own.run.options.interface is not None
        return None if blind else await self.outside.look(socket)

    def close(self) -> None:
        """Idempotent."""
        self._beacons.stop()
        self._source.close()
        if self._checks is not None:
            self._checks.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def connect(
        self, *, resumes: bool = False, without: Transport | None = None, aim: AttemptAim = A_PATH
    ) -> SelectedPath | NoPath:
        """Wait for knocks, and follow them."""
        self._forget_path()
        socket = await self.open()
        await self._source.open(self.own.run.network, socket)
        self._beacons.start(self._source)
        if self._beacons.failure is not None:
            return NoPath((statement("pwnat-no-beacon", failure=self._beacons.failure),))
        self.timeline.note("beacon", self._source.told(socket.local.port))
        wait_s = self._wait_s()
        failed: NoPath | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while True:
                    path = await self._followed(socket, await self._receiver.next())
                    if isinstance(path, SelectedPath):
                        return path
                    failed = path or failed
        failed = failed or NoPath(self._why_nobody(wait_s), self._remedies(socket.local.port))
        self._close_checks()
        return failed

    def _why_nobody(self, wait_s: float) -> tuple[Statement, ...]:
        """Nobody was let in: did anybody try?"""
        if self._checks is not None:
            return (_silent(self._checks),)
        if self._refusal is not None:
            return (self._refusal,)
        nobody = statement("pwnat-nobody", wait_s=wait_s)
        if self._counts.forged:
            return nobody, statement("pwnat-forged", count=self._counts.forged)
        if self._counts.foreign:
            return nobody, statement("pwnat-foreign", count=self._counts.foreign)
        return (nobody,)

    def _remedies(self, port: int) -> tuple[Statement, ...]:
        """What would tell more."""
        blind = self.outside.lacks is not None and not self._counts.errors
        look = (statement("pwnat-look-as-root", port=port),) if blind else ()
        return (*look, statement("pwnat-test"))

    def _forget_path(self) -> None:
        """The path of the attempt before is lost, and its port is needed again."""
        self._close_checks()
        self._session.attempt = max(self._session.attempt, self._session.heard_of)
        self._receiver.forget(self._session.attempt)
        self._done.clear()

    def _close_checks(self) -> None:
        if self._checks is not None:
            self.sent += self._checks.sent
            self._checks.close()
            self._checks, self._socket = None, None

    def _tell(self, why: Statement) -> None:
        if why.code != "pwnat-no-secret":  # the end tells how many they were
            self._refusal = why
        self.timeline.note("knock", why, ok=False)

    # --- following a caller

    async def _followed(self, socket: UdpSocket, received: ReceivedKnock) -> SelectedPath | NoPath | None:
        """A path to the caller; why there is none; None: the knock tells of no place to send to."""
        place = self._place(received)
        if place is None:
            return None
        knock = received.knock
        if self._session.name != knock.session:
            self._turn_to(knock)
        self._session.attempt = self._session.heard_of = max(self._session.attempt, knock.attempt)
        known = "pwnat-called" if self._options.compat else "pwnat-knocked"
        self.timeline.note("knock", statement(known, place=str(place)), ok=True)
        self.budget.announce(_packets(knock), CHECKS)
        if self._checks is None:
            self._checks = KnockChecks(self._session, "listener", self.budget, socket)
            self._source.share(socket)
        checks = self._checks
        async with asyncio.TaskGroup() as group:
            following = group.create_task(self._follow(checks, received))
            connected = group.create_task(checks.driver.connected(3600.0))
            await asyncio.wait((following, connected), return_when=asyncio.FIRST_COMPLETED)
            for task in (following, connected):
                task.cancel()
        path = checks.path()
        if path is None:
            return NoPath((_silent(checks),))
        self.timeline.note("nomination", checks.nominated, ok=True)
        return path

    def _turn_to(self, knock: Knock) -> None:
        """The first caller, or another one: the one before has not got through and makes room. The port
        stays, for it is the one that callers know."""
        if self._checks is not None:
            self.timeline.note("knock", statement("pwnat-next-caller"))
            self.sent += self._checks.sent
            self._checks.driver.part_with(self._checks.socket)
            self._checks.driver.close()
            self._checks = None
        self._session.begin(knock.session)
        self._session.attempt = self._session.heard_of = knock.attempt
        self._done.clear()
        self._receiver.begin_turn(knock)

    async def _follow(self, checks: KnockChecks, received: ReceivedKnock) -> None:
        """Send to where each knock says, until there is none for a while, or another caller's turn."""
        with contextlib.suppress(TimeoutError):
            while True:
                if received.knock.session != self._session.name:
                    self._receiver.put_back(received)
                    return
                place = self._place(received)
                if place is not None and received.knock.attempt == self._session.attempt:
                    self._source.greet(checks.socket, place, self.budget)
                    checks.expect(place)
                    await self._step(checks, received.knock)
                async with asyncio.timeout(QUIET_S):
                    received = await self._receiver.next()

    async def _step(self, checks: KnockChecks, knock: Knock) -> None:
        """The plan's step that begins now, unless it has."""
        steps = planned(knock.nat, knock.listener) * PLAN_TIMES
        if not 0 < knock.step <= len(steps) or knock.step in self._done:
            return
        self._done.add(knock.step)
        self._receiver.hold(steps[knock.step - 1].seconds or 0.0)
        await checks.carry_out(self.own.run, self.timeline, steps[knock.step - 1], checks.socket, first=True)

    def _place(self, received: ReceivedKnock) -> Endpoint | None:
        """Where to send to; None: nothing may be sent there, and the person is told."""
        place = received.knock.place(received.source)
        if place is None:
            return None
        network = self.own.run.network
        refused = why_not_a_destination(network, place, None)
        if family_of(place.host) == 6:
            refused = statement("peer-address-refused", endpoint=str(place), reason="no IPv4 address")
        if refused is None and not network.is_public(place.host) and not self._is_near(place):
            refused = statement("pwnat-private-caller", place=str(place))
        if refused is not None:
            self._receiver.tell(refused)
            return None
        return place

    def _is_near(self, place: Endpoint) -> bool:
        """May a private address be on a network of ours?"""
        own = (host for each in self.own.run.network.interfaces() for host in each.addresses)
        return any(host.rpartition(".")[0] == place.host.rpartition(".")[0] for host in own)


def _silent(checks: KnockChecks) -> Statement:
    """What a caller did after its knock, if not what was wanted."""
    code = "pwnat-caller-other" if checks.driver.agent.rejected else "pwnat-caller-silent"
    return statement(code, place=str(checks.place))


def _packets(knock: Knock) -> int:
    steps = planned(knock.nat, knock.listener)
    return sum(step.packets[0] for step in steps if step.packets is not None)
