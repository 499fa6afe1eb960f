"""ICMP (RFC 792) and ICMPv6 (RFC 4443) messages, as ping sockets and raw sockets carry them: without the IP
header. Whole IP packets are `protocols.ip`'s.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, Literal

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Family
from nattools.protocols import ip
from nattools.protocols.packet import Packet

ErrorKind = Literal["time-exceeded", "port-unreachable", "unreachable", "prohibited", "too-big"]

ECHO_REQUEST: Final[dict[Family, int]] = {4: 8, 6: 128}
ECHO_REPLY: Final[dict[Family, int]] = {4: 0, 6: 129}

_ECHO: Final = Struct("!BBHHH")
HEADER_SIZE: Final = _ECHO.size
_ERROR_TYPES: Final[dict[Family, frozenset[int]]] = {4: frozenset({3, 11, 12}), 6: frozenset({1, 2, 3, 4})}
_KINDS4: Final[dict[tuple[int, int], ErrorKind]] = {
    (3, 3): "port-unreachable",
    (3, 4): "too-big",
    (3, 9): "prohibited",
    (3, 10): "prohibited",
    (3, 13): "prohibited",
}
_KINDS6: Final[dict[tuple[int, int], ErrorKind]] = {
    (1, 1): "prohibited",
    (1, 4): "port-unreachable",
    (1, 5): "prohibited",
    (1, 6): "prohibited",
}


def error_kind(family: Family, icmp_type: int, icmp_code: int) -> ErrorKind:
    """The version-independent meaning of an ICMP (RFC 792, RFC 1812 5.2.7.1) or ICMPv6 (RFC 4443) error."""
    if family == 4:
        return "time-exceeded" if icmp_type == 11 else _KINDS4.get((icmp_type, icmp_code), "unreachable")
    if icmp_type in (2, 3):
        return "too-big" if icmp_type == 2 else "time-exceeded"
    return _KINDS6.get((icmp_type, icmp_code), "unreachable")


class Echo(msgspec.Struct, frozen=True):
    """An echo request or reply."""

    reply: bool
    identifier: int
    sequence: int
    payload: bytes


class Error(msgspec.Struct, frozen=True):
    """An error. `about` is the packet that it quotes; its payload is all that follows the quoted header, also
    what the sender of the error appended. `mtu`: of the next link, where the error tells it."""

    kind: ErrorKind
    icmp_type: int
    icmp_code: int
    about: Packet
    mtu: int | None = None


def encode_echo(family: Family, echo: Echo) -> bytes:
    """The message. ICMPv6's checksum covers addresses and is left to the kernel (RFC 3542 3.1).

    ValueError: identifier or sequence number are not of 16 bits."""
    if not (0 <= echo.identifier <= 0xFFFF and 0 <= echo.sequence <= 0xFFFF):
        raise ValueError(f"not 16 bits: {echo.identifier}, {echo.sequence}")
    kind = ECHO_REPLY[family] if echo.reply else ECHO_REQUEST[family]
    message = _ECHO.pack(kind, 0, 0, echo.identifier, echo.sequence) + echo.payload
    if family == 6:
        return message
    return message[:2] + ip.checksum(message).to_bytes(2, "big") + message[4:]


def decode(family: Family, data: bytes) -> Echo | Error | None:
    """An echo message or an error; None: a message of another type. ProtocolError.

    Only ICMP's checksum is checked: ICMPv6's needs the addresses, and the kernel has checked it."""
    if len(data) < _ECHO.size:
        raise ProtocolError("an ICMP message cut short")
    if family == 4 and ip.checksum(data):
        raise ProtocolError("an ICMP message with a wrong checksum")
    icmp_type, code, _, identifier, sequence = _ECHO.unpack_from(data)
    if icmp_type in (ECHO_REQUEST[family], ECHO_REPLY[family]):
        return Echo(icmp_type == ECHO_REPLY[family], identifier, sequence, data[_ECHO.size :])
    if icmp_type not in _ERROR_TYPES[family]:
        return None
    kind = error_kind(family, icmp_type, code)
    return Error(kind, icmp_type, code, ip.parse_quoted(data[_ECHO.size :]), _mtu(family, kind, data))


def quoted_echo(about: Packet) -> Echo | None:
    """The echo request that a quoted packet is, None if it is none."""
    family: Family = 6 if ":" in about.source else 4
    if about.protocol != "icmp" or about.icmp_type != ECHO_REQUEST[family]:
        return None
    return Echo(False, about.source_port, about.icmp_rest & 0xFFFF, about.payload)


def _mtu(family: Family, kind: ErrorKind, data: bytes) -> int | None:
    """RFC 1191 4 (16 bits), RFC 4443 3.2 (32 bits); 0 where an old router leaves it out."""
    if kind != "too-big":
        return None
    return int.from_bytes(data[6 if family == 4 else 4 : 8], "big") or None
