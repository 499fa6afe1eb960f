"""Each knock counts once, and only while it is fresh. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal

from nattools.protocols.pwnat.knock import Knock

WINDOW_S: Final = 300.0
"""So far two machines' clocks may be apart, the time under way included."""
MOST: Final = 4096
"""Knocks that are remembered. Only who knows the secret can bring one that is new."""

Doubt = Literal["replayed", "stale"]


class KnockFilter:
    """`doubt` once for each authentic knock, with `now` in seconds of UTC. `apart_s`: how far off the clock
    of the last stale one was (positive: it is behind)."""

    def __init__(self) -> None:
        self.apart_s: float | None = None
        self._seen: OrderedDict[tuple[bytes, int], float] = OrderedDict()

    def doubt(self, knock: Knock, now: float) -> Doubt | None:
        """Why it is not to be followed; None: it is, for this one time."""
        apart_s = now - knock.sent_ms / 1000
        if abs(apart_s) > WINDOW_S:
            self.apart_s = apart_s
            return "stale"
        key = (knock.session, knock.number)
        if key in self._seen:
            return "replayed"
        self._seen[key] = now
        while len(self._seen) > MOST:
            self._seen.popitem(last=False)
        return None
