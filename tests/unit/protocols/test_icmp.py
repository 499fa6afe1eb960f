"""ICMP messages without an IP header: what scapy writes is read, what is written scapy reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.packet import Raw

from nattools.errors import ProtocolError
from nattools.model.endpoint import Family
from nattools.protocols import icmp, ip
from nattools.protocols.icmp import Echo, Error, error_kind

US4, THEM4, ROUTER4 = "10.0.1.2", "11.2.0.2", "11.1.0.1"
US6, THEM6, ROUTER6 = "2a10:1::2", "2a10:2::2", "2a10:1::1"
FAMILIES: list[Family] = [4, 6]


@pytest.mark.parametrize(
    ("family", "icmp_type", "code", "kind"),
    [
        (4, 3, 0, "unreachable"),
        (4, 3, 1, "unreachable"),
        (4, 3, 3, "port-unreachable"),
        (4, 3, 4, "too-big"),
        (4, 3, 9, "prohibited"),
        (4, 3, 10, "prohibited"),
        (4, 3, 13, "prohibited"),
        (4, 11, 0, "time-exceeded"),
        (4, 12, 0, "unreachable"),
        (6, 1, 0, "unreachable"),
        (6, 1, 1, "prohibited"),
        (6, 1, 4, "port-unreachable"),
        (6, 1, 5, "prohibited"),
        (6, 2, 0, "too-big"),
        (6, 3, 0, "time-exceeded"),
        (6, 4, 1, "unreachable"),
    ],
)
def test_kinds(family: Family, icmp_type: int, code: int, kind: str) -> None:
    assert error_kind(family, icmp_type, code) == kind


@pytest.mark.parametrize("reply", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_echo_as_scapy_reads_it(family: Family, reply: bool) -> None:
    echo = Echo(reply, 0x1234, 65535, b"payload")
    data = icmp.encode_echo(family, echo)
    if family == 4:
        seen = ICMP(data)
        assert (seen.type, seen.id, seen.seq) == (0 if reply else 8, 0x1234, 65535)
        assert bytes(seen.payload) == b"payload"
        del seen.chksum
        assert bytes(seen) == data
    else:
        kind = ICMPv6EchoReply if reply else ICMPv6EchoRequest
        seen = kind(data)
        assert (seen.id, seen.seq, seen.data) == (0x1234, 65535, b"payload")
    assert icmp.decode(family, data) == echo


def test_time_exceeded_about_an_echo_with_more_behind_it() -> None:
    """An error may carry more than the packet that it is about (RFC 4884; the caller of a punch by ICMP)."""
    request = IP(src=US4, dst=THEM4, ttl=1) / ICMP(type=8, id=7, seq=9) / Raw(b"ping")
    outer = IP(bytes(IP(src=ROUTER4, dst=US4) / ICMP(type=11) / Raw(bytes(request) + b"appended")))
    error = icmp.decode(4, bytes(outer[ICMP]))
    assert isinstance(error, Error)
    assert (error.kind, error.about.destination) == ("time-exceeded", THEM4)
    assert icmp.quoted_echo(error.about) == Echo(False, 7, 9, b"pingappended")


def test_errors_of_icmpv6() -> None:
    request = IPv6(src=US6, dst=THEM6, hlim=1) / ICMPv6EchoRequest(id=7, seq=9, data=b"ping")
    outer = IPv6(bytes(IPv6(src=ROUTER6, dst=US6) / ICMPv6TimeExceeded() / Raw(bytes(request))))
    error = icmp.decode(6, bytes(outer.payload))
    assert isinstance(error, Error)
    assert icmp.quoted_echo(error.about) == Echo(False, 7, 9, b"ping")
    datagram = IPv6(src=US6, dst=THEM6) / UDP(sport=40000, dport=9) / Raw(bytes(1400))
    outer = IPv6(
        bytes(IPv6(src=ROUTER6, dst=US6) / ICMPv6PacketTooBig(mtu=1280) / Raw(bytes(datagram)[:1200]))
    )
    error = icmp.decode(6, bytes(outer.payload))
    assert isinstance(error, Error)
    assert (error.kind, error.mtu, error.about.source_port) == ("too-big", 1280, 40000)
    assert icmp.quoted_echo(error.about) is None


def test_fragmentation_needed_tells_the_mtu_if_the_router_does() -> None:
    datagram = IP(src=US4, dst=THEM4) / UDP(sport=40000, dport=9) / Raw(bytes(20))
    for mtu, told in ((1300, 1300), (0, None)):
        outer = IP(bytes(IP() / ICMP(type=3, code=4, nexthopmtu=mtu) / Raw(bytes(datagram))))
        error = icmp.decode(4, bytes(outer[ICMP]))
        assert isinstance(error, Error)
        assert (error.kind, error.mtu) == ("too-big", told)


def test_other_messages_are_no_concern() -> None:
    assert icmp.decode(4, bytes(ICMP(type=13))) is None
    assert icmp.decode(6, bytes((135, 0, 0, 0)) + bytes(20)) is None


@pytest.mark.parametrize(("identifier", "sequence"), [(65536, 0), (0, -1)])
def test_what_has_no_room_is_refused(identifier: int, sequence: int) -> None:
    with pytest.raises(ValueError, match="16 bits"):
        icmp.encode_echo(4, Echo(False, identifier, sequence, b""))


@given(st.sampled_from(FAMILIES), st.binary(max_size=80), st.booleans())
def test_any_bytes_give_a_message_or_the_named_error(family: Family, data: bytes, right: bool) -> None:
    if right and family == 4 and len(data) >= 8:  # past the checksum, to what is behind it
        data = data[:2] + ip.checksum(data[:2] + data[4:]).to_bytes(2, "big") + data[4:]
    try:
        found = icmp.decode(family, data)
    except ProtocolError:
        return
    assert found is None or isinstance(found, Echo | Error)
