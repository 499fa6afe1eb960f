"""How fast to check: the pause between checks, and the time to wait for an answer, from round trips that
were measured rather than from fixed figures (RFC 8445 14, RFC 6298)."""

from __future__ import annotations

from typing import Final

import msgspec

MIN_TA_S: Final = 0.005
"""RFC 8445 14.2 allows no less."""
MAX_TA_S: Final = 0.05
INITIAL_BURST: Final = 20
"""So many checks go out at the shortest pause before anything is known of the path: 2 kB in 0.1 s."""
UNKNOWN_TA_S: Final = 0.02

MIN_RTO_S: Final = 0.05
MAX_RTO_S: Final = 1.5
UNKNOWN_RTO_S: Final = 0.25


class RoundTripEstimate:
    """A smoothed round trip time (RFC 6298 2). All in seconds; None before the first sample."""

    __slots__ = ("lowest_s", "smoothed_s", "variation_s")

    def __init__(self) -> None:
        self.smoothed_s: float | None = None
        self.variation_s = 0.0
        self.lowest_s: float | None = None

    def add(self, sample_s: float) -> None:
        """Take one measurement, of a request that was sent once (Karn's algorithm)."""
        sample_s = max(0.0, sample_s)
        if self.smoothed_s is None or self.lowest_s is None:
            self.smoothed_s, self.variation_s, self.lowest_s = sample_s, sample_s / 2, sample_s
            return
        self.variation_s += (abs(self.smoothed_s - sample_s) - self.variation_s) / 4
        self.smoothed_s += (sample_s - self.smoothed_s) / 8
        self.lowest_s = min(self.lowest_s, sample_s)

    @property
    def rto_s(self) -> float | None:
        """How long to wait for an answer before asking again."""
        if self.smoothed_s is None:
            return None
        wanted = self.smoothed_s + max(0.01, 4 * self.variation_s)
        return min(MAX_RTO_S, max(MIN_RTO_S, wanted))


class Pacer:
    """Spaces the checks of one agent. `expected_rtt_s` is a guess to begin with, as the round trip to a STUN
    server that both peers use; None without one."""

    def __init__(self, expected_rtt_s: float | None = None) -> None:
        self.round_trip = RoundTripEstimate()
        self._expected_s = expected_rtt_s
        self._started = 0
        self._last: float | None = None

    @property
    def ta_s(self) -> float:
        """The pause between two checks that nothing hurries: a quarter of a round trip, so that a fast path
        is searched fast and a slow one is not flooded with checks whose answers cannot be there yet."""
        measured = self.round_trip.smoothed_s
        if measured is not None:
            return min(MAX_TA_S, max(MIN_TA_S, measured / 4))
        return MIN_TA_S if self._started < INITIAL_BURST else UNKNOWN_TA_S

    def rto_s(self, of_pair: RoundTripEstimate) -> float:
        """For a check: the pair's own round trip, else the agent's, else the guess."""
        known = of_pair.rto_s or self.round_trip.rto_s
        if known is not None:
            return known
        if self._expected_s is None:
            return UNKNOWN_RTO_S
        return min(MAX_RTO_S, max(MIN_RTO_S, 2 * self._expected_s + 0.02))

    def next_start(self, now: float, hurried: bool) -> float:
        """When the next check may start. `hurried`: triggered checks wait for nothing. Each answers an
        authenticated check of the peer, so they are no more than those, and never a burst of our own."""
        if self._last is None or hurried:
            return now
        return self._last + self.ta_s

    def started(self, now: float) -> None:
        """A check was started."""
        self._started += 1
        self._last = now


class OpeningChecks(msgspec.Struct, frozen=True, kw_only=True):
    """Low-TTL packets that open the own NAT and die before the peer's, whose reaction to an early packet may
    be to refuse all later ones. Where it only drops what comes too early, `ttl` is None: all of them go the
    whole way, and the first one in time counts.

    The first `count` transmissions of each ordinary check have this `ttl`, `gap_s` seconds apart; the next
    one, `gap_s` after the last of them, is a full one. Triggered checks have no openers: the peer's packet
    came through, so its NAT is open.
    """

    ttl: int | None
    count: int = 1
    gap_s: float = 0.2
