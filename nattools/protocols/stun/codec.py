"""Messages to bytes, and the two answers to "is it unharmed and authentic?": FINGERPRINT and
MESSAGE-INTEGRITY (RFC 8489 14.5 to 14.7)."""

from __future__ import annotations

import contextlib
import hmac
from binascii import crc32
from struct import Struct, error
from typing import ClassVar, Final, Literal

from nattools.errors import ProtocolError
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.attributes import (
    KINDS,
    build_header,
    message_type,
    method_of,
    pack_attribute,
    unpack_attribute,
    unpack_header,
)
from nattools.protocols.stun.constants import HEADER_SIZE
from nattools.protocols.stun.message import Attribute, Message

IntegrityAlgorithm = Literal["sha1", "sha256", "both"]

_FINGERPRINT_XOR: Final = 0x5354554E
_COMPUTED: Final = frozenset({c.MESSAGE_INTEGRITY, c.MESSAGE_INTEGRITY_SHA256, c.FINGERPRINT})
_SHA1_SIZE: Final = 20
_SHA256_SIZE: Final = 32


def encode(
    message: Message,
    *,
    key: bytes | None = None,
    algorithm: IntegrityAlgorithm = "sha1",
    fingerprint: bool = False,
) -> bytes:
    """The message as bytes.

    With a `key`, MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 or both are added, and with `fingerprint`
    FINGERPRINT. Such attributes of a message that was received, or of one that is signed anew, are left out,
    because they belong to other bytes. A transaction id of 16 bytes makes a message of RFC 3489. ValueError:
    a method, an id or a length out of range.
    """
    attributes = message.attributes
    if key is not None or fingerprint or message.raw:
        attributes = tuple(item for item in attributes if item[0] not in _COMPUTED)
    body = b"".join([pack_attribute(number, value) for number, value in attributes])
    if len(body) > 0xFFF0 - 68:
        raise ValueError(f"attributes of {len(body)} bytes do not fit into a STUN message")
    number = message_type(message.method, message.kind)
    data = build_header(number, len(body), message.transaction_id) + body
    if key is not None and algorithm != "sha256":
        data = _append(data, c.MESSAGE_INTEGRITY, _hmac(data, key, "sha1", _SHA1_SIZE))
    if key is not None and algorithm != "sha1":
        data = _append(data, c.MESSAGE_INTEGRITY_SHA256, _hmac(data, key, "sha256", _SHA256_SIZE))
    return _append(data, c.FINGERPRINT, _fingerprint(data)) if fingerprint else data


def verify_integrity(
    message: Message, key: bytes, *, algorithm: Literal["sha1", "sha256"] | None = None
) -> bool:
    """Was the received message signed with this key?

    Checks MESSAGE-INTEGRITY-SHA256 if it is there, else MESSAGE-INTEGRITY; `algorithm` insists on one of
    the two. False without such an attribute, when its length is not allowed, and for a built message, which
    has no bytes to check. A SHA-256 value may be cut to 16, 20, 24 or 28 bytes (RFC 8489 14.6).
    """
    strong, weak = message.get(c.MESSAGE_INTEGRITY_SHA256), message.get(c.MESSAGE_INTEGRITY)
    if strong is not None and algorithm != "sha1":
        if not (16 <= len(strong) <= _SHA256_SIZE and len(strong) % 4 == 0):
            return False
        return _matches(message, key, "sha256", c.MESSAGE_INTEGRITY_SHA256, strong)
    if weak is None or len(weak) != _SHA1_SIZE or algorithm == "sha256":
        return False
    return _matches(message, key, "sha1", c.MESSAGE_INTEGRITY, weak)


def verify_fingerprint(message: Message) -> bool:
    """Does the received message end with the right FINGERPRINT? False without one."""
    value = message.get(c.FINGERPRINT)
    if value is None or len(value) != 4 or message.legacy:
        return False
    if message.raw[-8:] != pack_attribute(c.FINGERPRINT, value):
        return False
    return value == _fingerprint(message.raw[:-8])


def _matches(
    message: Message, key: bytes, digest: Literal["sha1", "sha256"], attribute_type: int, value: bytes
) -> bool:
    if message.legacy:
        return (
            False  # RFC 3489 signs other bytes, with a key from a Shared Secret server that no longer exist
        )
    before = _before(message.raw, attribute_type)
    return before is not None and hmac.compare_digest(_hmac(before, key, digest, len(value)), value)


def _before(data: bytes, attribute_type: int) -> bytes | None:
    """The bytes in front of the first attribute of this type, in a message that `decode` accepted."""
    position = c.HEADER_SIZE
    while position < len(data):
        found, length = unpack_attribute(data, position)
        if found == attribute_type:
            return data[:position]
        position += 4 + (length + 3 & ~3)
    return None


def _hmac(before: bytes, key: bytes, digest: Literal["sha1", "sha256"], size: int) -> bytes:
    """Over the bytes before the attribute, with a length that counts up to the attribute's end."""
    return hmac.digest(key, _with_length(before, len(before) - 16 + size), digest)[:size]


def _fingerprint(before: bytes) -> bytes:
    checksum = crc32(_with_length(before, len(before) - 12)) ^ _FINGERPRINT_XOR
    return checksum.to_bytes(4, "big")


def _append(data: bytes, attribute_type: int, value: bytes) -> bytes:
    return _with_length(data, len(data) - 16 + len(value)) + pack_attribute(attribute_type, value)


def _with_length(data: bytes, length: int) -> bytes:
    return data[:2] + length.to_bytes(2, "big") + data[4:]


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
    magic cookie only RFC 3489's methods are read. Values that are not padded, as some servers send them, are
    let pass there and in answers.
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
        raise ProtocolError(f"{len(data)} bytes are not a STUN message")
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
    if cookie != c.MAGIC_COOKIE:
        return _decode_legacy(data, number)
    kind = KINDS[number & 0x110]
    if kind in ("request", "indication"):
        raise ProtocolError(f"the length {length} is not a multiple of 4")
    return Message(method_of(number), kind, data[8:20], _read_unaligned(data), data)


def _read_unaligned(data: bytes) -> tuple[Attribute, ...]:
    """The attributes of an answer whose server pads all but the last value, or none: there are such, with
    names of any length in SOFTWARE."""
    missing = -len(data) % 4
    with contextlib.suppress(ProtocolError):
        found = _read_attributes(data + bytes(missing), 3)
        if -len(found[-1][1]) % 4 >= missing:  # else it is the value itself that is not all there
            return found
    return _read_attributes(data, 0)


def _decode_legacy(data: bytes, number: int) -> Message:
    if number not in _LEGACY_TYPES:
        raise ProtocolError("no magic cookie, and not a message of RFC 3489")
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


class Framer:
    """Cuts a TCP stream into STUN messages.

    Feed it what was read, in order; it returns the messages that are complete by now and keeps the rest. It
    looks at the header alone: `decode` each message. When what follows cannot be a STUN message, the ones
    before it are still returned, `broken` is True, and each further call raises: close the stream.
    """

    LEAST: ClassVar = HEADER_SIZE
    """Bytes of the shortest message."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._problem: str | None = None

    @property
    def pending(self) -> int:
        """Bytes of an incomplete message kept; at most 20 + 65,532."""
        return len(self._buffer)

    @property
    def missing(self) -> int:
        """So many bytes at least complete the message that is begun. Whoever reads no more than these at a
        time leaves on the stream what is not STUN any more."""
        size = len(self._buffer)
        return (self.LEAST if size < 4 else self._size(bytes(self._buffer[:4]))) - size

    @property
    def broken(self) -> bool:
        """Did the peer send what is no STUN message?"""
        return self._problem is not None

    def feed(self, data: bytes) -> list[bytes]:
        """The messages completed by `data`. ProtocolError: none, and what comes next is no STUN message."""
        messages: list[bytes] = []
        if self._problem is None:
            self._buffer += data
            self._cut(messages)
        if self._problem is not None and not messages:
            raise ProtocolError(self._problem)
        return messages

    def _cut(self, messages: list[bytes]) -> None:
        position = 0
        while (end := self._end(position)) is not None:
            messages.append(bytes(self._buffer[position:end]))
            position = end
        del self._buffer[: position if self._problem is None else None]

    def _end(self, start: int) -> int | None:
        """Where the message that begins at `start` ends, None if it is not all there or none."""
        head = bytes(self._buffer[start : start + 4])
        self._problem = self._wrong(head) if head else None
        if self._problem is not None or len(head) < 4:
            return None
        end = start + self._size(head)
        return end if end <= len(self._buffer) else None

    def _wrong(self, head: bytes) -> str | None:
        """Why a message cannot begin with these 1 to 4 bytes."""
        if head[0] > 0x3F:
            return "a message of the stream does not begin with two zero bits"
        if len(head) == 4 and head[3] & 3:
            return "a message of the stream has a length that is not a multiple of 4"
        return None

    def _size(self, head: bytes) -> int:
        """The bytes of the message that begins with these 4, with its padding."""
        return HEADER_SIZE + int.from_bytes(head[2:], "big")
