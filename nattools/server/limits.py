"""Token buckets: how often a source, and all sources together, may cause work or traffic.

Pure: the time is given. Memory is bounded: a table of sources forgets the one that was heard longest ago.
"""

from __future__ import annotations

from math import inf
from socket import AF_INET6, inet_pton

from nattools.model.endpoint import Endpoint

SourceKey = str | bytes


def source_key(source: Endpoint) -> SourceKey:
    """Whom to limit: an IPv4 address, or an IPv6 /64 (the least that a site gets)."""
    host = source.host
    if ":" not in host:
        return host
    return inet_pton(AF_INET6, host.partition("%")[0])[:8]


class TokenBucket:
    """Holds up to `burst` tokens and gets `rate` new ones a second; full at first.

    `next_at`: after a refusal, the time before which there is no whole token.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens", "next_at")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = 0.0
        self.next_at = 0.0

    def holds(self, now: float, cost: float = 1.0) -> bool:
        """Are there `cost` tokens? Takes none."""
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
        return self._tokens >= cost

    def take(self, now: float, cost: float = 1.0) -> bool:
        """Take `cost` tokens if there are as many; else none."""
        if self.holds(now, cost):
            self._tokens -= cost
            return True
        if self._tokens < 1:
            self.next_at = now + (1 - self._tokens) / self._rate if self._rate else inf
        return False


class RateLimit:
    """A bucket for each source and one for all of them. What a source is refused costs the others nothing."""

    def __init__(
        self, *, rate: float, burst: float, total_rate: float, total_burst: float, sources: int = 8192
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._total = TokenBucket(total_rate, total_burst)
        self._sources = sources
        self._buckets: dict[SourceKey, TokenBucket] = {}

    @property
    def remembered(self) -> int:
        """How many sources are remembered: never more than `sources`."""
        return len(self._buckets)

    def refuses(self, source: Endpoint, now: float) -> bool:
        """Would `take` refuse this IPv4 source, as it did lately? The quick answer for a source that floods;
        False may mean either."""
        bucket = self._buckets.get(source[0])
        return bucket is not None and bucket.next_at > now

    def take(self, source: Endpoint, now: float, cost: float = 1.0) -> bool:
        """May this source have it now?"""
        if not self._total.holds(now, cost):
            return False
        return self._bucket(source).take(now, cost) and self._total.take(now, cost)

    def _bucket(self, source: Endpoint) -> TokenBucket:
        key = source_key(source)
        # Taken out and put back: a dict keeps the order, so that the first is the one heard longest ago.
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            bucket = TokenBucket(self._rate, self._burst)
            if len(self._buckets) >= self._sources:
                del self._buckets[next(iter(self._buckets))]
        self._buckets[key] = bucket
        return bucket


class Occupancy:
    """How many of something each source may have at a time, and all sources together."""

    def __init__(self, *, per_source: int, total: int) -> None:
        self._per_source = per_source
        self._total = total
        self._held: dict[SourceKey, int] = {}
        self._count = 0

    def enter(self, source: Endpoint) -> bool:
        """Take a place if there is one; `leave` gives it back."""
        key = source_key(source)
        held = self._held.get(key, 0)
        if held >= self._per_source or self._count >= self._total:
            return False
        self._held[key] = held + 1
        self._count += 1
        return True

    def leave(self, source: Endpoint) -> None:
        """Give back a place that `enter` gave."""
        key = source_key(source)
        held = self._held[key] - 1
        self._count -= 1
        if held:
            self._held[key] = held
        else:
            del self._held[key]
