"""What goes over the wire: JSON texts between a peer and the mailbox, msgpack within them between the peers.

Every field is bounded, so that a decoder's result is never larger than what it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from nattools.errors import ProtocolError
from nattools.model.statement import Statement

T = TypeVar("T")

VERSION: Final = 1
PATH: Final = "/mailbox"
MAX_PAYLOAD: Final = 12_000
"""Bytes of an application's message."""
_MAX_BOX: Final = MAX_PAYLOAD + 64
_MAX_BODY: Final = _MAX_BOX + 64
MAX_TEXT: Final = 24_000
"""Bytes of a message to or from the mailbox: a body in base64, and a little around it."""
MAX_NAMEPLATE: Final = 999_999
"""The largest number that a code can have."""
MAX_ROOM: Final = 2**62 - 1
"""The largest number of a room; those above `MAX_NAMEPLATE` peers draw from their key."""
MEMBER_SIZE: Final = 16

ELEMENT_SIZE: Final = 33  # of SPAKE2: a letter for the side and a point of Ed25519
PROOF_SIZE: Final = 32

Nameplate = Annotated[int, Meta(ge=1, le=MAX_ROOM)]
Body = Annotated[bytes, Meta(max_length=_MAX_BODY)]
Parting = Literal["done", "wrong-code", "failed"]
Closing = Literal[
    "left",  # the other peer said goodbye
    "wrong-code",  # a peer says that the codes differ: the room is closed to everybody
    "failed",  # a peer gave up for another reason
    "taken",  # two others are in this room
    "used-up",  # this code had its try
    "full",  # the mailbox has no room left
    "rate",  # too much in too short a time
    "expired",  # the room's lifetime is over
    "replaced",  # the same member came on a new connection
    "version",  # the mailbox speaks another version
    "protocol",  # the peer broke the protocol
]


class Join(msgspec.Struct, frozen=True, tag="join"):
    """Open or enter a room. Without `nameplate` the mailbox chooses a free one.

    `member` is a secret of this peer: who presents it again takes its old place back.
    """

    version: int
    member: Annotated[bytes, Meta(min_length=MEMBER_SIZE, max_length=MEMBER_SIZE)]
    nameplate: Nameplate | None = None


class PeerMessage(msgspec.Struct, frozen=True, tag="relay"):
    """A message to the other peer, or from it."""

    body: Body


class Leave(msgspec.Struct, frozen=True, tag="leave"):
    """For good. With any `reason` but "done" the room is closed at once, to the other peer too."""

    reason: Parting = "done"


class RelayOffer(msgspec.Struct, frozen=True):
    """Credentials for a relay (RFC 8489 9.2), for `lifetime_s` seconds from now: for those of `uris`, or if
    there are none for the mailbox's own server, on the port where the mailbox is."""

    username: Annotated[str, Meta(min_length=1, max_length=128)]
    password: Annotated[str, Meta(min_length=1, max_length=128)]
    lifetime_s: Annotated[int, Meta(ge=1, le=7 * 24 * 3600)]
    uris: Annotated[tuple[Annotated[str, Meta(max_length=300)], ...], Meta(max_length=8)] = ()


class Joined(msgspec.Struct, frozen=True, tag="joined", omit_defaults=True):
    """The answer to Join: the room, and whether the other peer is connected; then perhaps a relay."""

    nameplate: Nameplate
    present: bool
    relay: RelayOffer | None = None


class Peer(msgspec.Struct, frozen=True, tag="peer", omit_defaults=True):
    """The other peer has come (again), and then perhaps a relay; or its connection is gone."""

    present: bool
    relay: RelayOffer | None = None


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """The mailbox ends the conversation."""

    reason: Closing


ToMailbox = Join | PeerMessage | Leave
FromMailbox = Joined | Peer | PeerMessage | Closed


class Pake(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """A peer's SPAKE2 message; the first after every (new) connection."""

    element: Annotated[bytes, Meta(min_length=ELEMENT_SIZE, max_length=ELEMENT_SIZE)]


class Proof(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Proof that its sender has the key."""

    value: Annotated[bytes, Meta(min_length=PROOF_SIZE, max_length=PROOF_SIZE)]


class Sealed(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """An `Inside`, encrypted. `sequence` counts from 0 in each direction and is the nonce."""

    sequence: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
    box: Annotated[bytes, Meta(max_length=_MAX_BOX)]


Envelope = Pake | Proof | Sealed


class Inside(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed. `received` acknowledges that many of the other side's messages."""

    kind: Literal["data", "end", "ack"]
    received: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
    payload: Annotated[bytes, Meta(max_length=MAX_PAYLOAD)] = b""


# What a client tells whoever drives it.

Reason = Literal[
    "wrong-code",
    "unconfirmed",
    "another-peer",
    "altered",
    "replayed",
    "reordered",
    "reflected",
    "garbage",
    "flood",
    "mailbox",
    "left",
    "refused",
    "unreachable",
]


@dataclass(frozen=True, slots=True)
class RoomOpened:
    """The room is open (again). `kept`: it is the one that follows from the key."""

    nameplate: int
    kept: bool = False


@dataclass(frozen=True, slots=True)
class PeerHere:
    """Somebody else is in the room: whether with the right code is not known yet."""


@dataclass(frozen=True, slots=True)
class RelayOffered:
    """The mailbox gives this side credentials for a relay."""

    offer: RelayOffer


@dataclass(frozen=True, slots=True)
class PeerLost:
    """The other's connection to the mailbox is gone; it may come back."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The other has the same code: from here on messages can be exchanged."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message of the other side: authentic, once, in order."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class PeerDone:
    """The other side has said, authentically, that it is done."""


@dataclass(frozen=True, slots=True)
class MailboxFailure:
    """The conversation is over; `statement` says why."""

    reason: Reason
    statement: Statement


Event = RoomOpened | PeerHere | RelayOffered | PeerLost | Confirmed | Received | PeerDone | MailboxFailure


_to_mailbox: Final[msgspec.json.Decoder[ToMailbox]] = msgspec.json.Decoder(ToMailbox)
_from_mailbox: Final[msgspec.json.Decoder[FromMailbox]] = msgspec.json.Decoder(FromMailbox)
_envelope: Final[msgspec.msgpack.Decoder[Envelope]] = msgspec.msgpack.Decoder(Envelope)
_inside: Final = msgspec.msgpack.Decoder(Inside)


def encode(message: ToMailbox | FromMailbox) -> bytes:
    """The JSON text, in UTF-8."""
    return msgspec.json.encode(message)


def pack(message: Envelope | Inside) -> bytes:
    """The msgpack form of what one peer sends to the other."""
    return msgspec.msgpack.encode(message)


def decode_to_mailbox(data: bytes) -> ToMailbox:
    """What a peer said to the mailbox. ProtocolError: nothing of the kind."""
    return _decode(_to_mailbox.decode, data, MAX_TEXT)


def decode_from_mailbox(data: bytes) -> FromMailbox:
    """What the mailbox said. ProtocolError: nothing of the kind."""
    return _decode(_from_mailbox.decode, data, MAX_TEXT)


def decode_envelope(data: bytes) -> Envelope:
    """What one peer sent to the other. ProtocolError: nothing of the kind."""
    return _decode(_envelope.decode, data, _MAX_BODY)


def decode_inside(data: bytes) -> Inside:
    """What was sealed. ProtocolError: nothing of the kind."""
    return _decode(_inside.decode, data, _MAX_BOX)


def _decode(decode: Callable[[bytes], T], data: bytes, limit: int) -> T:
    if len(data) > limit:
        raise ProtocolError(f"a message of {len(data)} bytes; {limit} are allowed")
    try:
        return decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise ProtocolError(f"not a message of the mailbox's protocol: {error}") from None
