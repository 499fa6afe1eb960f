"""When a QUIC connection leaves slow start: HyStart++ (RFC 9406). Pure.

A round trip that grows is the first sign of a queue. It may be another program's, or this machine's own work;
so the window first grows more slowly for some rounds, and as before if the round trip falls again.
"""

from __future__ import annotations

import math
from typing import Final

LEAST_S: Final = 0.004
MOST_S: Final = 0.016
DIVISOR: Final = 8
"""A round trip has grown if it is longer by this share of the last round's, within these bounds (4.2)."""
SAMPLES: Final = 8
"""Round trips without which a round tells nothing."""
CAUTION: Final = 4
"""So much more slowly the window grows in the cautious rounds."""
ROUNDS: Final = 5


class SlowStart:
    """Rounds, and the shortest round trip in each.

    Driving contract: `acknowledged` for each packet, `measured` for each round trip, in seconds of one clock.
    Over when `over`; `divisor` says by how much less the window is to grow until then.
    """

    def __init__(self) -> None:
        self.over = False
        self._began = -math.inf
        self._samples = 0
        self._shortest_s = self._before_s = math.inf
        self._grown_to_s: float | None = None
        self._cautious_rounds = 0

    @property
    def divisor(self) -> int:
        """1, or CAUTION after the round trip has grown."""
        return 1 if self._grown_to_s is None else CAUTION

    def acknowledged(self, sent_at: float, now: float) -> None:
        """A round is over when a packet arrives that was sent within it."""
        if sent_at < self._began:
            return
        self._began = now
        self._before_s, self._shortest_s, self._samples = self._shortest_s, math.inf, 0
        if self._grown_to_s is not None:
            self._cautious_rounds += 1
            self.over = self.over or self._cautious_rounds >= ROUNDS

    def measured(self, rtt_s: float) -> None:
        """Another round trip of this round."""
        self._samples += 1
        self._shortest_s = min(self._shortest_s, rtt_s)
        if self._samples < SAMPLES or self._before_s == math.inf:
            return
        if self._grown_to_s is not None:
            if self._shortest_s < self._grown_to_s:
                self._grown_to_s = None
        elif self._shortest_s >= self._before_s + min(MOST_S, max(LEAST_S, self._before_s / DIVISOR)):
            self._grown_to_s, self._cautious_rounds = self._shortest_s, 0
