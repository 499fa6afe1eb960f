"""ICE: finding, checking and keeping paths between two peers (RFC 8445, RFC 6544, RFC 8421, RFC 8838,
RFC 7675). Pure: no socket, no clock. `Agent` is the whole of it for its owner."""

from nattools.protocols.ice.agent import Agent
from nattools.protocols.ice.candidate import (
    Candidate,
    CandidateType,
    TcpType,
    local_candidate,
    local_preferences,
    why_not_a_target,
)
from nattools.protocols.ice.candidatetext import encode, parse
from nattools.protocols.ice.events import (
    AgentState,
    CandidateFound,
    ConnectWanted,
    Event,
    PairChanged,
    Rejected,
    RoleSwitched,
    Selected,
    StateChanged,
)
from nattools.protocols.ice.messages import Credentials, Role
from nattools.protocols.ice.pair import Pair, PairState, Path
from nattools.protocols.ice.session import Transmit
from nattools.protocols.ice.transaction import Opener

__all__ = [
    "Agent",
    "AgentState",
    "Candidate",
    "CandidateFound",
    "CandidateType",
    "ConnectWanted",
    "Credentials",
    "Event",
    "Opener",
    "Pair",
    "PairChanged",
    "PairState",
    "Path",
    "Rejected",
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
