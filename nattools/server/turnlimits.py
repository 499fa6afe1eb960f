"""What a relay's users can make it hold and carry. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from nattools.model.endpoint import Endpoint
from nattools.server.limits import Occupancy, RateLimit, TokenBucket


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """Allocations (a pair of families is one, a reserved port another) in all, of a user and of a source.
    Permissions and channels together, and connections to peers (RFC 6062), of an allocation, of a source
    (or one would take them from everybody) and in all.
    Bytes a second that are carried for a user, and for all; each may have the burst of one second. Challenges
    to a source a second, failed tries among them; requests a second, of a source and in all."""

    allocations: int = 4096
    allocations_per_user: int = 64
    allocations_per_source: int = 64
    peers: int = 65_536
    peers_per_allocation: int = 1024
    peers_per_source: int = 4096
    connections: int = 512
    connections_per_allocation: int = 16
    connections_per_source: int = 32
    octets_per_user: float = 12.5e6
    octets: float = 125e6
    challenge_rate: float = 10.0
    challenge_burst: float = 100.0
    total_challenge_rate: float = 10_000.0
    total_challenge_burst: float = 20_000.0


@dataclass(slots=True)
class _UserShare:
    bucket: TokenBucket
    allocations: int = 0


@dataclass(slots=True)
class Quotas:
    """What of a `TurnLimits` is used. What has no more room refuses, and the rest goes on."""

    limits: TurnLimits
    peers: Occupancy = field(init=False)
    connections: Occupancy = field(init=False)
    challenges: RateLimit = field(init=False)
    _places: Occupancy = field(init=False)
    _bucket: TokenBucket = field(init=False)
    _users: dict[str, _UserShare] = field(default_factory=dict)

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

    def enter(self, user: str, source: Endpoint) -> int | None:
        """One more allocation (or reserved port); None, or why not: 486 or 508. `leave` gives it back."""
        share = self._users.get(user)
        if share is not None and share.allocations >= self.limits.allocations_per_user:
            return 486
        if not self._places.has_room_for(source):
            return 486
        if not self._places.enter(source):
            return 508
        if share is None:
            bucket = TokenBucket(self.limits.octets_per_user, self.limits.octets_per_user)
            share = self._users[user] = _UserShare(bucket)
        share.allocations += 1
        return None

    def leave(self, user: str, source: Endpoint) -> None:
        """It is over."""
        self._places.leave(source)
        share = self._users[user]
        share.allocations -= 1
        if not share.allocations:
            del self._users[user]

    def carrier(self, user: str) -> tuple[TokenBucket, TokenBucket]:
        """What limits the bytes that are carried for this user, who has an allocation."""
        return self._users[user].bucket, self._bucket
