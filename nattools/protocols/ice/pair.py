"""Candidate pairs and their states (RFC 8445 6.1.2)."""

from __future__ import annotations

from typing import Final, Literal

from nattools.model.endpoint import Endpoint, Transport
from nattools.protocols.ice.candidate import Candidate, bare
from nattools.protocols.ice.pacing import RoundTrip

PairState = Literal["frozen", "waiting", "in-progress", "succeeded", "failed"]
PairEvent = Literal["unfreeze", "trigger", "start", "success", "failure"]

NEXT: Final[dict[tuple[PairState, PairEvent], PairState]] = {
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
}
"""Where an event leads; what is not here leaves the state as it is."""

Path = tuple[Transport, Endpoint, Endpoint]


class Pair:
    """A local and a remote candidate, and all that is known of the path between them.

    `local_seen` is the local candidate that the peer's answers showed, once `state` is "succeeded"
    (RFC 8445 7.2.5.3.1); mostly `local` itself. `reason` says why the state is what it is. `trace` counts
    what was sent and heard, for diagnosis. Times are in seconds of the agent's `now`.
    """

    __slots__ = (
        "answered_at",
        "checks_heard",
        "checks_sent",
        "connected",
        "hint",
        "local",
        "local_seen",
        "nominated",
        "nominated_by_peer",
        "priority",
        "reason",
        "remote",
        "remote_endpoint",
        "round_trip",
        "state",
        "unanswered",
    )

    def __init__(self, local: Candidate, remote: Candidate, controlling: bool) -> None:
        self.local = local
        self.remote = remote
        self.remote_endpoint = with_zone(remote.endpoint, local.sends_from)
        self.state: PairState = "frozen"
        self.priority = pair_priority(local, remote, controlling)
        self.local_seen = local
        self.nominated = False
        self.nominated_by_peer: int | None = None
        self.round_trip = RoundTrip()
        self.answered_at: float | None = None
        self.unanswered = 0
        self.checks_sent = 0
        self.checks_heard = 0
        self.connected = local.transport == "udp"
        self.reason = ""
        self.hint = ""

    @property
    def path(self) -> Path:
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
    def relayed(self) -> bool:
        """Does a relay stand between?"""
        return "relay" in (self.local.kind, self.remote.kind)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.local.name} -> {self.remote.name}"

    def happen(self, event: PairEvent, reason: str) -> PairState:
        """Move on by the table; returns the state before."""
        before = self.state
        after = NEXT.get((before, event))
        if after is not None:
            self.state, self.reason = after, reason
        return before


def pair_priority(local: Candidate, remote: Candidate, controlling: bool) -> int:
    """RFC 8445 6.1.2.3."""
    ours, theirs = (local.priority, remote.priority)
    g, d = (ours, theirs) if controlling else (theirs, ours)
    return (min(g, d) << 32) + 2 * max(g, d) + (1 if g > d else 0)


def with_zone(remote: Endpoint, local: Endpoint) -> Endpoint:
    """A link-local destination lies in the zone of the address that it is sent from."""
    zone = local.host.partition("%")[2]
    if not zone or not remote.host.startswith("fe80"):
        return remote
    plain = bare(remote)
    return Endpoint(f"{plain.host}%{zone}", plain.port)
