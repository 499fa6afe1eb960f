"""When a path over a relay is to be replaced by another one, before the credentials end by which the relay
lets this side in."""

from __future__ import annotations

import math
from typing import Final

PART: Final = 1 / 8
"""Of what was left when the path was found: with so much left it is replaced."""
LEAST_PAUSE_S: Final = 30.0


class RelayRenewal:
    """Ask whether it is `due` now and then. What comes to nothing is tried again, with a fourth of the time
    that is left in between, until the credentials have ended: a relay that passes packets on after that may
    do so for days. However soon they end, they are renewed once, and `LEAST_PAUSE_S` lies between two times:
    a mailbox may offer some that hold for a second, again and again."""

    def __init__(self) -> None:
        self._until = math.inf
        self._next_at = math.inf
        self._not_before = -math.inf
        self._tried = False

    def due(self, until: float, now: float) -> bool:
        """Is it time? `until`: when the credentials of the path in use end (infinity: they do not, or it is
        direct); both on the loop's clock."""
        if until != self._until:
            self._until, self._tried = until, False
            self._next_at = until - PART * (until - now) if math.isfinite(until) else math.inf
        if now < max(self._next_at, self._not_before) or (self._tried and now >= until):
            return False
        self._tried = True
        self._not_before = now + LEAST_PAUSE_S
        self._next_at = now + (until - now) / 4
        return True
