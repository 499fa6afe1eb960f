"""PCP options (RFC 6887 7.3 and 13): THIRD_PARTY, PREFER_FAILURE and FILTER; all others are kept raw.

RFC 7652 (authentication) and RFC 7753 (port sets) define more, which a client may ignore in responses.
"""

from __future__ import annotations

import struct

import msgspec

from nattools.errors import ProtocolError
from nattools.protocols.pcp.addresses import ADDRESS_SIZE, pack_address, unpack_address

THIRD_PARTY = 1
PREFER_FAILURE = 2
FILTER = 3
MANDATORY_BELOW = 128
"""Options with a smaller code must be understood by a server that gets them (RFC 6887 7.3)."""

_HEADER = struct.Struct("!BxH")
_FILTER = struct.Struct("!xBH16s")
_MAX_OPTIONS = 64


class Option(msgspec.Struct, frozen=True):
    """`data` without its padding."""

    code: int
    data: bytes = b""


class Filter(msgspec.Struct, frozen=True):
    """Only these remote peers may use the mapping; port 0 means all ports, prefix length 0 removes all
    filters. `prefix_length` counts the bits of a 128-bit address: 96 more than IPv4's own."""

    prefix_length: int
    port: int
    host: str


def third_party(host: str) -> Option:
    """The mapping is for another host than the asker (RFC 6887 13.1)."""
    return Option(THIRD_PARTY, pack_address(host))


def prefer_failure() -> Option:
    """Refuse rather than assign another port than the suggested one (RFC 6887 13.2)."""
    return Option(PREFER_FAILURE)


def filter_option(value: Filter) -> Option:
    """RFC 6887 13.3."""
    return Option(FILTER, _FILTER.pack(value.prefix_length, value.port, pack_address(value.host)))


def read_third_party(option: Option) -> str:
    """The host that a THIRD_PARTY option names. ProtocolError."""
    if option.code != THIRD_PARTY or len(option.data) != ADDRESS_SIZE:
        raise ProtocolError("a THIRD_PARTY option is 16 bytes long")
    return unpack_address(option.data)


def read_filter(option: Option) -> Filter:
    """What a FILTER option says. ProtocolError."""
    if option.code != FILTER or len(option.data) != _FILTER.size:
        raise ProtocolError("a FILTER option is 20 bytes long")
    prefix_length, port, host = _FILTER.unpack(option.data)
    if prefix_length > 128:
        raise ProtocolError(f"a FILTER with a prefix of {prefix_length} bits")
    return Filter(prefix_length, port, unpack_address(host))


def encode_options(options: tuple[Option, ...]) -> bytes:
    """One after the other, each padded with zeros to a multiple of 4 bytes."""
    return b"".join(
        _HEADER.pack(option.code, len(option.data)) + option.data + bytes(-len(option.data) % 4)
        for option in options
    )


def decode_options(data: bytes) -> tuple[Option, ...]:
    """All options in order, known or not. ProtocolError: one does not fit into what is there."""
    found: list[Option] = []
    position = 0
    while position < len(data):
        if position + _HEADER.size > len(data) or len(found) >= _MAX_OPTIONS:
            raise ProtocolError("PCP options that do not fit into the message")
        code, length = _HEADER.unpack_from(data, position)
        start = position + _HEADER.size
        position = start + length + -length % 4
        if position > len(data):
            raise ProtocolError("a PCP option is longer than the message")
        found.append(Option(code, data[start : start + length]))
    return tuple(found)
