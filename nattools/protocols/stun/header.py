"""The header of a STUN message, and that of an attribute (RFC 8489 5 and 14)."""

from __future__ import annotations

from struct import Struct
from typing import Final

from nattools.protocols.stun import constants as c

_HEADER: Final = Struct(">HHI")
_ATTRIBUTE: Final = Struct(">HH")
unpack_header = _HEADER.unpack_from
unpack_attribute = _ATTRIBUTE.unpack_from

_CLASS_BITS: Final[dict[c.Kind, int]] = {
    "request": 0x000,
    "indication": 0x010,
    "success": 0x100,
    "error": 0x110,
}
KINDS: Final[dict[int, c.Kind]] = {bits: kind for kind, bits in _CLASS_BITS.items()}


def message_type(method: int, kind: c.Kind) -> int:
    """The first two bytes: 12 bits of method with the 2 bits of class among them (RFC 8489 5)."""
    if not 0 <= method <= 0xFFF:
        raise ValueError(f"not a STUN method: {method:#x}")
    return method & 0xF | (method & 0x70) << 1 | (method & 0xF80) << 2 | _CLASS_BITS[kind]


def method_of(number: int) -> int:
    """The method in a message's first two bytes."""
    return number & 0xF | number >> 1 & 0x70 | number >> 2 & 0xF80


def build_header(number: int, length: int, transaction_id: bytes) -> bytes:
    """The 20 bytes before the attributes; a 16-byte id makes a message of RFC 3489."""
    if len(transaction_id) == 12:
        return _HEADER.pack(number, length, c.MAGIC_COOKIE) + transaction_id
    if len(transaction_id) == 16:
        return _ATTRIBUTE.pack(number, length) + transaction_id
    raise ValueError(f"a transaction id of {len(transaction_id)} bytes")


def pack_attribute(attribute_type: int, value: bytes) -> bytes:
    """One attribute with its padding, of zeroes."""
    return _ATTRIBUTE.pack(attribute_type, len(value)) + value + bytes(-len(value) % 4)
