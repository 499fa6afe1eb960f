"""The relay of an attempt: it is asked for an allocation beside the direct tries, and what it gives is
offered to the checks of both sides when those have failed, or have taken too long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Final

from nattools.engine.punch.timeline import Timeline
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.statement import Statement, statement
from nattools.net.base import Network
from nattools.net.steps import StepFailure
from nattools.net.turnopening import open_relayed
from nattools.net.turnsocket import RelayedSocket
from nattools.protocols import ice
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.relayaccess import RelayAccess

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
        network: Network,
        driver: IceDriver,
        timeline: Timeline,
        access: tuple[RelayAccess, ...],
        peer_candidates: tuple[str, ...],
    ) -> None:
        self.problem: tuple[Statement, ...] = ()
        self._network = network
        self._driver = driver
        self._timeline = timeline
        self._access = access
        self._peers = tuple(dict.fromkeys(_outside(peer_candidates)))[:MOST_PERMITTED]
        self._due = asyncio.Event()
        self._opened: RelayedSocket | None = None

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
        place = statement("relay-allocated", uri=access.uri.text, relayed=str(socket.local))
        self._timeline.note("attempt", place, strategy="relay")
        self._driver.add_relayed(socket, access.uri.text)
        async with asyncio.TaskGroup() as group:
            for peer in self._peers:
                if peer.family == socket.local.family and self._network.is_public(peer.host):
                    group.create_task(socket.permit(peer))

    async def _wait(self, after_s: float) -> None:
        try:
            async with asyncio.timeout(after_s):
                await self._due.wait()
        except TimeoutError:
            pass

    async def _open(self) -> RelayAccess | None:
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

    async def _by(self, access: RelayAccess, pause_s: float) -> bool:
        """Has this way led to the allocation that is used?"""
        await asyncio.sleep(pause_s)
        opened = await open_relayed(
            self._network, access.uri, access.credentials, security=access.security, timeout_s=_OPEN_S
        )
        if isinstance(opened, StepFailure):
            self.problem = (*self.problem, _why(access, opened))
            return False
        if self._opened is not None:
            opened.close()
            return False
        self._opened = opened
        return True


def _why(access: RelayAccess, failure: StepFailure) -> Statement:
    return statement(
        "relay-refused", uri=access.uri.text, step=failure.step, detail=failure.detail or failure.cause
    )


def _outside(candidates: Iterable[str]) -> Iterator[Endpoint]:
    """Where the peer's packets may come from."""
    for text in candidates:
        try:
            candidate = ice.parse(text)
        except ProtocolError:
            continue
        if candidate.transport == "udp":
            yield Endpoint(candidate.endpoint.host, candidate.endpoint.port)
