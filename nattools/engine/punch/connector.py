"""Attempt after attempt at a path to the peer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from nattools.engine.punch.attempt import Attempt, prepare
from nattools.engine.punch.candidates import Base
from nattools.engine.punch.localside import LocalSide, RouterMapping, measure_again
from nattools.engine.punch.options import AnnouncedPlan
from nattools.engine.punch.pathfinder import PathFinder
from nattools.engine.punch.signaling import Signaling, Superseded
from nattools.engine.punch.signals import A_PATH, AttemptAim, Introduction
from nattools.engine.punch.timeline import NoPath, Timeline
from nattools.model.endpoint import Transport
from nattools.model.statement import Statement, statement
from nattools.protocols import ice
from nattools.traversal.path import SelectedPath
from nattools.traversal.relayaccess import AnyAccess, with_new_credentials

MOST_SHOWN: Final = 6
"""Candidates that the timeline names."""
MOST_RESTARTS: Final = 8
"""So often the peer may start over before one attempt is finished."""


class Connector(PathFinder):
    """Makes attempts by the plan that both sides draw from their introductions."""

    def __init__(
        self,
        own: LocalSide,
        signaling: Signaling,
        timeline: Timeline,
        announce: Callable[[AnnouncedPlan], None],
        router: RouterMapping | None = None,
        prepared: tuple[Introduction, list[Base]] | None = None,
    ) -> None:
        """`prepared`: the introduction and sockets of the first attempt, if the peer knows them already."""
        super().__init__(own, timeline)
        self._signaling = signaling
        self._router = router
        self._prepared = prepared
        self._announce = announce
        self._number = 0

    @property
    def signaling(self) -> Signaling:
        return self._signaling

    @property
    def leads(self) -> bool:
        return self.last is not None and self.last.leads

    @property
    def resumes(self) -> bool:
        return self.last is not None and self.last.resumes

    async def connect(
        self, *, resumes: bool = False, without: Transport | None = None, aim: AttemptAim = A_PATH
    ) -> SelectedPath | NoPath:
        """One attempt, or a later one if the peer is ahead. `resumes`: as in `Introduction`."""
        if self.moved:
            self.own = await measure_again(self.own, self.timeline)
            self.moved = False
        own = self.own.without(without)
        self._number = max(self._number, self._signaling.heard_of)
        for _ in range(MOST_RESTARTS):
            number, self._number = self._number, self._number + 1  # spent, also if this is broken off
            self._signaling.begin(number, aim)
            relays = () if aim.search else self._relays()
            direct = aim.search > 0
            introduction, bases = self._prepared or await self._prepare(own, number, resumes, relays, direct)
            self._prepared = None
            if not aim.aside:
                self.timeline.note("candidates", *_addresses(introduction.candidates))
            attempt = Attempt(
                own,
                self._signaling,
                number,
                self.timeline,
                self._announce,
                self.budget,
                self._router,
                relays,
                aim,
            )
            self.last = attempt
            if not aim.aside:
                self.announced = attempt
            try:
                found = await attempt.go(introduction, bases)
            finally:
                self.sent += attempt.sent
            if not isinstance(found, Superseded):
                return found
            self._number = found.attempt
        return NoPath((statement("peer-begins-again"),))

    def _relays(self) -> tuple[AnyAccess, ...]:
        """Those that this side can use: named by the user, or else offered by the mailbox."""
        options = self.own.options
        if options.relaying == "never":
            return ()
        now = asyncio.get_running_loop().time()
        renewed = (with_new_credentials(each, now=now) for each in options.relays)
        return tuple(renewed) or self._signaling.relays

    async def _prepare(
        self, own: LocalSide, number: int, resumes: bool, relays: tuple[AnyAccess, ...], direct: bool
    ) -> tuple[Introduction, list[Base]]:
        agent = ice.Agent("controlling")  # for its choice of credentials
        return await prepare(
            own,
            number,
            agent.credentials,
            asks_router=self._router is not None and not self._router.settled,
            resumes=resumes,
            relay=relays[0].text if relays else "",
            direct=direct,
        )


def _addresses(candidates: tuple[str, ...]) -> Iterator[Statement]:
    shown = [ice.parse(text) for text in candidates[:MOST_SHOWN]]
    own = tuple(str(each.endpoint) for each in shown if each.kind != "srflx")
    external = tuple(str(each.endpoint) for each in shown if each.kind == "srflx")
    if own:
        yield statement("own-addresses", endpoints=own)
    if external:
        yield statement("external-addresses", endpoints=external)
    if len(candidates) > MOST_SHOWN:
        yield statement("more-addresses", count=len(candidates) - MOST_SHOWN)
    if not candidates:
        yield statement("no-addresses")
