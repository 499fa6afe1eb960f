"""What one way of asking a server tells another."""

from __future__ import annotations

LAST_WAIT_S = 0.5


class Hint:
    """What the same server's TCP port told of the round trip, so that its silence over UDP need not be
    waited for longer than the path asks."""

    def __init__(self) -> None:
        self.rtt_s: float | None = None

    def gap_s(self, ordinary_s: float) -> float:
        """The next gap between copies."""
        return ordinary_s if self.rtt_s is None else min(ordinary_s, max(0.03, 2 * self.rtt_s))

    def last_wait_s(self) -> float:
        """After the last copy."""
        return LAST_WAIT_S if self.rtt_s is None else min(LAST_WAIT_S, 0.15 + 3 * self.rtt_s)
