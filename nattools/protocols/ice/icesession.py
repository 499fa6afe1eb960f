"""What the parts of an agent share: credentials, role, candidates, the check list, and what goes out."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Final, Literal, NamedTuple

import msgspec

from nattools.model.endpoint import Endpoint, Transport
from nattools.protocols.ice.candidate import Candidate, bare, foundation, priority
from nattools.protocols.ice.checklist import CheckList, Pair, PairKey, PairState
from nattools.protocols.ice.checkmessages import Credentials, Role
from nattools.protocols.ice.pacing import OpeningChecks, Pacer

MAX_CANDIDATES: Final = 1024
"""Of each side. Birthday probing has hundreds of sockets; a peer that sends more than this is no friend."""
MAX_EVENTS: Final = 10_000


class Transmit(NamedTuple):
    """One datagram to send: from the socket whose local end is `local`, with this TTL if not None."""

    data: bytes
    local: Endpoint
    destination: Endpoint
    ttl: int | None
    transport: Transport


class IceSession:
    """Mutable and shared; only the agent's own parts touch it."""

    def __init__(self, role: Role, local: Credentials, rng: Random, expected_rtt_s: float | None) -> None:
        self.now = 0.0
        self.role: Role = role
        self.tie_breaker = rng.getrandbits(64)
        self.local = local
        self.remote: Credentials | None = None
        self.rng = rng
        self.pacer = Pacer(expected_rtt_s)
        self.check_list = CheckList(role == "controlling", self._pair_changed)
        self.local_candidates: list[Candidate] = []
        self.remote_candidates: list[Candidate] = []
        self.outbox: deque[Transmit] = deque()
        self.events: deque[IceEvent] = deque(maxlen=MAX_EVENTS)
        self.rejected: dict[str, int] = {}
        self.opener: OpeningChecks | None = None
        self.openers: dict[Endpoint, OpeningChecks | None] = {}

    # --- telling

    def tell(self, event: IceEvent) -> None:
        """Queue an event for the owner."""
        self.events.append(event)

    def reject(self, source: Endpoint | None, reason: str) -> None:
        """Count something that was not believed; the first of each kind becomes an event."""
        seen = self.rejected.get(reason, 0)
        self.rejected[reason] = seen + 1
        if not seen:
            self.tell(Rejected(time_s=self.now, source=source, reason=reason))

    def _pair_changed(self, pair: Pair, before: PairState) -> None:
        self.tell(
            PairChanged(time_s=self.now, pair=pair, before=before, after=pair.state, reason=pair.reason)
        )

    # --- role

    def switch_role(self) -> None:
        """Take the other role; the tie-breaker is drawn anew (RFC 8445 7.2.5.1)."""
        self.role = "controlled" if self.role == "controlling" else "controlling"
        self.tie_breaker = self.rng.getrandbits(64)
        self.check_list.switch_role(self.role == "controlling")
        self.tell(RoleSwitched(time_s=self.now, role=self.role))

    # --- candidates and pairs

    def add_local(self, candidate: Candidate) -> bool:
        """Pair it with all remote ones. False if it is known, or one too many."""
        if candidate in self.local_candidates or len(self.local_candidates) >= MAX_CANDIDATES:
            return False
        self.local_candidates.append(candidate)
        for remote in self.remote_candidates:
            self.check_list.form(candidate, remote)
        return True

    def add_remote(self, candidate: Candidate) -> bool:
        """Pair it with all local ones. False if it is known. What a check found before it was told of was
        peer-reflexive, and is now what the peer calls it (RFC 8445 7.3.1.3)."""
        if candidate in self.remote_candidates:
            return False
        found = self._remote_at(candidate.transport, candidate.endpoint)
        if found is not None and found.kind == "prflx":
            self.remote_candidates.remove(found)
            self.check_list.rename(found, candidate)
        self.remote_candidates.append(candidate)
        for local in self.local_candidates:
            self.check_list.form(local, candidate)
        return True

    def pair_for_check(self, path: PairKey, remote_priority: int) -> Pair | None:
        """The pair on which the peer's check came, made if need be (RFC 8445 7.3.1.3 and 7.3.1.4)."""
        pair = self.check_list.find(path)
        if pair is not None:
            return pair
        transport, base, source = path
        remote = self._remote_at(transport, source) or self._found_remote(transport, source, remote_priority)
        if remote is None:
            return None
        pair = Pair(self._local_at(transport, base), remote, self.role == "controlling")
        return pair if self.check_list.insert(pair, wanted=True) else None

    def _remote_at(self, transport: Transport, source: Endpoint) -> Candidate | None:
        plain = bare(source)
        for candidate in self.remote_candidates:
            if candidate.endpoint == plain and candidate.transport == transport:
                return candidate
        return None

    def _found_remote(self, transport: Transport, source: Endpoint, said: int) -> Candidate | None:
        if len(self.remote_candidates) >= MAX_CANDIDATES:
            self.reject(source, f"more than {MAX_CANDIDATES} candidates")
            return None
        candidate = Candidate(
            kind="prflx",
            endpoint=bare(source),
            priority=said,
            foundation=f"p{self.rng.getrandbits(64):x}",  # unlike all others (7.3.1.3)
            transport=transport,
        )
        self.remote_candidates.append(candidate)
        self.tell(CandidateFound(time_s=self.now, candidate=candidate, side="remote"))
        return candidate

    def _local_at(self, transport: Transport, base: Endpoint) -> Candidate:
        """The local candidate that sends from a base; a socket nobody had told of becomes a host candidate,
        without being paired with everything."""
        sending = [c for c in self.local_candidates if c.sends_from == base and c.transport == transport]
        if sending:
            return max(sending, key=lambda candidate: candidate.endpoint == base)
        return Candidate(
            kind="host",
            endpoint=base,
            base=base,
            priority=priority("host", local_preference=0),
            foundation=foundation("host", base.host, transport),
            transport=transport,
        )

    def local_seen_as(self, pair: Pair, mapped: Endpoint) -> Candidate:
        """The local candidate with the address at which the peer saw us (7.2.5.3.1), made if need be."""
        transport, base, _ = pair.path
        if mapped == bare(base):
            return pair.local
        for candidate in self.local_candidates:
            if candidate.endpoint == mapped and candidate.transport == transport:
                return candidate
        found = Candidate(
            kind="prflx",
            endpoint=mapped,
            priority=prflx_priority(pair.local),
            foundation=foundation("prflx", base.host, transport),
            transport=transport,
            base=base,
            related=base,
        )
        if len(self.local_candidates) < MAX_CANDIDATES:
            self.local_candidates.append(found)
        self.tell(CandidateFound(time_s=self.now, candidate=found, side="local"))
        return found

    def opener_for(self, remote: Endpoint) -> OpeningChecks | None:
        """The opener of ordinary checks to this destination."""
        return self.openers.get(bare(remote), self.opener)


def prflx_priority(local: Candidate) -> int:
    """What a check says in PRIORITY: that of a peer-reflexive candidate found by it (RFC 8445 7.1.1)."""
    kind = priority("prflx", local_preference=0) >> 24
    return kind << 24 | local.priority & 0xFFFFFF


SelectionReason = Literal["first", "lost", "nearer", "nominated"]
AgentState = Literal["new", "checking", "connected", "disconnected", "failed", "closed"]


class IceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened at `time_s` of the agent's clock."""

    time_s: float


class StateChanged(IceEvent, frozen=True, kw_only=True):
    """The agent as a whole."""

    before: AgentState
    after: AgentState
    reason: str


class PairChanged(IceEvent, frozen=True, kw_only=True):
    """A pair's state, and why: `reason` says which check failed and how."""

    pair: Pair
    before: PairState
    after: PairState
    reason: str


class CandidateFound(IceEvent, frozen=True, kw_only=True):
    """A peer-reflexive candidate, of this side or of the peer, that nobody had told of."""

    candidate: Candidate
    side: Literal["local", "remote"]


class RoleSwitched(IceEvent, frozen=True, kw_only=True):
    """Both sides had the same role; this side gave way (RFC 8445 7.3.1.1)."""

    role: Role


class Selected(IceEvent, frozen=True, kw_only=True):
    """The pair that data is sent over from now on; `before` was the one until now. None: there is none.
    `reason`: it is the first that works; the one before was lost; it is shorter than the one before; the peer
    nominated it."""

    pair: Pair | None
    before: Pair | None
    reason: SelectionReason


class Rejected(IceEvent, frozen=True, kw_only=True):
    """Something from `source` was not believed. Told of once for each reason; `Agent.rejected` counts."""

    source: Endpoint | None
    reason: str
