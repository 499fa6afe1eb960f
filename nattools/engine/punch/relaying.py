"""The relay of an attempt: it is asked for an allocation beside the direct tries, and what it gives is
offered to the checks of both sides when those have failed, or have taken too long."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from nattools.engine.measurement import MeasurementRun
from nattools.engine.punch.relayopening import RelayOpening
from nattools.engine.punch.timeline import Timeline
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.statement import Statement, statement
from nattools.net.derp.derpsocket import DerpSocket
from nattools.net.eventloop import TimeLimit
from nattools.protocols import derp, ice
from nattools.traversal.icedriver import IceDriver
from nattools.traversal.relayaccess import AnyAccess, DerpAccess

AFTER_S: Final = 10.0
"""After so long without a direct path a relayed one is used; direct ones are looked for all the same."""
WAIT_S: Final = 12.0
"""So long a relayed path is waited for when nothing else is left: the relay may have to be reached over TCP,
and its address told to the peer."""
BY_TOKENS_S: Final = 60.0
"""In place of `AFTER_S` where the two begin when each has the other's token: a first round of all steps."""
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
        self._network = run.network
        self._driver = driver
        self._timeline = timeline
        self._opening = RelayOpening(run, access, lambda: keys(True))
        self._peers = tuple(_outside(peer_candidates))[:MOST_PERMITTED]
        self._due = asyncio.Event()
        self._keys = keys

    @property
    def problem(self) -> tuple[Statement, ...]:
        """See above."""
        return self._opening.problem

    def begin(self) -> None:
        """Use what the relay gives, from now on. Idempotent."""
        self._due.set()

    async def run(self, after_s: float = AFTER_S) -> None:
        """Ask for an allocation, and offer it when its time has come; then it is the driver's. Else it is
        given back."""
        try:
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(self._wait(after_s))
                opened = await self._opening.open()
                if opened is None:
                    waiting.cancel()
            self._opening.take()
        finally:
            self._opening.close()
        if opened is None:
            self._timeline.note("attempt", *self.problem, ok=False, strategy="relay")
            return
        access, socket = opened
        place = statement("relay-allocated", uri=access.text, relayed=str(socket.local))
        self._timeline.note("attempt", place, strategy="relay")
        until = math.inf if isinstance(access, DerpAccess) else access.until
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
