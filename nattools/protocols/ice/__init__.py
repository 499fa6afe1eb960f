"""ICE: finding, checking and keeping paths between two peers (RFC 8445, RFC 6544, RFC 8421, RFC 8838,
RFC 7675). Pure: no socket, no clock. `Agent` is the whole of it for its owner."""

from nattools.protocols.ice.agent import Agent
from nattools.protocols.ice.candidate import (
    Candidate,
    CandidateType,
    TcpType,
    encode,
    local_candidate,
    local_preferences,
    parse,
    why_not_a_target,
)
from nattools.protocols.ice.checklist import Pair, PairKey
from nattools.protocols.ice.checkmessages import Credentials, Role
from nattools.protocols.ice.icesession import (
    CandidateFound,
    IceEvent,
    PairChanged,
    RoleSwitched,
    Selected,
    StateChanged,
    Transmit,
)
from nattools.protocols.ice.pacing import OpeningChecks

__all__ = [
    "Agent",
    "Candidate",
    "CandidateFound",
    "CandidateType",
    "Credentials",
    "IceEvent",
    "OpeningChecks",
    "Pair",
    "PairChanged",
    "PairKey",
    "Role",
    "RoleSwitched",
    "Selected",
    "StateChanged",
    "TcpType",
    "Transmit",
    "encode",
    "local_candidate",
    "local_preferences",
    "parse",
    "why_not_a_target",
]
