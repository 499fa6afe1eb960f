"""What listener and caller have in common: they know each other by a secret alone, and whoever does not go on
makes room for the next attempt."""

from __future__ import annotations

import asyncio
from typing import Final

from nattools.engine.punch.local_side import LocalSide
from nattools.engine.punch.pathfinder import PathFinder
from nattools.engine.punch.timeline import Timeline
from nattools.engine.pwnat.knockoptions import PwnatOptions

LATER_S: Final = 30.0
"""How long one attempt takes when a connection was lost."""
MOST_PEERS: Final = 100
PEER_S: Final = 5.0
"""So long a peer that has answered may take to secure the path: it may have ended, or begun anew."""


class KnockSide(PathFinder):
    """`settled`: there has been a connection."""

    def __init__(self, own: LocalSide, options: PwnatOptions, timeline: Timeline) -> None:
        super().__init__(own, timeline)
        self.settled = False
        self._options = options
        self._until: float | None = None

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
