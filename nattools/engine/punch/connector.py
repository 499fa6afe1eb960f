"""Attempt after attempt, as often as a connection is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nattools.engine.punch.attempt import Attempt, Failed, prepare
from nattools.engine.punch.candidates import Base
from nattools.engine.punch.mapping import RouterMapping
from nattools.engine.punch.messages import Introduction
from nattools.engine.punch.options import Announced
from nattools.engine.punch.own import Own, measured_anew
from nattools.engine.punch.partner import Partner, Superseded
from nattools.engine.punch.timeline import Timeline
from nattools.engine.punch.way import Way
from nattools.protocols import ice

MOST_BEGINNINGS: Final = 8
"""So often the other side may begin anew before one attempt is finished."""


class Connector:
    """`connect` makes a connection, and a new one when that is lost. `last` is the latest attempt;
    `moved`: set it when this machine has come into another network, which is measured anew then."""

    def __init__(
        self,
        own: Own,
        partner: Partner,
        timeline: Timeline,
        announce: Callable[[Announced], None],
        router: RouterMapping | None = None,
        prepared: tuple[Introduction, list[Base]] | None = None,
    ) -> None:
        """`prepared`: the introduction and sockets of the first attempt, if the peer knows them already."""
        self.own, self.partner, self.timeline = own, partner, timeline
        self._router = router
        self._prepared = prepared
        self.last: Attempt | None = None
        self.moved = False
        self.sent = 0
        self._announce = announce
        self._number = 0

    async def connect(self, *, resumes: bool = False) -> Way | Failed:
        """One attempt, or a later one if the other side is ahead. `resumes`: as in `Introduction`.

        CannotRun: this machine is in no network."""
        if self.moved:
            self.own = await measured_anew(self.own, self.timeline)
            self.moved = False
        self._number = max(self._number, self.partner.heard_of)
        for _ in range(MOST_BEGINNINGS):
            number, self._number = self._number, self._number + 1  # spent, also if this is broken off
            self.partner.begin(number)
            introduction, bases = self._prepared or await self._prepare(number, resumes)
            self._prepared = None
            self._note_candidates(introduction.candidates)
            attempt = Attempt(self.own, self.partner, number, self.timeline, self._announce, self._router)
            self.last = attempt
            try:
                way = await attempt.go(introduction, bases)
            finally:
                self.sent += attempt.sent
            if not isinstance(way, Superseded):
                return way
            self._number = way.attempt
        return Failed("The other side begins anew again and again.")

    async def _prepare(self, number: int, resumes: bool) -> tuple[Introduction, list[Base]]:
        agent = ice.Agent("controlling")  # for its choice of credentials
        return await prepare(
            self.own,
            number,
            agent.credentials,
            asks_router=self._router is not None and not self._router.settled,
            resumes=resumes,
        )

    def _note_candidates(self, texts: tuple[str, ...]) -> None:
        places = ", ".join(_place(text) for text in texts[:6]) or "none"
        more = f" and {len(texts) - 6} more" if len(texts) > 6 else ""
        self.timeline.note("candidates", f"can be tried at {places}{more}")


def _place(text: str) -> str:
    candidate = ice.parse(text)
    return f"{candidate.endpoint} ({'seen from outside' if candidate.kind == 'srflx' else 'own address'})"
