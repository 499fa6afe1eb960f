"""When to send a request again: pauses that double, with an end. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable

_JITTER = 0.1


def random_jitter() -> float:
    """RAND of RFC 6887 8.1.1: evenly between -0.1 and 0.1."""
    return random.uniform(-_JITTER, _JITTER)


class Backoff:
    """Retransmission of RFC 6887 8.1.1: RT = (1 + RAND) * IRT, then (1 + RAND) * min(2 * RT, MRT).

    `patience_s` bounds the whole, counted from the first request. RFC 6886 3.1 doubles from 250 ms likewise,
    without RAND and MRT. Driving: `due(now)` says whether to send now and notes that it was done;
    `next_timeout()` when to look again; `expired(now)` when to give up.
    """

    def __init__(
        self,
        *,
        initial_s: float = 0.25,
        maximum_s: float = 1024.0,
        patience_s: float = 2.2,
        jitter: Callable[[], float] = random_jitter,
    ) -> None:
        if initial_s <= 0 or maximum_s < initial_s or patience_s <= 0:
            raise ValueError("retransmission needs positive times")
        self.sent_at: list[float] = []
        self._pause_s = initial_s
        self._maximum_s = maximum_s
        self._patience_s = patience_s
        self._jitter = jitter
        self._next: float | None = None

    def due(self, now: float) -> bool:
        """Is it time to send? If so the next pause begins."""
        if self._next is not None and now < self._next:
            return False
        if self.expired(now):
            return False
        if self.sent_at:
            self._pause_s = min(2 * self._pause_s, self._maximum_s)
        self.sent_at.append(now)
        self._pause_s *= 1 + self._jitter()
        self._next = now + self._pause_s
        return True

    def next_timeout(self) -> float | None:
        """When to send again or to give up; None before the first request."""
        if self._next is None:
            return None
        return min(self._next, self.sent_at[0] + self._patience_s)

    def expired(self, now: float) -> bool:
        """Is all patience used up?"""
        return bool(self.sent_at) and now >= self.sent_at[0] + self._patience_s

    def shorten(self, until: float) -> None:
        """Give up at `until` at the latest: there is reason to think that nobody answers."""
        if self.sent_at:
            self._patience_s = min(self._patience_s, max(0.0, until - self.sent_at[0]))
