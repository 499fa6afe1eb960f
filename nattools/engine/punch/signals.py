"""What the two sides tell each other before they are connected: JSON within an encrypted conversation.

The peer is known to have the code, no more: what it sends is bounded and checked like any stranger's.
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, parse_endpoint
from nattools.model.nat import Nat, NatByTransport
from nattools.model.punch import Stage
from nattools.protocols.mailbox import MAX_PAYLOAD
from nattools.traversal.tokens import Relaying

VERSION: Final = 1
MAX_CANDIDATES: Final = 48
MAX_STAGES: Final = 60
MAX_ATTEMPTS: Final = 1_000_000

Short = Annotated[str, Meta(max_length=512)]
Number = Annotated[int, Meta(ge=0, le=MAX_ATTEMPTS)]


class Introduction(msgspec.Struct, frozen=True, kw_only=True, tag="introduction"):
    """All that the peer plans with. `attempt` counts from 0 as connections are lost and made again. The side
    with the larger `nonce` leads. `candidates` as text (RFC 8839 5.1); `asks_router`: a router may still
    map one more. `resumes`: the secure connection of the attempt before is
    there and only lacks a path. `udp` and `tcp`: what this side is willing to use. `second`: it knew the
    other introduction already, and sends its first packets now. `relaying`: when this side is willing to use
    a relay, and `relay` the URI of one that it can use itself. `low_ports`: it may bind ports below 1024, and
    its NAT keeps them there; `low_ports_help`: that NAT would, as far as known. `outside`: where servers
    see this side, over all transports."""

    version: int = VERSION
    program: Short = ""
    attempt: Number = 0
    nonce: Annotated[int, Meta(ge=0, lt=2**62)]
    nat: NatByTransport
    low_ports: bool = False
    low_ports_help: bool = True
    outside: Annotated[tuple[Short, ...], Meta(max_length=MAX_CANDIDATES)] = ()
    udp: bool = True
    tcp: bool = True
    asks_router: bool = False
    resumes: bool = False
    ufrag: Short
    password: Short
    candidates: Annotated[tuple[Short, ...], Meta(max_length=MAX_CANDIDATES)] = ()
    second: bool = False
    relaying: Relaying = "reserve"
    relay: Short = ""


class LateCandidate(msgspec.Struct, frozen=True, kw_only=True, tag="candidate"):
    """One more candidate of an attempt; of a relayed one `relay` is the relay's URI."""

    attempt: Number
    candidate: Short
    relay: Short = ""


class StepReady(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """This side has what it needs for a step of the plan, which begins when both have sent and received this.
    `told`: where a server sees the socket for it, None if no server answered."""

    attempt: Number
    step: Annotated[int, Meta(ge=0, le=99)]
    told: Short | None = None


class AttemptAim(NamedTuple):
    """What an attempt is for while a relay passes everything on: it is the `search`th one at a direct path,
    or at another relayed one (`renews`), before the relay's credentials end. Neither: there is no path."""

    search: int = 0
    renews: bool = False

    @property
    def aside(self) -> bool:
        """Is there a path in use meanwhile?"""
        return self.search > 0 or self.renews


A_PATH: Final = AttemptAim()


class AttemptBegun(msgspec.Struct, frozen=True, kw_only=True, tag="again"):
    """This attempt has begun here, for the reason of an `AttemptAim`: by default the connection is lost."""

    attempt: Number
    search: Number = 0
    renews: bool = False

    @property
    def aim(self) -> AttemptAim:
        """What the attempt is for."""
        return AttemptAim(self.search, self.renews)


class RemoteTimeline(msgspec.Struct, frozen=True, kw_only=True, tag="story"):
    """What happened on this side, for the timeline of the other; times since the attempt began here."""

    attempt: Number
    stages: Annotated[tuple[Stage, ...], Meta(max_length=MAX_STAGES)] = ()


def remote_timeline(attempt: int, stages: tuple[Stage, ...]) -> RemoteTimeline:
    """As much of what happened as fits into one message."""
    kept = stages[:MAX_STAGES]
    while len(encode(message := RemoteTimeline(attempt=attempt, stages=kept))) > MAX_PAYLOAD:
        kept = kept[: len(kept) * 3 // 4]
    return message


Message = Introduction | LateCandidate | StepReady | AttemptBegun | RemoteTimeline

_decoder: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)
_encoder: Final = msgspec.json.Encoder()


def encode(message: Message) -> bytes:
    """The bytes to send."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """What the peer sent. ProtocolError: this version knows no such message."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(str(error)) from None


def endpoint_of(text: str | None) -> Endpoint | None:
    """An address and a port as the peer wrote them; None for anything else."""
    if text is None:
        return None
    try:
        return parse_endpoint(text)
    except ValueError:
        return None


def without_evidence(nat: NatByTransport) -> NatByTransport:
    """What a peer needs to know of a network to plan, and no more."""
    return nat.each(_bare)


def _bare(nat: Nat) -> Nat:
    return msgspec.structs.replace(
        nat,
        external=nat.external if nat.pooling in ("arbitrary", "per-destination") else (),
        layers=(),
        unknowns={},
        unknown_reasons={},
        evidence={},
        cgnat=None,
        double_nat=None,
    )
