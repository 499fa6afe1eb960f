"""rtnetlink: requests as the kernel reads them, and its answers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.protocols import rtnetlink
from nattools.protocols.rtnetlink import (
    BlockingRoute,
    End,
    KernelAddress,
    KernelLink,
    KernelNeighbour,
    NetlinkError,
    SilentNeighbour,
    TableRoute,
    decode,
)

UNICAST, BLACKHOLE = 1, 6


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, body: bytes, sequence: int = 7) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, sequence, 0) + body


def route(
    *attributes: bytes,
    family: int = 2,
    length: int = 0,
    kind: int = UNICAST,
    table: int = 254,
    protocol: int = 0,
) -> bytes:
    head = struct.pack("=8BI", family, length, 0, 0, table, protocol, 0, kind, 0)
    return message(24, head + b"".join(attributes))


def number(value: int) -> bytes:
    return struct.pack("=I", value)


GATEWAY = bytes((192, 168, 1, 1))
OUT = attribute(4, number(3))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (route(OUT, attribute(5, GATEWAY), attribute(6, number(100))),
         [TableRoute(4, 3, gateway="192.168.1.1", metric=100)]),
        (route(OUT, attribute(15, number(51820)), table=252), [TableRoute(4, 3, table=51820)]),
        (route(OUT, attribute(1, bytes((128, 0, 0, 0))), length=1), [TableRoute(4, 3, 1, "128.0.0.0")]),
        (route(OUT, attribute(7, bytes((10, 8, 0, 2)))), [TableRoute(4, 3, source="10.8.0.2")]),
        (route(OUT, attribute(5, bytes.fromhex("fe80" + "00" * 13 + "01")), family=10),
         [TableRoute(6, 3, gateway="fe80::1")]),
        # a router of the other family (RFC 8950) is none that speaks IPv4
        (route(OUT, attribute(18, struct.pack("=H", 10) + bytes(16))), [TableRoute(4, 3)]),
        (route(attribute(9, struct.pack("=HBBi", 16, 0, 0, 3) + attribute(5, GATEWAY)
                         + struct.pack("=HBBi", 8, 0, 0, 4))),
         [TableRoute(4, 3, gateway="192.168.1.1"), TableRoute(4, 4)]),
        (route(attribute(6, number(1)), kind=BLACKHOLE), [BlockingRoute(4, metric=1)]),
        (route(OUT, kind=7), [BlockingRoute(4)]),
        (route(OUT, kind=9), []),
        (route(OUT, family=28), []),
        (message(2, struct.pack("=i", -101)), [NetlinkError(101)]),
        (message(3, bytes(4)), [End()]),
        (message(3, bytes(4), sequence=6), []),
        (message(16, struct.pack("=BxHiII", 0, 65534, 5, 0x1091, 0) + attribute(3, b"corp\0")
                 + attribute(4, number(1420)) + attribute(0x8000 | 18, attribute(1, b"wireguard\0"))),
         [KernelLink(5, "corp", 0x1091, 65534, 1420, "wireguard")]),
        (message(16, struct.pack("=BxHiII", 0, 1, 6, 1, 0) + attribute(3, b"veth1\0")
                 + attribute(10, number(4))), [KernelLink(6, "veth1", 1, 1, None, "", 4)]),
    ],
)  # fmt: skip
def test_answers(data: bytes, expected: list[rtnetlink.Message]) -> None:
    assert decode(data, 7) == expected


def test_several_messages_in_one_datagram() -> None:
    assert decode(route(OUT) + message(3, bytes(4)), 7) == [TableRoute(4, 3), End()]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_the_named_error(data: bytes) -> None:
    for datagram in (data, message(24, data), message(16, data), route(data), route(attribute(9, data))):
        try:
            decode(datagram, 7)
        except ProtocolError:
            continue


def test_a_question_is_read_back_as_it_was_meant() -> None:
    asked = rtnetlink.ask_route(7, "11.0.0.1", source="10.0.1.2", link=3)
    length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", asked)
    assert (length, kind, flags, sequence) == (len(asked), 26, 1, 7)
    family, to_bits, from_bits = asked[16:19]
    assert (family, to_bits, from_bits) == (2, 32, 32)
    assert asked[28:] == (
        attribute(1, bytes((11, 0, 0, 1))) + attribute(2, bytes((10, 0, 1, 2))) + attribute(4, number(3))
    )


def own_address(*attributes: bytes, family: int = 10, flags: int = 0x80) -> bytes:
    return message(20, struct.pack("=BBBBI", family, 64, flags, 0, 3) + b"".join(attributes))


SIX = bytes.fromhex("2a10000100000001a5c17e0933d40002")


def test_an_address_with_its_lifetimes_and_flags() -> None:
    lifetimes = attribute(6, struct.pack("=IIII", 600, 0xFFFFFFFF, 0, 0))
    answer = own_address(attribute(1, SIX), lifetimes, attribute(8, number(0x121)))
    (found,) = decode(answer, 7)
    assert found == KernelAddress(3, "2a10:1:0:1:a5c1:7e09:33d4:2", 64, 0x121, 600, None)


def test_of_a_tunnels_two_ends_the_local_one_is_ours() -> None:
    far = SIX[:-1] + b"\x09"
    (found,) = decode(own_address(attribute(1, far), attribute(2, SIX)), 7)
    assert isinstance(found, KernelAddress)
    assert (found.address, found.flags) == ("2a10:1:0:1:a5c1:7e09:33d4:2", 0x80)


def test_addresses_of_other_families_are_left_out() -> None:
    assert decode(own_address(attribute(1, SIX), family=7), 7) == []


def test_the_request_for_addresses_names_the_family() -> None:
    request = rtnetlink.dump_addresses(7, 6)
    assert struct.unpack_from("=IHH", request) == (len(request), 22, 0x301)
    assert request[16] == 10


def test_who_made_a_route() -> None:
    assert decode(route(OUT, protocol=9), 7) == [TableRoute(4, 3, protocol=9)]


NAMED, HARDWARE = attribute(1, GATEWAY), attribute(2, b"\2\0\0\0\0\1")


def neighbour(state: int, *attributes: bytes, family: int = 2) -> bytes:
    return message(28, struct.pack("=B3xiHBB", family, 3, state, 0, 1) + b"".join(attributes))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            neighbour(2, NAMED, HARDWARE),
            [KernelNeighbour(3, "192.168.1.1", "020000000001")],
        ),
        (
            neighbour(4, NAMED, HARDWARE),
            [KernelNeighbour(3, "192.168.1.1", "020000000001")],
        ),
        (neighbour(0x20, attribute(1, GATEWAY)), [SilentNeighbour(3, "192.168.1.1")]),
        (neighbour(1, attribute(1, GATEWAY)), [SilentNeighbour(3, "192.168.1.1")]),
        (neighbour(1), []),
        (neighbour(0x40, attribute(1, GATEWAY), attribute(2, bytes(6))), []),
        (neighbour(2, attribute(2, b"\2\0\0\0\0\1")), []),
        (neighbour(2, NAMED, HARDWARE, family=7), []),
    ],
)
def test_neighbours_that_answered_and_those_that_were_looked_for_in_vain(
    data: bytes, expected: list[rtnetlink.Message]
) -> None:
    assert decode(data, 7) == expected
