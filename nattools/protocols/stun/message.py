"""STUN messages: the header and the list of attributes (RFC 8489 5 and 14), read lazily.

`decode` checks the structure at once and the values of attributes only when they are asked for, each of
the two with ProtocolError for what a hostile or careless peer may send.
"""

from __future__ import annotations

from collections.abc import Container
from struct import Struct, error
from typing import Final

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.addresses import unpack_address, unpack_xor_address
from nattools.protocols.stun.attributes import (
    USERNAME_LIMIT,
    unpack_algorithms,
    unpack_change_request,
    unpack_error_code,
    unpack_fixed,
    unpack_opaque,
    unpack_response_port,
    unpack_text,
    unpack_types,
    unpack_uint32,
    unpack_uint64,
)

Attribute = tuple[int, bytes]
Algorithm = tuple[int, bytes]

_HEADER: Final = Struct(">HHI")
_ATTRIBUTE: Final = Struct(">HH")
_unpack_header = _HEADER.unpack_from
_unpack_start = Struct(">HHI12sHH").unpack_from
_unpack_attribute = _ATTRIBUTE.unpack_from

_CLASS_BITS: Final[dict[c.Kind, int]] = {
    "request": 0x000,
    "indication": 0x010,
    "success": 0x100,
    "error": 0x110,
}
_KINDS: Final[dict[int, c.Kind]] = {bits: kind for kind, bits in _CLASS_BITS.items()}

_SHAPES: Final[dict[int, tuple[int, c.Kind]]] = {1 | bits: (1, kind) for bits, kind in _KINDS.items()}

# RFC 3489 knew two methods and no indications; anything else without the cookie is not STUN.
_LEGACY_TYPES: Final = frozenset({0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112})
# What may still follow MESSAGE-INTEGRITY (RFC 8489 14.5) and MESSAGE-INTEGRITY-SHA256 (14.6).
_INTEGRITY: Final = {
    c.MESSAGE_INTEGRITY: frozenset({c.MESSAGE_INTEGRITY_SHA256, c.FINGERPRINT}),
    c.MESSAGE_INTEGRITY_SHA256: frozenset({c.FINGERPRINT}),
}


class Message(msgspec.Struct, frozen=True, gc=False):
    """A STUN message.

    `transaction_id` has 12 bytes, or 16 for the messages of RFC 3489, which have no magic cookie.
    `attributes` are (type, raw value) in order, without what follows MESSAGE-INTEGRITY and must be ignored
    (RFC 8489 14.5, 14.6). `raw` is the message as received, b"" for one that was built.

    The properties read one attribute each: None when it is absent, ProtocolError when it is malformed. Of
    an attribute that comes twice the first counts (RFC 8489 14).
    """

    method: int
    kind: c.Kind
    transaction_id: bytes
    attributes: tuple[Attribute, ...] = ()
    raw: bytes = b""

    def get(self, attribute_type: int) -> bytes | None:
        """The raw value of the first attribute of this type."""
        for found, value in self.attributes:
            if found == attribute_type:
                return value
        return None

    def unknown_required(self, understood: Container[int] = c.UNDERSTOOD) -> tuple[int, ...]:
        """Types of the comprehension-required attributes that are not in `understood`, in order, once each.

        A request with such is answered with error 420, a response with such means failure (RFC 8489 6.3).
        """
        unknown = (found for found, _ in self.attributes if found < 0x8000 and found not in understood)
        return tuple(dict.fromkeys(unknown))

    @property
    def legacy(self) -> bool:
        """Without the magic cookie: RFC 3489."""
        return len(self.transaction_id) == 16

    @property
    def mapped(self) -> Endpoint | None:
        """XOR-MAPPED-ADDRESS (or its number in old drafts), else MAPPED-ADDRESS."""
        for found, value in self.attributes:
            if found == 0x0020:
                return unpack_xor_address(value, self.transaction_id)
        old = self.get(c.OLD_XOR_MAPPED_ADDRESS)
        return (
            self._address(c.MAPPED_ADDRESS) if old is None else unpack_xor_address(old, self.transaction_id)
        )

    @property
    def other_address(self) -> Endpoint | None:
        """OTHER-ADDRESS (RFC 5780 7.4) or RFC 3489's CHANGED-ADDRESS."""
        return self._address(c.OTHER_ADDRESS) or self._address(c.CHANGED_ADDRESS)

    @property
    def response_origin(self) -> Endpoint | None:
        """RESPONSE-ORIGIN (RFC 5780 7.3) or RFC 3489's SOURCE-ADDRESS."""
        return self._address(c.RESPONSE_ORIGIN) or self._address(c.SOURCE_ADDRESS)

    @property
    def alternate_server(self) -> Endpoint | None:
        """ALTERNATE-SERVER (RFC 8489 14.15)."""
        return self._address(c.ALTERNATE_SERVER)

    @property
    def change_request(self) -> tuple[bool, bool] | None:
        """CHANGE-REQUEST (RFC 5780 7.2): (change address, change port)."""
        value = self.get(c.CHANGE_REQUEST)
        return None if value is None else unpack_change_request(value)

    @property
    def response_port(self) -> int | None:
        """RESPONSE-PORT (RFC 5780 7.5), of 2 bytes or, as coturn writes it, 4."""
        value = self.get(c.RESPONSE_PORT)
        return None if value is None else unpack_response_port(value)

    @property
    def error(self) -> tuple[int, str] | None:
        """ERROR-CODE: (code, reason phrase)."""
        value = self.get(c.ERROR_CODE)
        return None if value is None else unpack_error_code(value)

    @property
    def unknown_attributes(self) -> tuple[int, ...] | None:
        """UNKNOWN-ATTRIBUTES: what the server did not understand (with error 420)."""
        value = self.get(c.UNKNOWN_ATTRIBUTES)
        return None if value is None else unpack_types(value)

    @property
    def username(self) -> str | None:
        """USERNAME."""
        return self._text(c.USERNAME, "USERNAME", USERNAME_LIMIT)

    @property
    def realm(self) -> str | None:
        """REALM."""
        return self._text(c.REALM, "REALM")

    @property
    def software(self) -> str | None:
        """SOFTWARE."""
        return self._text(c.SOFTWARE, "SOFTWARE")

    @property
    def alternate_domain(self) -> str | None:
        """ALTERNATE-DOMAIN (RFC 8489 14.16)."""
        return self._text(c.ALTERNATE_DOMAIN, "ALTERNATE-DOMAIN")

    @property
    def nonce(self) -> bytes | None:
        """NONCE."""
        value = self.get(c.NONCE)
        return None if value is None else unpack_opaque(value, "NONCE")

    @property
    def userhash(self) -> bytes | None:
        """USERHASH (RFC 8489 14.4): 32 bytes."""
        value = self.get(c.USERHASH)
        return None if value is None else unpack_fixed(value, "USERHASH", 32)

    @property
    def password_algorithms(self) -> tuple[Algorithm, ...] | None:
        """PASSWORD-ALGORITHMS: (number, parameters), the server's favourite first."""
        value = self.get(c.PASSWORD_ALGORITHMS)
        return None if value is None else unpack_algorithms(value, "PASSWORD-ALGORITHMS")

    @property
    def password_algorithm(self) -> Algorithm | None:
        """PASSWORD-ALGORITHM: the (number, parameters) that the client chose."""
        value = self.get(c.PASSWORD_ALGORITHM)
        if value is None:
            return None
        found = unpack_algorithms(value, "PASSWORD-ALGORITHM")
        if len(found) != 1:
            raise ProtocolError(f"PASSWORD-ALGORITHM names {len(found)} algorithms")
        return found[0]

    @property
    def priority(self) -> int | None:
        """PRIORITY (RFC 8445 7.1.1)."""
        value = self.get(c.PRIORITY)
        return None if value is None else unpack_uint32(value, "PRIORITY")

    @property
    def use_candidate(self) -> bool:
        """USE-CANDIDATE (RFC 8445 7.1.2), which has no value."""
        value = self.get(c.USE_CANDIDATE)
        return value is not None and unpack_fixed(value, "USE-CANDIDATE", 0) == b""

    @property
    def ice_controlled(self) -> int | None:
        """ICE-CONTROLLED's tie-breaker (RFC 8445 7.1.3)."""
        value = self.get(c.ICE_CONTROLLED)
        return None if value is None else unpack_uint64(value, "ICE-CONTROLLED")

    @property
    def ice_controlling(self) -> int | None:
        """ICE-CONTROLLING's tie-breaker (RFC 8445 7.1.3)."""
        value = self.get(c.ICE_CONTROLLING)
        return None if value is None else unpack_uint64(value, "ICE-CONTROLLING")

    @property
    def hello(self) -> bytes | None:
        """NATTOOLS-HELLO, as it is."""
        return self.get(c.NATTOOLS_HELLO)

    def _address(self, attribute_type: int) -> Endpoint | None:
        value = self.get(attribute_type)
        return None if value is None else unpack_address(value)

    def _text(self, attribute_type: int, name: str, limit: int = 763) -> str | None:
        value = self.get(attribute_type)
        return None if value is None else unpack_text(value, name, limit)


def message_type(method: int, kind: c.Kind) -> int:
    """The first two bytes: 12 bits of method with the 2 bits of class among them (RFC 8489 5)."""
    if not 0 <= method <= 0xFFF:
        raise ValueError(f"not a STUN method: {method:#x}")
    return method & 0xF | (method & 0x70) << 1 | (method & 0xF80) << 2 | _CLASS_BITS[kind]


def _method_of(number: int) -> int:
    return number & 0xF | number >> 1 & 0x70 | number >> 2 & 0xF80


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
    shape = _SHAPES.get(number) or (_method_of(number), _KINDS[number & 0x110])
    if first_length + 24 == size:
        # One attribute and nothing to pad: a server's usual answer.
        return Message(shape[0], shape[1], transaction_id, ((first, data[24:]),), data)
    return Message(shape[0], shape[1], transaction_id, _read_attributes(data, 3), data)


def _decode_bare(data: bytes) -> Message:
    """A message too short for attributes."""
    if len(data) != 20:
        raise ProtocolError(f"{len(data)} bytes are no STUN message")
    number, length, cookie = _unpack_header(data)
    if length or number > 0x3FFF or cookie != c.MAGIC_COOKIE:
        return _decode_unusual(data)
    return Message(_method_of(number), _KINDS[number & 0x110], data[8:], (), data)


def _decode_unusual(data: bytes) -> Message:
    """A message of RFC 3489, or the reason why it is none at all."""
    number, length, cookie = _unpack_header(data)
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
    return Message(_method_of(number), _KINDS[number & 0x110], data[4:20], attributes, data)


def _read_attributes(data: bytes, padding: int) -> tuple[Attribute, ...]:
    """Walk the attributes; `padding` is 3 where values are padded to 4 bytes, 0 where they are not."""
    found: list[Attribute] = []
    position, size = 20, len(data)
    try:
        while position < size:
            attribute_type, length = _unpack_attribute(data, position)
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
        attribute_type, length = _unpack_attribute(data, position)
        start = position + 4
        if attribute_type in allowed:
            found.append((attribute_type, data[start : start + length]))
            allowed = _INTEGRITY.get(attribute_type, allowed)
        position = start + length + (-length & padding)
    if position != size:
        raise ProtocolError("an attribute overruns the message")
    return tuple(found)


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
