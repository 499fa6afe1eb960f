"""Candidate pairs and their states, and the check list: which pairs there are, and which is checked next
(RFC 8445 6.1.2 and 6.1.4)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, field
from typing import Final, Literal

from nattools.model.endpoint import Endpoint, Transport, parse_address
from nattools.protocols.ice.candidate import Candidate, bare, scope
from nattools.protocols.ice.pacing import RoundTripEstimate

PairState = Literal["frozen", "waiting", "in-progress", "succeeded", "failed"]
PairEvent = Literal["unfreeze", "trigger", "start", "success", "failure"]

NEXT_STATE: Final[dict[tuple[PairState, PairEvent], PairState]] = {
    ("frozen", "unfreeze"): "waiting",
    ("frozen", "trigger"): "waiting",  # 7.3.1.4: the peer's check came this way
    ("frozen", "failure"): "failed",
    ("waiting", "start"): "in-progress",
    ("waiting", "trigger"): "waiting",
    ("waiting", "failure"): "failed",
    ("in-progress", "success"): "succeeded",
    ("in-progress", "failure"): "failed",
    ("in-progress", "trigger"): "waiting",  # 7.3.1.4, and after a role conflict 7.2.5.1
    ("succeeded", "failure"): "failed",  # its consent was lost (RFC 7675)
    ("succeeded", "success"): "succeeded",
    ("failed", "trigger"): "waiting",
    ("failed", "success"): "succeeded",  # a late answer to an old check proves the path as well
    ("waiting", "success"): "succeeded",
    ("frozen", "success"): "succeeded",  # a probe that belongs to no pair was answered
}
"""Where an event leads; what is not here leaves the state as it is."""

MOST_CHECKS: Final = 90
"""To a place that never answers: enough to wait 10 minutes for a peer who comes late."""
PairKey = tuple[Transport, Endpoint, Endpoint]


@dataclass(eq=False, slots=True)
class Pair:
    """A local and a remote candidate, and all that is known of the path between them.

    `local_seen` is the local candidate that the peer's answers showed, once `state` is "succeeded"
    (RFC 8445 7.2.5.3.1); mostly `local` itself. `reason` says why the state is what it is. Times are in
    seconds of the agent's `now`.
    """

    local: Candidate
    remote: Candidate
    controlling: InitVar[bool]
    state: PairState = "frozen"
    nominated: bool = False
    nominated_by_peer: int | None = None
    round_trip: RoundTripEstimate = field(default_factory=RoundTripEstimate)
    answered_at: float | None = None
    unanswered: int = 0
    checks_sent: int = 0
    checks_heard: int = 0
    reason: str = ""
    hint: str = ""
    remote_endpoint: Endpoint = field(init=False)
    priority: int = field(init=False)
    local_seen: Candidate = field(init=False)

    def __post_init__(self, controlling: bool) -> None:
        self.remote_endpoint = _with_zone(self.remote.endpoint, self.local.sends_from)
        self.priority = _pair_priority(self.local, self.remote, controlling)
        self.local_seen = self.local

    @property
    def path(self) -> PairKey:
        """(transport, local base, remote endpoint): unique within a check list."""
        return self.local.transport, self.local.sends_from, self.remote_endpoint

    @property
    def foundation(self) -> tuple[str, str]:
        """Pairs with the same one are likely to work, or not, together."""
        return self.local.foundation, self.remote.foundation

    @property
    def valid(self) -> bool:
        """The path works in both directions, as far as is known."""
        return self.state == "succeeded"

    @property
    def hopeful(self) -> bool:
        """May it be checked once more?"""
        return self.answered_at is not None or self.checks_sent < MOST_CHECKS

    @property
    def relayed(self) -> bool:
        """Does a relay stand between?"""
        return "relay" in (self.local.kind, self.remote.kind)

    @property
    def name(self) -> str:
        """The pair in words."""
        return f"{self.local.name} -> {self.remote.name}"

    def happen(self, event: PairEvent, reason: str) -> PairState:
        """Move on by the table; returns the state before."""
        before = self.state
        after = NEXT_STATE.get((before, event))
        if after is not None:
            self.state, self.reason = after, reason
        return before


def _pair_priority(local: Candidate, remote: Candidate, controlling: bool) -> int:
    """RFC 8445 6.1.2.3."""
    ours, theirs = (local.priority, remote.priority)
    g, d = (ours, theirs) if controlling else (theirs, ours)
    return (min(g, d) << 32) + 2 * max(g, d) + (1 if g > d else 0)


def _with_zone(remote: Endpoint, local: Endpoint) -> Endpoint:
    """A link-local destination lies in the zone of the address that it is sent from."""
    zone = local.host.partition("%")[2]
    if not zone or not remote.host.startswith("fe80"):
        return remote
    plain = bare(remote)
    return Endpoint(f"{plain.host}%{zone}", plain.port)


MAX_PAIRS: Final = 100
"""RFC 8445 6.1.2.5."""

Watcher = Callable[[Pair, PairState], None]


class CheckList:
    """The pairs of one agent, best first. `watch` is told of each change of state: (pair, state before)."""

    def __init__(self, controlling: bool, watch: Watcher) -> None:
        self._controlling = controlling
        self._watch = watch
        self._by_path: dict[PairKey, Pair] = {}
        self._ordered: list[Pair] = []
        self._triggered: deque[Pair] = deque()
        self.pruned = 0

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._ordered)

    def __len__(self) -> int:
        return len(self._ordered)

    def find(self, path: PairKey) -> Pair | None:
        """The pair of a path."""
        return self._by_path.get(path)

    def change(self, pair: Pair, event: PairEvent, reason: str) -> None:
        """Let something happen to a pair."""
        before = pair.happen(event, reason)
        if pair.state != before:
            self._watch(pair, before)

    # --- formation

    def form(self, local: Candidate, remote: Candidate) -> Pair | None:
        """Pair two candidates if they go together; None when not, or when such a pair is there already."""
        if not goes_with(local, remote):
            return None
        pair = Pair(local, remote, self._controlling)
        known = self._by_path.get(pair.path)
        if known is not None:
            self._keep_better(known, pair)
            return None
        return pair if self.insert(pair) else None

    def rename(self, found: Candidate, told: Candidate) -> None:
        """The peer calls one of its candidates by another name."""
        for pair in self._ordered:
            if pair.remote is found:
                pair.remote = told

    def insert(self, pair: Pair, *, wanted: bool = False) -> bool:
        """Add a pair; False if the list is full of better ones. A `wanted` one always finds room, unless all
        others work."""
        if len(self._ordered) >= MAX_PAIRS and not self._make_room(pair, wanted):
            return False
        self._by_path[pair.path] = pair
        self._ordered.append(pair)
        self._sort()
        if pair.state == "frozen" and not self._foundation_is_busy(pair):
            self.change(pair, "unfreeze", "first of its foundation")
        return True

    def _keep_better(self, known: Pair, other: Pair) -> None:
        """Of two pairs that differ in nothing but the candidates' names the better one counts (6.1.2.4)."""
        if other.priority > known.priority and known.remote.kind != "prflx":
            known.priority = other.priority
            self._sort()
        elif known.remote.kind == "prflx" and other.remote.kind != "prflx":
            # The peer's signalled candidate arrived after its check (RFC 8445 7.3.1.3, RFC 8838 11).
            known.remote, known.priority = other.remote, other.priority
            self._sort()

    def _make_room(self, pair: Pair, wanted: bool) -> bool:
        for known in reversed(self._ordered):
            if known.valid or known in self._triggered:
                continue
            if wanted or known.state == "failed" or known.priority < pair.priority:
                self.pruned += 1
                self.remove(known, f"left out: more than {MAX_PAIRS} pairs")
                return True
        self.pruned += 1
        return False

    def remove(self, pair: Pair, reason: str) -> None:
        """Take a pair out, as failed."""
        self._ordered.remove(pair)
        del self._by_path[pair.path]
        self.change(pair, "failure", reason)

    def _sort(self) -> None:
        self._ordered.sort(key=lambda pair: pair.priority, reverse=True)

    def switch_role(self, controlling: bool) -> None:
        """Both sides must order the pairs alike, and the order depends on who controls (6.1.2.3)."""
        self._controlling = controlling
        for pair in self._ordered:
            pair.priority = _pair_priority(pair.local, pair.remote, controlling)
        self._sort()

    # --- what is checked next

    def trigger(self, pair: Pair, reason: str) -> None:
        """Check a pair before all others (6.1.4.1)."""
        self.change(pair, "trigger", reason)
        if pair.state == "waiting" and pair not in self._triggered:
            self._triggered.append(pair)

    @property
    def hurried(self) -> bool:
        """Is the next check a triggered one?"""
        return any(pair.state == "waiting" for pair in self._triggered)

    def next_pair(self, unanswered: Callable[[Pair], bool]) -> tuple[Pair, bool] | None:
        """(pair to check, whether the peer's check triggered it); None when there is nothing to start.

        `unanswered`: has the check of a pair in progress been sent again already?"""
        while self._triggered:
            pair = self._triggered.popleft()
            if pair.state == "waiting":
                return pair, True
        waiting = self._first("waiting")
        if waiting is None:
            waiting = self._thaw(unanswered)
        return None if waiting is None else (waiting, False)

    def has_work(self, unanswered: Callable[[Pair], bool]) -> bool:
        """Would `next_pair` return one?"""
        return self._first("waiting") is not None or self._thawable(unanswered) is not None

    def succeeded(self, pair: Pair) -> None:
        """Unfreeze what is like a pair that works (7.2.5.3.3)."""
        for other in self._ordered:
            if other.state == "frozen" and other.foundation == pair.foundation:
                self.change(other, "unfreeze", f"{pair.name} works")

    def _first(self, state: PairState) -> Pair | None:
        return next((pair for pair in self._ordered if pair.state == state), None)

    def _thawable(self, unanswered: Callable[[Pair], bool]) -> Pair | None:
        """The best frozen pair whose like is not being checked (6.1.4.2).

        We do not wait for the like's check to fail, which takes seconds: once it had to be repeated, the
        foundation says little any more."""
        busy = {
            pair.foundation
            for pair in self._ordered
            if pair.state == "waiting" or (pair.state == "in-progress" and not unanswered(pair))
        }
        frozen = (pair for pair in self._ordered if pair.state == "frozen")
        return next((pair for pair in frozen if pair.foundation not in busy), None)

    def _thaw(self, unanswered: Callable[[Pair], bool]) -> Pair | None:
        pair = self._thawable(unanswered)
        if pair is not None:
            self.change(pair, "unfreeze", "nothing else to check")
        return pair

    def _foundation_is_busy(self, pair: Pair) -> bool:
        return any(
            other.foundation == pair.foundation and other.state in ("waiting", "in-progress")
            for other in self._ordered
            if other is not pair
        )


def goes_with(local: Candidate, remote: Candidate) -> bool:
    """May these two be paired (RFC 8445 6.1.2.2)? Over UDP alone: TCP candidates (RFC 6544) are read, since
    peers send them, but a punch over TCP makes its connections itself."""
    if "tcp" in (local.transport, remote.transport):
        return False
    if remote.kind == "relay" and local.kind != "relay" and not parse_address(remote.endpoint.host).is_global:
        return False  # what a relay at somebody's home gives is reached through that relay alone
    own, other = scope(local.sends_from.host), scope(remote.endpoint.host)
    if local.kind == "relay" and local.family == remote.family and own != "discard-only 6":
        return other.startswith("global")
    return own == other
