"""Messages to bytes, and the two answers to "is it unharmed and authentic?": FINGERPRINT and
MESSAGE-INTEGRITY (RFC 8489 14.5 to 14.7)."""

from __future__ import annotations

import hmac
from binascii import crc32
from typing import Final, Literal

from nattools.protocols.stun import constants as c
from nattools.protocols.stun.header import build_header, message_type, pack_attribute, unpack_attribute
from nattools.protocols.stun.message import Message

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
