"""Bytes to messages: the structure is checked at once, with ProtocolError for what a hostile or careless peer
may send; the values of attributes when `Message` is asked for them."""

from __future__ import annotations

from struct import Struct, error
from typing import Final

from nattools.errors import ProtocolError
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.header import KINDS, method_of, unpack_attribute, unpack_header
from nattools.protocols.stun.message import Attribute, Message

_unpack_start = Struct(">HHI12sHH").unpack_from

_SHAPES: Final[dict[int, tuple[int, c.Kind]]] = {1 | bits: (1, kind) for bits, kind in KINDS.items()}

# RFC 3489 knew two methods and no indications; anything else without the cookie is not STUN.
_LEGACY_TYPES: Final = frozenset({0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112})
# What may still follow MESSAGE-INTEGRITY (RFC 8489 14.5) and MESSAGE-INTEGRITY-SHA256 (14.6).
_INTEGRITY: Final = {
    c.MESSAGE_INTEGRITY: frozenset({c.MESSAGE_INTEGRITY_SHA256, c.FINGERPRINT}),
    c.MESSAGE_INTEGRITY_SHA256: frozenset({c.FINGERPRINT}),
}


def decode(data: bytes) -> Message:
    """Read one message, the whole of a datagram or a frame of `Framer`.

    ProtocolError: not STUN, cut short or too long, an attribute that overruns the message. Without the
    magic cookie only RFC 3489's methods are read; old servers send unaligned values there, which is let
    pass.
    """
    size = len(data)
    if size < 24:
        return _decode_bare(data)
    number, length, cookie, transaction_id, first, first_length = _unpack_start(data)
    if cookie != 0x2112A442 or length + 20 != size or size & 3 or number > 0x3FFF:
        return _decode_unusual(data)
    shape = _SHAPES.get(number) or (method_of(number), KINDS[number & 0x110])
    if first_length + 24 == size:
        # One attribute and nothing to pad: a server's usual answer.
        return Message(shape[0], shape[1], transaction_id, ((first, data[24:]),), data)
    return Message(shape[0], shape[1], transaction_id, _read_attributes(data, 3), data)


def _decode_bare(data: bytes) -> Message:
    """A message too short for attributes."""
    if len(data) != 20:
        raise ProtocolError(f"{len(data)} bytes are no STUN message")
    number, length, cookie = unpack_header(data)
    if length or number > 0x3FFF or cookie != c.MAGIC_COOKIE:
        return _decode_unusual(data)
    return Message(method_of(number), KINDS[number & 0x110], data[8:], (), data)


def _decode_unusual(data: bytes) -> Message:
    """A message of RFC 3489, or the reason why it is none at all."""
    number, length, cookie = unpack_header(data)
    if number > 0x3FFF:
        raise ProtocolError("the first two bits are not zero")
    if length + 20 != len(data):
        raise ProtocolError(f"a STUN message of {len(data)} bytes claims {length + 20}")
    if cookie == c.MAGIC_COOKIE:
        raise ProtocolError(f"the length {length} is not a multiple of 4")
    return _decode_legacy(data, number)


def _decode_legacy(data: bytes, number: int) -> Message:
    if number not in _LEGACY_TYPES:
        raise ProtocolError("no magic cookie, and no message of RFC 3489")
    try:
        attributes = _read_attributes(data, 3)
    except ProtocolError:
        # RFC 3489 knew no padding: some servers write values of any length, one right after the other.
        attributes = _read_attributes(data, 0)
    return Message(method_of(number), KINDS[number & 0x110], data[4:20], attributes, data)


def _read_attributes(data: bytes, padding: int) -> tuple[Attribute, ...]:
    """Walk the attributes; `padding` is 3 where values are padded to 4 bytes, 0 where they are not."""
    found: list[Attribute] = []
    position, size = 20, len(data)
    try:
        while position < size:
            attribute_type, length = unpack_attribute(data, position)
            start = position + 4
            position = start + length
            found.append((attribute_type, data[start:position]))
            if length & padding:
                position += -length & padding
            if attribute_type in _INTEGRITY:
                return _read_last_attributes(data, padding, position, found)
    except error:
        raise ProtocolError("the message ends within an attribute's header") from None
    if position != size:
        raise ProtocolError("an attribute overruns the message")
    return tuple(found)


def _read_last_attributes(
    data: bytes, padding: int, position: int, found: list[Attribute]
) -> tuple[Attribute, ...]:
    """What follows the message integrity that was found last, as far as it may."""
    allowed = _INTEGRITY[found[-1][0]]
    size = len(data)
    while position < size:
        attribute_type, length = unpack_attribute(data, position)
        start = position + 4
        if attribute_type in allowed:
            found.append((attribute_type, data[start : start + length]))
            allowed = _INTEGRITY.get(attribute_type, allowed)
        position = start + length + (-length & padding)
    if position != size:
        raise ProtocolError("an attribute overruns the message")
    return tuple(found)
