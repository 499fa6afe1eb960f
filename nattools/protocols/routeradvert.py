"""Router advertisements (RFC 4861 4.2), as far as they tell of a NAT64 (PREF64, RFC 8781 4). Pure."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address
from typing import Final

from nattools.errors import ProtocolError
from nattools.protocols.nat64 import Nat64Prefix, parse_prefix

SOLICITATION: Final = bytes((133, 0, 0, 0, 0, 0, 0, 0))
"""RFC 4861 4.1; the system fills in the checksum."""
ADVERTISEMENT: Final = 134
ALL_ROUTERS: Final = "ff02::2"
ALL_NODES: Final = "ff02::1"
HOP_LIMIT: Final = 255
"""What comes with less has passed a router, and is none of the link's (RFC 4861 6.1.2)."""
_HEAD = struct.Struct(">BBHBBHII")
_PREF64, _UNIT_S = 38, 8
_LENGTHS = (96, 64, 56, 48, 40, 32)
"""By the code in the option's last three bits."""


def prefixes_advertised(message: bytes) -> tuple[Nat64Prefix, ...]:
    """Those with a lifetime, in the order of the options; whatever else is advertised is passed over, and so
    is an option whose code means no length (RFC 8781 5.1). ProtocolError: it is no advertisement."""
    if len(message) < _HEAD.size or message[0] != ADVERTISEMENT or message[1] != 0:
        raise ProtocolError("no router advertisement")
    found: dict[Nat64Prefix, None] = {}
    at = _HEAD.size
    while at < len(message):
        size = 8 * message[at + 1] if at + 1 < len(message) else 0
        if size == 0 or at + size > len(message):
            raise ProtocolError("a router advertisement with an option cut short")
        if message[at] == _PREF64 and size == 16:
            scaled = int.from_bytes(message[at + 2 : at + 4], "big")
            prefix = _prefix(scaled & 7, message[at + 4 : at + 16])
            if prefix is not None and scaled >> 3:
                found[prefix] = None
        at += size
    return tuple(found)


def _prefix(code: int, first: bytes) -> Nat64Prefix | None:
    if code >= len(_LENGTHS):
        return None
    length = _LENGTHS[code]
    network = IPv6Address(int.from_bytes(first[: length // 8].ljust(16, b"\0"), "big"))
    try:
        return parse_prefix(f"{network}/{length}")
    except ProtocolError:
        return None


def advertisement(prefix: Nat64Prefix, lifetime_s: int) -> bytes:
    """One that tells of a NAT64 and of nothing else, not even of a default router."""
    scaled = min(lifetime_s // _UNIT_S, 8191) << 3 | _LENGTHS.index(prefix.length)
    option = struct.pack(">BBH", _PREF64, 2, scaled) + IPv6Address(prefix.network).packed[:12]
    return _HEAD.pack(ADVERTISEMENT, 0, 0, 64, 0, 0, 0, 0) + option
