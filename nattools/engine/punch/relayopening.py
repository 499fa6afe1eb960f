"""An allocation on a relay, by whichever of several ways gives one first; and one that is held until the
peer's token is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from nattools.engine.measurement import MeasurementRun
from nattools.engine.punch.timeline import Timeline
from nattools.model.statement import Statement, statement
from nattools.net.derp.derpsocket import DerpSocket, open_derp
from nattools.net.turn.turnopening import open_relayed
from nattools.net.turn.turnsocket import RelayedSocket
from nattools.net.web.serversteps import StepFailure, Steps
from nattools.protocols import derp
from nattools.traversal.relayaccess import AnyAccess, DerpAccess, HeldAccess, TurnAccess

_OPEN_S: Final = 10.0
_HEAD_START_S: Final = 1.0
"""Before the next way to a relay is tried beside the first."""


class OpenedRelay(NamedTuple):
    """What gave it, and the socket."""

    access: AnyAccess
    socket: RelayedSocket | DerpSocket


class RelayOpening:
    """`open` it once; then `problem` says why some ways lead nowhere. `close` what nobody has taken."""

    def __init__(
        self, run: MeasurementRun, ways: tuple[AnyAccess, ...], keys: Callable[[], derp.KeyPair]
    ) -> None:
        """`run`: its network, families and interface are used; `keys`: this side's at a DERP server."""
        self.problem: tuple[Statement, ...] = ()
        self._network = run.network
        self._options = run.options
        self._ways = ways
        self._keys = keys
        self._opened: OpenedRelay | None = None

    async def open(self) -> OpenedRelay | None:
        """By the first way that leads to an allocation; each begins a little after the one before."""
        async with asyncio.TaskGroup() as group:
            waiting = {
                group.create_task(self._by(access, number * _HEAD_START_S))
                for number, access in enumerate(self._ways)
            }
            while waiting and self._opened is None:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        return self._opened

    def take(self) -> None:
        """From now on the socket is somebody else's to close."""
        self._opened = None

    def close(self) -> None:
        """Give back what was not taken. Idempotent."""
        if self._opened is not None:
            self._opened.socket.close()

    async def _by(self, access: AnyAccess, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        socket = await self._opening(access)
        if isinstance(socket, StepFailure):
            self.problem = (*self.problem, _why(access, socket))
        elif self._opened is not None:
            socket.close()
        else:
            self._opened = OpenedRelay(access, socket)

    async def _opening(self, access: AnyAccess) -> RelayedSocket | DerpSocket | StepFailure:
        network, families = self._network, self._options.families
        family, interface = families[0] if len(families) == 1 else None, self._options.interface
        if isinstance(access, HeldAccess):
            if access.socket.ended is None:
                return access.socket
            return Steps().failed("allocate", "closed", "what the token told of is over")
        if isinstance(access, DerpAccess):
            return await open_derp(
                network,
                access.node,
                self._keys(),
                family=family,
                interface=interface,
                timeout_s=_OPEN_S,
            )
        return await open_relayed(
            network,
            access.uri,
            access.credentials,
            family=family,
            interface=interface,
            security=access.security,
            timeout_s=_OPEN_S,
        )


def _why(access: AnyAccess, failure: StepFailure) -> Statement:
    return statement(
        "relay-refused", uri=access.text, step=failure.step, detail=failure.detail or failure.cause
    )


async def hold_relay(
    run: MeasurementRun, relays: tuple[AnyAccess, ...], timeline: Timeline
) -> tuple[AnyAccess, ...]:
    """The same relays with an allocation in place of all those that would have to tell the peer its address;
    the DERP servers stay as they are."""
    opening = RelayOpening(run, tuple(each for each in relays if isinstance(each, TurnAccess)), derp.KeyPair)
    others = tuple(each for each in relays if not isinstance(each, TurnAccess))
    try:
        opened = await opening.open()
        if opened is None:
            if opening.problem:
                timeline.note("token", *opening.problem, ok=False, strategy="relay")
            return others
        access, socket = opened
        assert isinstance(access, TurnAccess)
        assert isinstance(socket, RelayedSocket)
        place = statement("relay-allocated", uri=access.text, relayed=str(socket.local))
        timeline.note("token", place, strategy="relay")
        opening.take()
        return (HeldAccess(access, socket), *others)
    finally:
        opening.close()
