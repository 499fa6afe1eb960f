"""What an agent tells its owner, in order: enough to draw a timeline and to say why a path failed."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.endpoint import Endpoint
from nattools.protocols.ice.candidate import Candidate
from nattools.protocols.ice.messages import Role
from nattools.protocols.ice.pair import Pair, PairState

AgentState = Literal["new", "checking", "connected", "disconnected", "failed", "closed"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened at `time_s` of the agent's clock."""

    time_s: float


class StateChanged(Event, frozen=True, kw_only=True):
    """The agent as a whole."""

    before: AgentState
    after: AgentState
    reason: str


class PairChanged(Event, frozen=True, kw_only=True):
    """A pair's state, and why: `reason` says which check failed and how."""

    pair: Pair
    before: PairState
    after: PairState
    reason: str


class CandidateFound(Event, frozen=True, kw_only=True):
    """A peer-reflexive candidate, of this side or of the peer, that nobody had told of."""

    candidate: Candidate
    side: Literal["local", "remote"]


class RoleSwitched(Event, frozen=True, kw_only=True):
    """Both sides had the same role; this side gave way (RFC 8445 7.3.1.1)."""

    role: Role


class Selected(Event, frozen=True, kw_only=True):
    """The pair that data is sent over from now on; `before` was the one until now. None: there is none."""

    pair: Pair | None
    before: Pair | None
    reason: str


class ConnectWanted(Event, frozen=True, kw_only=True):
    """A TCP pair needs a connection: call `Agent.connected` or `Agent.path_failed` with its path."""

    pair: Pair


class Rejected(Event, frozen=True, kw_only=True):
    """Something from `source` was not believed. Told of once for each reason; `Agent.rejected` counts."""

    source: Endpoint | None
    reason: str
