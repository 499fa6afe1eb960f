"""The values of STUN's other attributes, to bytes and back (RFC 8489 14, RFC 5780 7, RFC 8445 7.1).

`pack_*` take sensible values and raise ValueError for others; `unpack_*` take a peer's bytes and raise
ProtocolError.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from nattools.errors import ProtocolError

# RFC 8489 14.3, 14.9, 14.10, 14.14: fewer than 509 bytes, or fewer than 128 characters of UTF-8.
USERNAME_LIMIT: Final = 508
TEXT_LIMIT: Final = 763

_UINT32: Final = Struct(">I")
_UINT64: Final = Struct(">Q")
_ALGORITHM_HEAD: Final = Struct(">HH")
_CHANGE_ADDRESS: Final = 0x04
_CHANGE_PORT: Final = 0x02


def pack_change_request(change_address: bool, change_port: bool) -> bytes:
    """CHANGE-REQUEST (RFC 5780 7.2)."""
    return _UINT32.pack(_CHANGE_ADDRESS * change_address | _CHANGE_PORT * change_port)


def unpack_change_request(value: bytes) -> tuple[bool, bool]:
    """(change address, change port)."""
    flags = unpack_uint32(value, "CHANGE-REQUEST")
    return bool(flags & _CHANGE_ADDRESS), bool(flags & _CHANGE_PORT)


def pack_response_port(port: int) -> bytes:
    """RESPONSE-PORT (RFC 5780 7.5)."""
    return port.to_bytes(2, "big")


def unpack_response_port(value: bytes) -> int:
    """The port; coturn counts the two bytes of padding as part of the value, so 4 bytes are read too."""
    if len(value) not in (2, 4):
        raise ProtocolError(f"RESPONSE-PORT has {len(value)} bytes instead of 2")
    return value[0] << 8 | value[1]


def pack_error_code(code: int, reason: str) -> bytes:
    """ERROR-CODE (RFC 8489 14.8)."""
    if not 300 <= code <= 699:
        raise ValueError(f"not a STUN error code: {code}")
    return bytes((0, 0, code // 100, code % 100)) + reason.encode()[:TEXT_LIMIT]


def unpack_error_code(value: bytes) -> tuple[int, str]:
    """(code 300..699, reason phrase). The phrase is for people: what is not UTF-8 in it is replaced."""
    if len(value) < 4:
        raise ProtocolError(f"ERROR-CODE has {len(value)} bytes, fewer than 4")
    hundreds, number = value[2] & 7, value[3]
    if not 3 <= hundreds <= 6 or number > 99:
        raise ProtocolError(f"ERROR-CODE has class {hundreds} and number {number}")
    return hundreds * 100 + number, value[4:].rstrip(b"\0").decode(errors="replace")


def pack_types(types: Iterable[int]) -> bytes:
    """UNKNOWN-ATTRIBUTES (RFC 8489 14.13)."""
    return b"".join(number.to_bytes(2, "big") for number in types)


def unpack_types(value: bytes) -> tuple[int, ...]:
    """The attribute types that a server did not understand."""
    if len(value) % 2:
        raise ProtocolError(f"UNKNOWN-ATTRIBUTES has {len(value)} bytes, an odd number")
    return tuple(value[i] << 8 | value[i + 1] for i in range(0, len(value), 2))


def pack_uint32(number: int) -> bytes:
    """PRIORITY."""
    return number.to_bytes(4, "big")


def unpack_uint32(value: bytes, name: str) -> int:
    """PRIORITY and other 32-bit numbers; `name` is for the error."""
    if len(value) != 4:
        raise ProtocolError(f"{name} has {len(value)} bytes instead of 4")
    return int.from_bytes(value, "big")


def pack_uint64(number: int) -> bytes:
    """ICE-CONTROLLED and ICE-CONTROLLING: the tie-breaker."""
    return _UINT64.pack(number)


def unpack_uint64(value: bytes, name: str) -> int:
    """ICE-CONTROLLED and ICE-CONTROLLING."""
    if len(value) != 8:
        raise ProtocolError(f"{name} has {len(value)} bytes instead of 8")
    return int.from_bytes(value, "big")


def unpack_text(value: bytes, name: str, limit: int = TEXT_LIMIT) -> str:
    """USERNAME, REALM and their like: UTF-8 of at most `limit` bytes."""
    if len(value) > limit:
        raise ProtocolError(f"{name} has {len(value)} bytes, more than {limit}")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{name} is not UTF-8") from error


def unpack_opaque(value: bytes, name: str, limit: int = TEXT_LIMIT) -> bytes:
    """NONCE: at most `limit` bytes."""
    if len(value) > limit:
        raise ProtocolError(f"{name} has {len(value)} bytes, more than {limit}")
    return value


def unpack_fixed(value: bytes, name: str, size: int) -> bytes:
    """USERHASH and other values of one size."""
    if len(value) != size:
        raise ProtocolError(f"{name} has {len(value)} bytes instead of {size}")
    return value


def pack_algorithms(algorithms: Iterable[tuple[int, bytes]]) -> bytes:
    """PASSWORD-ALGORITHMS and PASSWORD-ALGORITHM (RFC 8489 14.11, 14.12): (number, parameters) each."""
    return b"".join(
        _ALGORITHM_HEAD.pack(number, len(parameters)) + parameters + bytes(-len(parameters) % 4)
        for number, parameters in algorithms
    )


def unpack_algorithms(value: bytes, name: str) -> tuple[tuple[int, bytes], ...]:
    """(number, parameters) each, in the sender's order of preference."""
    found, position, size = [], 0, len(value)
    while position < size:
        if position + 4 > size:
            raise ProtocolError(f"{name} ends within an algorithm")
        number, length = _ALGORITHM_HEAD.unpack_from(value, position)
        end = position + 4 + length
        if end > size:
            raise ProtocolError(f"{name} ends within an algorithm's parameters")
        found.append((number, value[position + 4 : end]))
        position = end + -length % 4
    return tuple(found)
