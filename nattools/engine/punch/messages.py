"""What the two sides say to each other before they are connected: JSON within the encrypted conversation.

The peer is known to have the code, no more: what it says is bounded and checked like any stranger's.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, parse_endpoint
from nattools.model.nat import Nat, NatByTransport
from nattools.model.punch import Stage
from nattools.protocols.mailbox import MAX_PAYLOAD

VERSION: Final = 1
MAX_CANDIDATES: Final = 48
MAX_STAGES: Final = 60
MAX_ATTEMPTS: Final = 1_000_000

Short = Annotated[str, Meta(max_length=512)]
Number = Annotated[int, Meta(ge=0, le=MAX_ATTEMPTS)]


class Introduction(msgspec.Struct, frozen=True, kw_only=True, tag="introduction"):
    """All that the peer plans with. `attempt` counts from 0 as connections are lost and made anew. The larger
    `nonce` leads. `candidates` as text (RFC 8839 5.1); `mapped`: how many of them a router promised;
    `asks_router`: it may still promise one. `resumes`: the secure connection of the attempt before is there
    and only lacks a path. `udp` and `tcp`: what this side is willing to use. `second`: it knew the other's
    introduction already, and begins with its first packets now."""

    version: int = VERSION
    program: Short = ""
    attempt: Number = 0
    nonce: Annotated[int, Meta(ge=0, lt=2**62)]
    nat: NatByTransport
    low_ports: bool = False
    udp: bool = True
    tcp: bool = True
    mapped: Annotated[int, Meta(ge=0, le=8)] = 0
    asks_router: bool = False
    resumes: bool = False
    ufrag: Short
    password: Short
    candidates: Annotated[tuple[Short, ...], Meta(max_length=MAX_CANDIDATES)] = ()
    second: bool = False


class Found(msgspec.Struct, frozen=True, kw_only=True, tag="candidate"):
    """One more candidate of an attempt."""

    attempt: Number
    candidate: Short


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """The side has what it needs for a step of the plan. `told`: where a server sees the socket for it, None
    if none answered. The step begins when both have said and heard this."""

    attempt: Number
    step: Annotated[int, Meta(ge=0, le=99)]
    told: Short | None = None


class Again(msgspec.Struct, frozen=True, kw_only=True, tag="again"):
    """The connection is lost here, and this attempt at a new one has begun."""

    attempt: Number


class Story(msgspec.Struct, frozen=True, kw_only=True, tag="story"):
    """What happened on this side, for the timeline of the other; times since the attempt began here."""

    attempt: Number
    stages: Annotated[tuple[Stage, ...], Meta(max_length=MAX_STAGES)] = ()


def story_of(attempt: int, stages: tuple[Stage, ...]) -> Story:
    """As much of what happened as one message holds."""
    kept = stages[:MAX_STAGES]
    while len(encode(story := Story(attempt=attempt, stages=kept))) > MAX_PAYLOAD:
        kept = kept[: len(kept) * 3 // 4]
    return story


Message = Introduction | Found | Ready | Again | Story

_decoder: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)
_encoder: Final = msgspec.json.Encoder()


def encode(message: Message) -> bytes:
    """The bytes to send."""
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """What the peer said. ProtocolError: that is nothing that a nattools of this version says."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(
            f"the other side says something that this version does not know: {error}"
        ) from None


def endpoint_of(text: str | None) -> Endpoint | None:
    """An address and a port as the peer wrote it; None for anything else."""
    if text is None:
        return None
    try:
        return parse_endpoint(text)
    except ValueError:
        return None


def without_evidence(nat: NatByTransport) -> NatByTransport:
    """What a peer needs to know of a network to plan, and no more."""
    return NatByTransport(
        udp4=_bare(nat.udp4), udp6=_bare(nat.udp6), tcp4=_bare(nat.tcp4), tcp6=_bare(nat.tcp6)
    )


def _bare(nat: Nat | None) -> Nat | None:
    if nat is None:
        return None
    return msgspec.structs.replace(
        nat, external=(), layers=(), unknowns={}, evidence={}, cgnat=None, double_nat=None
    )
