"""The relay of an attempt: it is asked for an allocation beside the direct tries, and what it gives is
offered to the checks of both sides when those have failed, or have taken too long."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from nattools.engine.measurement import MeasurementRun
from nattools.engine.punch.timeline import Timeline
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.statement import Statement, statement
from nattools.net.derpsocket import DerpSocket, open_derp
from nattools.net.eventloop import TimeLimit
from nattools.net.serversteps import StepFailure
from nattools.net.turnopening import open_relayed
from nattools.net.turnsocket import RelayedSocket
from nattools.protocols import derp, ice
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.relayaccess import AnyAccess, DerpAccess, TurnAccess

AFTER_S: Final = 10.0
"""After so long without a direct path a relayed one is used; direct ones are looked for all the same."""
WAIT_S: Final = 12.0
"""So long a relayed path is waited for when nothing else is left: the relay may have to be reached over TCP,
and its address told to the peer."""
_OPEN_S: Final = 10.0
_HEAD_START_S: Final = 1.0
"""Before the next way to a relay is tried beside the first."""
MOST_PERMITTED: Final = 8


class AttemptRelay:
    """`run` it beside an attempt; `begin` says that nothing else is left. `problem`: why there is none."""

    def __init__(
        self,
        run: MeasurementRun,
        driver: IceDriver,
        timeline: Timeline,
        access: tuple[AnyAccess, ...],
        peer_candidates: tuple[str, ...],
        keys: Callable[[bool], derp.KeyPair],
    ) -> None:
        """`run`: its network, families and interface are used; `keys`: this side's own (True) at a DERP
        server, and the peer's."""
        self.problem: tuple[Statement, ...] = ()
        self._network = run.network
        self._options = run.options
        self._driver = driver
        self._timeline = timeline
        self._access = access
        self._peers = tuple(_outside(peer_candidates))[:MOST_PERMITTED]
        self._due = asyncio.Event()
        self._keys = keys
        self._opened: RelayedSocket | DerpSocket | None = None

    def begin(self) -> None:
        """Use what the relay gives, from now on. Idempotent."""
        self._due.set()

    async def run(self, after_s: float = AFTER_S) -> None:
        """Ask for an allocation, and offer it when its time has come; then it is the driver's. Else it is
        given back."""
        try:
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(self._wait(after_s))
                access = await self._open()
                if access is None:
                    waiting.cancel()
            socket, self._opened = self._opened, None
        finally:
            if self._opened is not None:
                self._opened.close()
        if access is None or socket is None:
            self._timeline.note("attempt", *self.problem, ok=False, strategy="relay")
            return
        place = statement("relay-allocated", uri=access.text, relayed=str(socket.local))
        self._timeline.note("attempt", place, strategy="relay")
        until = access.until if isinstance(access, TurnAccess) else math.inf
        self._driver.add_relayed(socket, access.text, until)
        if isinstance(socket, DerpSocket):
            there = socket.permit(self._keys(False).public)
            self._driver.add_peer_candidate(ice.encode(ice.local_candidate("relay", there)), access.text)
            return
        async with asyncio.TaskGroup() as group:
            for peer in self._peers:
                if peer.family == socket.local.family and self._network.is_public(peer.host):
                    group.create_task(socket.permit(peer))

    async def _wait(self, after_s: float) -> None:
        async with TimeLimit(after_s):
            await self._due.wait()

    async def _open(self) -> AnyAccess | None:
        """By the first way that leads to an allocation; each begins a little after the one before."""
        async with asyncio.TaskGroup() as group:
            tasks = {
                group.create_task(self._by(access, number * _HEAD_START_S)): access
                for number, access in enumerate(self._access)
            }
            waiting = set(tasks)
            while waiting and self._opened is None:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        return next((tasks[task] for task in tasks if not task.cancelled() and task.result()), None)

    async def _by(self, access: AnyAccess, pause_s: float) -> bool:
        """Has this way led to the allocation that is used?"""
        await asyncio.sleep(pause_s)
        opened = await self._opening(access)
        if isinstance(opened, StepFailure):
            self.problem = (*self.problem, _why(access, opened))
            return False
        if self._opened is not None:
            opened.close()
            return False
        self._opened = opened
        return True

    async def _opening(self, access: AnyAccess) -> RelayedSocket | DerpSocket | StepFailure:
        network, families = self._network, self._options.families
        family, interface = families[0] if len(families) == 1 else None, self._options.interface
        if isinstance(access, DerpAccess):
            return await open_derp(
                network,
                access.node,
                self._keys(True),
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


def _outside(candidates: Iterable[str]) -> Iterator[Endpoint]:
    """Where the peer's packets may come from, each address once: a permission is for all ports of one."""
    known: set[str] = set()
    for text in candidates:
        try:
            candidate = ice.parse(text)
        except ProtocolError:
            continue
        if candidate.transport == "udp" and candidate.endpoint.host not in known:
            known.add(candidate.endpoint.host)
            yield candidate.endpoint
