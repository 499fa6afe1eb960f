"""What listener and caller have in common: they know each other by a secret alone, and whoever does not go on
makes room for the next attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from nattools.engine.punch.localside import LocalSide
from nattools.engine.punch.pathfinder import PathFinder
from nattools.engine.punch.timeline import Timeline
from nattools.engine.pwnat.knockchecks import KnockChecks
from nattools.engine.pwnat.knockoptions import PwnatCounts, PwnatOptions
from nattools.engine.pwnat.knocksession import KnockSession
from nattools.protocols.pwnat.secret import keys_of

LATER_S: Final = 30.0
"""How long one attempt takes when a connection was lost."""
MOST_PEERS: Final = 100
PEER_S: Final = 5.0
"""So long a peer that has answered may take to secure the path: it may have ended, or begun anew."""


class KnockContext(NamedTuple):
    """What both are given. `wall`: seconds of UTC."""

    own: LocalSide
    options: PwnatOptions
    timeline: Timeline
    counts: PwnatCounts
    wall: Callable[[], float]


class KnockSide(PathFinder):
    """`settled`: there has been a connection. `session`: its name, of the side that begins it."""

    def __init__(self, context: KnockContext, session: bytes | None = None) -> None:
        super().__init__(context.own, context.timeline)
        self.settled = False
        self._options = context.options
        self._counts = context.counts
        self._wall = context.wall
        self._keys = keys_of(context.options.secret)
        self._session = KnockSession(self._keys, session)
        self._checks: KnockChecks | None = None
        self._until: float | None = None

    @property
    def signaling(self) -> KnockSession:
        return self._session

    @property
    def compat(self) -> bool:
        """Does it speak as the original does?"""
        return self._options.compat

    @property
    def first_paths(self) -> int:
        """Whoever knows the secret may answer and then leave; the next one is looked for all the same."""
        return MOST_PEERS

    @property
    def secure_s(self) -> float:
        return PEER_S

    def secured(self) -> None:
        self.settled = True

    def _wait_s(self) -> float:
        """For one attempt: all first ones together have the time that was asked for."""
        now = asyncio.get_running_loop().time()
        if self._until is None:
            self._until = now + self._options.wait_s
        return LATER_S if self.settled else max(0.0, self._until - now)
