"""The heads of packets as they lie on a link."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.protocols.packethead import PacketHead, read_head

OUTSIDE, HERE = "2a10:c9::3", "2a10:1:0:1::2"


def packet6(protocol: int, rest: bytes) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(rest), protocol, 64)
    return head + ip_address(OUTSIDE).packed + ip_address(HERE).packed + rest


def packet4(protocol: int, rest: bytes, *, offset: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(rest), 0, offset, 64, protocol, 0)
    return head + bytes((11, 201, 0, 3)) + bytes((11, 1, 0, 2)) + rest


def segment(flags: int, port: int = 8080) -> bytes:
    return struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 5 << 4, flags, 0, 0, 0)


UDP = struct.pack("!HHHH", 3479, 8080, 8, 0)


def test_what_came_from_whom_for_which_port() -> None:
    assert read_head(packet6(17, UDP)) == PacketHead(OUTSIDE, "udp", 8080)
    assert read_head(packet6(6, segment(0x02))) == PacketHead(OUTSIDE, "tcp", 8080)
    assert read_head(packet6(58, bytes((128, 0, 0, 0, 0, 1, 0, 1)))) == PacketHead(OUTSIDE, "icmp", 0)
    assert read_head(packet4(17, UDP)) == PacketHead("11.201.0.3", "udp", 8080)
    assert read_head(packet4(1, bytes((8, 0, 0, 0, 0, 1, 0, 1)))) == PacketHead("11.201.0.3", "icmp", 0)


@pytest.mark.parametrize(
    "packet",
    [
        packet6(6, segment(0x12)),  # an answer to a connection of ours
        packet6(6, segment(0x10)),
        packet6(58, bytes((129, 0, 0, 0, 0, 1, 0, 1))),
        packet6(50, UDP),
        packet4(17, UDP, offset=1),
    ],
)
def test_what_nobody_asks_about(packet: bytes) -> None:
    assert read_head(packet) is None


@given(st.binary(max_size=80) | st.binary(max_size=30).map(lambda rest: packet6(6, rest)))
def test_any_bytes_are_a_head_none_or_the_named_error(packet: bytes) -> None:
    try:
        found = read_head(packet)
    except ProtocolError:
        return
    assert found is None or 0 <= found.port < 65536
