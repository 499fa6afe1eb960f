"""What clients can make a server spend: how often a source, and all sources together, may cause work or
traffic, and how much of it each may hold at a time.

Pure: the time is given. Memory is bounded: a table of sources forgets the one that was heard longest ago.

A source is a network rather than an address, and so is whatever holds several: an IPv4 /24 may have as much
as 8 of its addresses, an IPv6 /56 as much as two of its /64s, and a /48 as four. One site may have all of a
/56 or a /48 (RFC 6177), and uses as many /64s as it likes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import inf
from socket import AF_INET6, inet_pton

from nattools.model.endpoint import Endpoint

SourceKey = str | bytes


@lru_cache(maxsize=8192)
def source_keys(host: str) -> tuple[tuple[SourceKey, int], ...]:
    """Whom to limit: the networks that an address is of, from the narrowest on, each with how many times as
    much it may have as one source. IPv4: the address and its /24; IPv6: /64, /56 and /48."""
    if ":" not in host:
        return (host, 1), (host.rpartition(".")[0], 8)
    octets = inet_pton(AF_INET6, host.partition("%")[0])
    return (octets[:8], 1), (octets[:7], 2), (octets[:6], 4)


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

    def is_full(self, now: float) -> bool:
        """Is it as if nothing had ever been taken?"""
        return self.holds(now, self._burst)

    def spend(self, cost: float) -> None:
        """Take `cost` tokens of those that it holds."""
        self._tokens -= cost

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
        # a table for each width: many narrow sources do not make their network's bucket forgotten
        self._tables: tuple[dict[SourceKey, TokenBucket], ...] = ({}, {}, {})

    @property
    def remembered(self) -> int:
        """How many sources are remembered: never more than `sources`."""
        return len(self._tables[0])

    def refuses(self, source: Endpoint, now: float) -> bool:
        """Would `take` refuse this IPv4 source, as it did lately? The quick answer for a source that floods;
        False may mean either."""
        bucket = self._tables[0].get(source[0])
        return bucket is not None and bucket.next_at > now

    def take(self, source: Endpoint, now: float, cost: float = 1.0) -> bool:
        """May this source have it now?"""
        total = self._total
        if not total.holds(now, cost):
            return False
        buckets: list[TokenBucket] = []
        for table, (key, share) in zip(self._tables, source_keys(source[0]), strict=False):
            # Taken out and put back: a dict keeps the order, so that the first is the one heard longest ago.
            bucket = table.pop(key, None)
            if bucket is None:
                bucket = TokenBucket(self._rate * share, self._burst * share)
                if len(table) >= self._sources:
                    del table[next(iter(table))]
            table[key] = bucket
            buckets.append(bucket)
        for bucket in buckets[1:]:
            if not bucket.holds(now, cost):
                return False
        if not buckets[0].take(now, cost):
            return False
        # the others hold as many, and are as old
        for bucket in (*buckets[1:], total):
            bucket.spend(cost)
        return True


class Occupancy:
    """How many of something each source may have at a time, and all sources together."""

    def __init__(self, *, per_source: int, total: int) -> None:
        self._per_source = per_source
        self._total = total
        self._held: dict[SourceKey, int] = {}
        self._count = 0

    @property
    def full(self) -> bool:
        """Are all taken?"""
        return self._count >= self._total

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._count

    def held(self, source: Endpoint) -> int:
        """How many this source has, apart from others of its network."""
        return self._held.get(source_keys(source.host)[0][0], 0)

    def has_room_for(self, source: Endpoint, count: int = 1) -> bool:
        """Is so much left of this source's share?"""
        for key, share in source_keys(source.host):
            if self._held.get(key, 0) + count > self._per_source * share:
                return False
        return True

    def enter(self, source: Endpoint, count: int = 1) -> bool:
        """Take so many slots if there are as many; `leave` gives them back."""
        if not count:
            return True
        if self._count + count > self._total or not self.has_room_for(source, count):
            return False
        self.add(source, count)
        return True

    def add(self, source: Endpoint, count: int = 1) -> None:
        """Take slots of those that there are for this source."""
        self._count += count
        for key, _ in source_keys(source.host):
            self._held[key] = self._held.get(key, 0) + count

    def leave(self, source: Endpoint, count: int = 1) -> None:
        """Give back slots that `enter` gave."""
        if not count:
            return
        self._count -= count
        for key, _ in source_keys(source.host):
            held = self._held[key] - count
            if held:
                self._held[key] = held
            else:
                del self._held[key]


class Slot:
    """One of `Slots`."""

    __slots__ = ("_evict", "_slots", "source")

    def __init__(self, slots: Slots, source: Endpoint, evict: Callable[[], object]) -> None:
        self.source = source
        self._slots = slots
        self._evict = evict

    def use(self) -> None:
        """Its holder is active: that it is idle counts from now on."""
        self._slots.renew(self)

    def leave(self) -> None:
        """Give it back. Idempotent."""
        self._slots.remove(self)

    def lose(self) -> None:
        """Give it back, and tell the holder."""
        self.leave()
        self._evict()


class Slots:
    """Slots that one who comes when all are taken gets from another: from the one idle for longest in the
    network that has most."""

    def __init__(self, *, per_source: int, total: int) -> None:
        self._occupancy = Occupancy(per_source=per_source, total=total)
        self._networks: dict[SourceKey, dict[Slot, None]] = {}  # each in the order of their last use

    @property
    def taken(self) -> int:
        """How many are taken."""
        return sum(map(len, self._networks.values()))

    def enter(self, source: Endpoint, evict: Callable[[], object], *, crowd: int = 1) -> Slot | None:
        """A slot; None: this source has its share, or all are taken and no network has `crowd` of them.
        `evict` is called when the slot is lost to another."""
        if not self._occupancy.has_room_for(source):
            return None
        if self._occupancy.full:
            largest = max(self._networks.values(), key=len)
            if len(largest) < crowd:
                return None
            next(iter(largest)).lose()
        self._occupancy.add(source)
        slot = Slot(self, source, evict)
        self._networks.setdefault(_widest(source), {})[slot] = None
        return slot

    def renew(self, slot: Slot) -> None:
        """It was used."""
        slots = self._networks.get(_widest(slot.source), {})
        if slot in slots:
            del slots[slot]
            slots[slot] = None

    def remove(self, slot: Slot) -> None:
        """Free a slot."""
        key = _widest(slot.source)
        if slot in self._networks.get(key, ()):
            del self._networks[key][slot]
            if not self._networks[key]:
                del self._networks[key]
            self._occupancy.leave(slot.source)


def _widest(source: Endpoint) -> SourceKey:
    return source_keys(source.host)[-1][0]
