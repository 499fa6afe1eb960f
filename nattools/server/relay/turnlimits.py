"""What a relay's users can make it hold and carry. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from nattools.model.endpoint import Endpoint
from nattools.server.limits import Occupancy, RateLimit, SourceKey, TokenBucket, source_keys


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """Allocations (a pair of families is one, a reserved port another) in all, of a user and of a source.
    Permissions and channels together, and connections to peers (RFC 6062), of an allocation, of a source
    (or one would take them from everybody) and in all; of the former also of a user, who may come from many
    sources, and the last of all are for sources that have few.
    Bytes a second that are carried for a user, for a source (who has as many users as the mailbox gives it)
    and for all; each may have the burst of one second, and no wider network gets more than half of all.
    Challenges to a source a second, failed tries among them; requests a second, of a source and in all."""

    allocations: int = 4096
    allocations_per_user: int = 64
    allocations_per_source: int = 64
    peers: int = 65_536
    peers_per_allocation: int = 1024
    peers_per_source: int = 4096
    peers_per_user: int = 4096
    connections: int = 512
    connections_per_allocation: int = 16
    connections_per_source: int = 32
    octets_per_user: float = 12.5e6
    octets_per_source: float = 25e6
    octets: float = 125e6
    challenge_rate: float = 10.0
    challenge_burst: float = 100.0
    total_challenge_rate: float = 10_000.0
    total_challenge_burst: float = 20_000.0


_LAST = 8
"""The eighth part of all permissions and channels is kept for sources that have few."""
_FEW = 64


@dataclass(slots=True)
class _Share:
    """What is carried for one, for how many allocations, and (of a user) to how many permissions and
    channels."""

    bucket: TokenBucket
    allocations: int = 0
    peers: int = 0


@dataclass(slots=True)
class Quotas:
    """What of a `TurnLimits` is used. What has no more room refuses, and the rest goes on."""

    limits: TurnLimits
    peers: Occupancy = field(init=False)
    connections: Occupancy = field(init=False)
    challenges: RateLimit = field(init=False)
    _places: Occupancy = field(init=False)
    _bucket: TokenBucket = field(init=False)
    _users: dict[str, _Share] = field(default_factory=dict)
    _sources: dict[SourceKey, _Share] = field(default_factory=dict)

    def __post_init__(self) -> None:
        limits = self.limits
        self._places = Occupancy(per_source=limits.allocations_per_source, total=limits.allocations)
        self.peers = Occupancy(per_source=limits.peers_per_source, total=limits.peers)
        self.connections = Occupancy(per_source=limits.connections_per_source, total=limits.connections)
        self._bucket = TokenBucket(limits.octets, limits.octets)
        self.challenges = RateLimit(
            rate=limits.challenge_rate,
            burst=limits.challenge_burst,
            total_rate=limits.total_challenge_rate,
            total_burst=limits.total_challenge_burst,
        )

    @property
    def remembered(self) -> int:
        """How many users and sources are remembered."""
        return len(self._users) + len(self._sources)

    def enter(self, user: str, source: Endpoint) -> int | None:
        """One more allocation (or reserved port); None, or why not: 486 or 508. `leave` gives it back."""
        known = self._users.get(user)
        if known is not None and known.allocations >= self.limits.allocations_per_user:
            return 486
        if not self._places.has_room_for(source):
            return 486
        if not self._places.enter(source):
            return 508
        if known is None:
            self._users[user] = _Share(_of_a_second(self.limits.octets_per_user))
        for key, share in source_keys(source.host):
            if key not in self._sources:
                self._sources[key] = _Share(_of_a_second(self._octets_of(share)))
        for each in self._shares(user, source):
            each.allocations += 1
        return None

    def leave(self, user: str, source: Endpoint) -> None:
        """It is over. What it has had is remembered, or who begins anew would have it once more."""
        self._places.leave(source)
        for each in self._shares(user, source):
            each.allocations -= 1

    def enter_peers(self, user: str, source: Endpoint, count: int) -> bool:
        """So many more permissions and channels of an allocation, if there is room; `leave_peers` gives them
        back."""
        if not count:
            return True
        share, limits = self._users[user], self.limits
        if share.peers + count > limits.peers_per_user:
            return False
        scarce = self.peers.taken + count > limits.peers - limits.peers // _LAST
        if scarce and self.peers.held(source) + count > _FEW:
            return False
        if not self.peers.enter(source, count):
            return False
        share.peers += count
        return True

    def leave_peers(self, user: str, source: Endpoint, count: int) -> None:
        """They are over."""
        self.peers.leave(source, count)
        self._users[user].peers -= count

    def forget(self, now: float) -> None:
        """Forget who has no allocation and may have all again."""
        for user in [key for key, each in self._users.items() if _is_idle(each, now)]:
            del self._users[user]
        for source in [key for key, each in self._sources.items() if _is_idle(each, now)]:
            del self._sources[source]

    def carriers(self, user: str, source: Endpoint) -> tuple[TokenBucket, ...]:
        """What limits the bytes that are carried for this user at this source, who has an allocation."""
        return (*(each.bucket for each in self._shares(user, source)), self._bucket)

    def _shares(self, user: str, source: Endpoint) -> list[_Share]:
        return [self._users[user], *(self._sources[key] for key, _ in source_keys(source.host))]

    def _octets_of(self, share: int) -> float:
        """The rate of a network that may have `share` times as much as one source."""
        one = self.limits.octets_per_source
        return min(one * share, max(one, self.limits.octets / 2))


def _of_a_second(octets: float) -> TokenBucket:
    return TokenBucket(octets, octets)


def _is_idle(share: _Share, now: float) -> bool:
    return not share.allocations and share.bucket.is_full(now)
