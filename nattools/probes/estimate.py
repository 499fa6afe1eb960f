"""What is known of a path while it is being measured: its round trip and its loss.

Deadlines and the number of copies follow from these, never from fixed waits alone.
"""

from __future__ import annotations

import asyncio

from nattools.model.confidence import LOSSY_ERROR, PROBE_ERROR, WORST_LOSS, copies_needed, loss_upper_bound
from nattools.model.endpoint import Endpoint

FLOOR_S = 0.15
"""The least that a machine with other work to do needs before its silence means anything."""
UNKNOWN_RTT_S = 0.25
MOST_COPIES = 40
FEWEST_COPIES = 5
TCP_RESENT_S = 1.0
BURST_S = 0.5
"""Losses that come together, on a radio link say, are mostly over by then."""


class InFlight:
    """What is under way, from `with` to its end."""

    def __init__(self) -> None:
        self._count = 0
        self._over = asyncio.Event()
        self._over.set()

    def __enter__(self) -> None:
        self._count += 1
        self._over.clear()

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count:
            self._over.set()

    async def over(self) -> None:
        """Wait until there is nothing."""
        await self._over.wait()


class PathEstimate:
    """Round trips in seconds, and how many questions that were bound to be answered were not. `old_servers`
    answered nothing but what RFC 3489 wrote. `tls` are those that are asked within TLS, with the names that
    their certificates have to bear. `tcp_questions` are those on which connections are under way."""

    def __init__(self) -> None:
        self.tcp_questions = InFlight()
        self.sent = 0
        self.lost = 0
        self.lowest_s: float | None = None
        self.highest_s = 0.0
        self.old_servers: set[Endpoint] = set()
        self.tls: dict[Endpoint, str] = {}

    def answered(self, rtt_s: float) -> None:
        """A question came back after this long."""
        self.sent += 1
        self.add_rtt(rtt_s)

    def add_rtt(self, rtt_s: float) -> None:
        """A round trip."""
        self.lowest_s = rtt_s if self.lowest_s is None else min(self.lowest_s, rtt_s)
        self.highest_s = max(self.highest_s, rtt_s)

    def add_tcp_rtt(self, rtt_s: float) -> None:
        """One over TCP, which hides losses: it says nothing of the path's loss, and where it is as long as a
        segment takes that was sent again (RFC 6298 2.1), nothing of its round trip either."""
        if rtt_s < TCP_RESENT_S or not self.sent:
            self.add_rtt(rtt_s)

    def missed(self, copies: int = 1) -> None:
        """Questions that an answering server did not answer."""
        self.sent += copies
        self.lost += copies

    @property
    def rtt_s(self) -> float:
        """The round trip to allow for: the longest seen, or a guess before the first."""
        return self.highest_s if self.lowest_s is not None else UNKNOWN_RTT_S

    @property
    def retry_s(self) -> float:
        """When to send an expected answer's question again: RFC 8489 6.2.1's RTO, but from a measured
        round trip, since a diagnosis waits for many answers at once and a person waits for it."""
        return max(0.1, 1.5 * self.rtt_s + 0.02)

    @property
    def gap_s(self) -> float:
        """Between copies of a question that may rightly stay without answer."""
        return min(0.05, max(0.012, self.rtt_s / 4))

    @property
    def last_wait_s(self) -> float:
        """After the last copy, before silence counts."""
        return FLOOR_S + 2.0 * self.rtt_s

    def copies(self) -> int:
        """How many copies make silence count, as far as the path's loss is known now."""
        error = LOSSY_ERROR if self.lost else PROBE_ERROR
        bound = loss_upper_bound(self.sent, self.lost) if self.sent else WORST_LOSS
        needed = copies_needed(bound, error)
        return min(MOST_COPIES, max(FEWEST_COPIES, needed))


LAST_WAIT_S = 0.5


class RttHint:
    """The round trip to the same server over TCP, if known: its silence over UDP need not be waited for
    longer than that asks."""

    def __init__(self) -> None:
        self.rtt_s: float | None = None

    def gap_s(self, ordinary_s: float) -> float:
        """The next gap between copies."""
        return ordinary_s if self.rtt_s is None else min(ordinary_s, max(0.03, 2 * self.rtt_s))

    def last_wait_s(self) -> float:
        """After the last copy."""
        return LAST_WAIT_S if self.rtt_s is None else min(LAST_WAIT_S, 0.15 + 3 * self.rtt_s)
