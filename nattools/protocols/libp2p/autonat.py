"""AutoNAT v2: a peer is asked to dial one of our addresses, and proves by a number that it was there.

Who wants an address dialled that is not its own sends the server more than it makes the server send.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from nattools.errors import ProtocolError
from nattools.protocols.libp2p.identify import readable_address
from nattools.protocols.libp2p.multiaddr import MAX_OCTETS, Multiaddr
from nattools.protocols.libp2p.protobuf import (
    Fields,
    fixed64_field,
    number_field,
    octets_field,
    octets_fields,
    parse_fields,
)

DIAL_REQUEST: Final = "/libp2p/autonat/2/dial-request"
DIAL_BACK: Final = "/libp2p/autonat/2/dial-back"
MAX_MESSAGE: Final = 8192
MOST_ADDRESSES: Final = 50
MAX_DIAL_DATA: Final = 200_000
"""A server that asks for more is not obliged; the specification has 30,000 to 100,000."""
DIAL_DATA_PIECE: Final = 4096

ResponseStatus = Literal["internal-error", "rejected", "refused", "ok"]
DialStatus = Literal["unused", "dial-error", "dial-back-error", "ok"]
_RESPONSES: Final[dict[int, ResponseStatus]] = {
    0: "internal-error",
    100: "rejected",
    101: "refused",
    200: "ok",
}
_DIALS: Final[dict[int, DialStatus]] = {0: "unused", 100: "dial-error", 101: "dial-back-error", 200: "ok"}
_RESPONSE_NUMBERS: Final = {name: number for number, name in _RESPONSES.items()}
_DIAL_NUMBERS: Final = {name: number for number, name in _DIALS.items()}


class DialRequest(msgspec.Struct, frozen=True):
    """Dial the first of these that you can, and say this number there. None: one that cannot be read."""

    addresses: tuple[Multiaddr | None, ...]
    nonce: int


class DialResponse(msgspec.Struct, frozen=True):
    """What came of it; `index`: of which address."""

    status: ResponseStatus
    index: int = 0
    dial: DialStatus = "unused"


class DialDataRequest(msgspec.Struct, frozen=True):
    """Send so many bytes first."""

    index: int
    size: int


class DialData(msgspec.Struct, frozen=True):
    """Some of the bytes that a server wants before it dials."""

    data: bytes


AutonatMessage = DialRequest | DialResponse | DialDataRequest | DialData


def encode_autonat(message: AutonatMessage) -> bytes:
    """Without its length."""
    if isinstance(message, DialRequest):
        addresses = octets_fields(1, (b"" if each is None else each.encode() for each in message.addresses))
        return octets_field(1, addresses + fixed64_field(2, message.nonce))
    if isinstance(message, DialResponse):
        return octets_field(
            2,
            number_field(1, _RESPONSE_NUMBERS[message.status])
            + number_field(2, message.index)
            + number_field(3, _DIAL_NUMBERS[message.dial]),
        )
    if isinstance(message, DialDataRequest):
        return octets_field(3, number_field(1, message.index) + number_field(2, message.size))
    return octets_field(4, octets_field(1, message.data))


def decode_autonat(message: bytes) -> AutonatMessage:
    """ProtocolError: it is none of them, or has a status that is not known."""
    fields = parse_fields(message)
    if (part := fields.message(1)) is not None:
        return _request(part)
    if (part := fields.message(2)) is not None:
        status, dial = _RESPONSES.get(part.number(1, 0)), _DIALS.get(part.number(3, 0))
        if status is None or dial is None:
            raise ProtocolError("a status that is not known")
        return DialResponse(status, part.number(2, 0), dial)
    if (part := fields.message(3)) is not None:
        return DialDataRequest(part.number(1, 0), part.number(2, 0))
    if (part := fields.message(4)) is not None:
        return DialData(part.octets(1, DIAL_DATA_PIECE) or b"")
    raise ProtocolError("no message of AutoNAT")


def _request(part: Fields) -> DialRequest:
    """An address that cannot be read keeps its place: the answer names addresses by that."""
    found = part.all_octets(1, MAX_OCTETS)
    if len(found) > MOST_ADDRESSES:
        raise ProtocolError(f"a request with {len(found)} addresses")
    return DialRequest(tuple(map(readable_address, found)), part.number(2, 0))


def encode_nonce(nonce: int) -> bytes:
    """What the server says when it has dialled, without its length."""
    return fixed64_field(1, nonce)


def decode_nonce(message: bytes) -> int:
    """ProtocolError: it is none."""
    return parse_fields(message).number(1, 0)


DIAL_BACK_RECEIVED: Final = number_field(1, 0)
"""The client's answer to the nonce, without its length."""
