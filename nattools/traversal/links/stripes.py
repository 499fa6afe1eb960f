"""How many QUIC connections a link sends over. Pure.

Congestion control takes each lost packet for a full queue, though on radio many losses say nothing about the
load. A full queue makes the round trip longer, which can be measured: where there is always something to
send, the rate no longer grows, and the round trip shows no queue, one more connection is used; where it shows
one most of the time, one less.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

MOST: Final = 8
LEAST_ROUND_TRIP_S: Final = 0.005
"""Below, one connection recovers so fast that others are of no use."""
QUEUE_S: Final = 0.003
QUEUE_SHARE: Final = 0.1
"""A queue stands where the round trip is longer than the shortest by so much and this share of it."""
GROWTH: Final = 1.2
"""A rate that grows by this factor a round is still on its way up."""
SHARE_OF_ROUND: Final = 0.2
"""A round's share in how often a queue has stood lately."""
RARELY: Final = 0.15
OFTEN: Final = 0.5
"""One more connection where a queue stands less often than this, one less where it stands more often."""
LEAST_ROUND_S: Final = 0.05
LEAST_BYTES: Final = 10_000
"""Who sends less in a round has not made the queue that it sees: it stands in the other direction."""
UNUSED_S: Final = 0.002
"""Who has nothing to send for longer than it takes to write more was not busy."""
SETTLING: Final = 2
"""Rounds in which a change shows."""


class StripeCount:
    """Driving contract: `round_over` about once a round trip, while something is sent; `wanted` is the number
    of connections to use from then on. `new_path` when what was measured is of no use any more."""

    def __init__(self) -> None:
        self.wanted = 1
        self.new_path()

    def new_path(self) -> None:
        """Begin to measure anew; as many connections are used as before."""
        self._shortest_s = math.inf
        self._rates: deque[float] = deque(maxlen=3)
        self._queued = 0.0
        self._settling = 0

    def round_over(self, bytes_per_s: float, rtt_s: float, *, busy: bool) -> None:
        """What has left, the shortest round trip that was seen, and whether there was more to send all the
        time."""
        self._shortest_s = min(self._shortest_s, rtt_s)
        queue = rtt_s - self._shortest_s > max(QUEUE_S, self._shortest_s * QUEUE_SHARE)
        settled = len(self._rates) == self._rates.maxlen
        grows = settled and bytes_per_s > GROWTH * max(self._rates)
        self._rates.append(bytes_per_s)
        self._queued += (queue - self._queued) * SHARE_OF_ROUND
        self._settling = max(0, self._settling - 1)
        if self._settling or self._shortest_s < LEAST_ROUND_TRIP_S:
            return
        if self._queued > OFTEN:
            self._use(self.wanted - 1)
        elif busy and settled and not grows and self._queued < RARELY:
            self._use(self.wanted + 1)

    def _use(self, count: int) -> None:
        if 1 <= count <= MOST:
            self.wanted = count
            self._settling = SETTLING


class StripeRounds:
    """The rounds that a `StripeCount` is told of, as they follow from what a link sends."""

    def __init__(self, now: float) -> None:
        self.count = StripeCount()
        self._began, self._sent_before = now, 0
        self._rtt_s = math.inf
        self._busy = True
        self._idle_at: float | None = None

    def flushed(self, now: float, *, busy: bool) -> None:
        """What could leave has left; `busy`: there is more to send."""
        if not busy:
            self._idle_at = now if self._idle_at is None else self._idle_at
            return
        if self._idle_at is not None and now - self._idle_at > UNUSED_S:
            self._busy = False
        self._idle_at = None

    def round_trip(self, seconds: float) -> None:
        """One that was measured."""
        self._rtt_s = min(self._rtt_s, seconds)

    def over(self, now: float, sent: int) -> bool:
        """Is the round over, with so many bytes sent in all, and was it one that tells something?"""
        elapsed_s, round_s = now - self._began, max(LEAST_ROUND_S, self._rtt_s)
        if self._rtt_s == math.inf or elapsed_s < round_s:
            return False
        bytes_sent = sent - self._sent_before
        tells = elapsed_s < 4 * round_s and bytes_sent >= LEAST_BYTES
        if tells:
            self.count.round_over(bytes_sent / elapsed_s, self._rtt_s, busy=self._busy)
        self._began, self._sent_before, self._rtt_s = now, sent, math.inf
        self._busy = True
        return tells
