"""The values of TURN's attributes, to bytes and back (RFC 8656 18); the addresses are as elsewhere in STUN.

`pack_*` take sensible values; `unpack_*` take a peer's bytes and raise ProtocolError.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from nattools.errors import ProtocolError
from nattools.model.endpoint import Family
from nattools.protocols.stun.attributes import pack_error_code, unpack_error_code, unpack_fixed

FIRST_CHANNEL: Final = 0x4000
LAST_CHANNEL: Final = 0x4FFF

_FAMILIES: Final[dict[int, Family]] = {1: 4, 2: 6}
_CHANNEL: Final = Struct(">HH")
_ICMP: Final = Struct(">HHI")
_RESERVE: Final = 0x80


def pack_channel(number: int) -> bytes:
    """CHANNEL-NUMBER (RFC 8656 18.1)."""
    return _CHANNEL.pack(number, 0)


def unpack_channel(value: bytes) -> int:
    """The number; one that no channel can have is the receiver's to refuse (400)."""
    number: int = _CHANNEL.unpack(unpack_fixed(value, "CHANNEL-NUMBER", 4))[0]
    return number


def pack_family(family: Family) -> bytes:
    """REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY (RFC 8656 18.6, 18.11)."""
    return bytes((1 if family == 4 else 2, 0, 0, 0))


def unpack_family(value: bytes, name: str) -> Family | None:
    """4 or 6; None: the peer names a family that is neither (440)."""
    return _FAMILIES.get(unpack_fixed(value, name, 4)[0])


def pack_even_port(*, reserve_next: bool) -> bytes:
    """EVEN-PORT (RFC 8656 18.7)."""
    return bytes((_RESERVE * reserve_next,))


def unpack_even_port(value: bytes) -> bool:
    """Is the next higher port to be reserved?"""
    return bool(unpack_fixed(value, "EVEN-PORT", 1)[0] & _RESERVE)


def pack_transport(protocol: int) -> bytes:
    """REQUESTED-TRANSPORT (RFC 8656 18.8): 17 for UDP, 6 for TCP."""
    return bytes((protocol, 0, 0, 0))


def unpack_transport(value: bytes) -> int:
    """The protocol number."""
    return unpack_fixed(value, "REQUESTED-TRANSPORT", 4)[0]


def pack_address_error(family: Family, code: int, reason: str) -> bytes:
    """ADDRESS-ERROR-CODE (RFC 8656 18.12): ERROR-CODE with the family in its first byte."""
    return pack_family(family)[:1] + pack_error_code(code, reason)[1:]


def unpack_address_error(value: bytes) -> tuple[Family, int, str]:
    """(family, code 300..699, reason phrase)."""
    code, reason = unpack_error_code(value)
    family = _FAMILIES.get(value[0])
    if family is None:
        raise ProtocolError(f"ADDRESS-ERROR-CODE names the address family {value[0]}")
    return family, code, reason


def pack_icmp(icmp_type: int, icmp_code: int, data: int = 0) -> bytes:
    """ICMP (RFC 8656 18.13): 7 bits of type, 9 of code, and the 32 bits of the error's own, as the MTU."""
    return _ICMP.pack(0, icmp_type << 9 | icmp_code, data)


def unpack_icmp(value: bytes) -> tuple[int, int, int]:
    """(type, code, error data)."""
    _, both, data = _ICMP.unpack(unpack_fixed(value, "ICMP", 8))
    return both >> 9, both & 0x1FF, data
