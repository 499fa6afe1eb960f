"""IP packets: what is built is read back alike, and arbitrary bytes give a packet or ProtocolError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.protocols import ip
from nattools.protocols.packet import SYN, Packet

PORTS = st.integers(0, 0xFFFF)
WORDS = st.integers(0, 0xFFFFFFFF)
PAYLOADS = st.binary(max_size=300)
PAIRS = st.one_of(
    st.tuples(st.ip_addresses(v=4).map(str), st.ip_addresses(v=4).map(str)),
    st.tuples(st.ip_addresses(v=6).map(str), st.ip_addresses(v=6).map(str)),
)


@st.composite
def transport_packets(draw: st.DrawFn) -> Packet:
    source, destination = draw(PAIRS)
    protocol = draw(st.sampled_from(["udp", "tcp"]))
    packet = Packet(protocol, source, draw(PORTS), destination, draw(PORTS), draw(PAYLOADS))
    packet.ttl = draw(st.integers(0, 255))
    packet.dont_fragment = ":" in source or draw(st.booleans())
    if protocol == "tcp":
        packet.seq, packet.ack = draw(WORDS), draw(WORDS)
        packet.flags, packet.window = draw(st.integers(0, 255)), draw(PORTS)
        packet.options = draw(st.integers(0, 10).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n)))
    return packet


@st.composite
def echoes(draw: st.DrawFn) -> Packet:
    source, destination = draw(PAIRS)
    identifier = draw(PORTS)
    packet = Packet("icmp", source, identifier, destination, identifier, draw(PAYLOADS))
    packet.dont_fragment = ":" in source
    packet.icmp_type = draw(st.sampled_from([128, 129] if ":" in source else [0, 8]))
    packet.icmp_rest = identifier << 16 | draw(PORTS)
    return packet


@st.composite
def errors(draw: st.DrawFn) -> Packet:
    about = draw(st.one_of(transport_packets(), echoes()))
    packet = Packet("icmp", about.destination, 0, about.source, 0, about=about)
    packet.dont_fragment = ":" in about.source
    packet.icmp_type = draw(st.sampled_from([1, 2, 3] if ":" in about.source else [3, 11, 12]))
    packet.icmp_rest = draw(WORDS)
    return packet


@given(st.one_of(transport_packets(), echoes(), errors()))
def test_built_packets_are_read_back_alike(packet: Packet) -> None:
    read = ip.parse(ip.build(packet))
    assert ip.build(read) == ip.build(packet)
    if read.about is not None:
        read.about.checksum = None  # the right one
    assert read == packet
    assert len(ip.build(packet)) == packet.size


@given(st.one_of(transport_packets(), echoes(), errors()), st.data())
def test_mutated_packets_give_a_packet_or_the_named_error(packet: Packet, data: st.DataObject) -> None:
    raw = bytearray(ip.build(packet))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for damaged in (bytes(raw), bytes(raw[:cut])):
        parse_or_refuse(damaged)


@given(st.binary(max_size=120), st.sampled_from([0x45, 0x4F, 0x60]))
def test_arbitrary_bytes_give_a_packet_or_the_named_error(data: bytes, first: int) -> None:
    parse_or_refuse(data)
    parse_or_refuse(bytes([first]) + data)


def parse_or_refuse(data: bytes) -> None:
    try:
        packet = ip.parse(data)
    except ProtocolError:
        return
    assert isinstance(packet, Packet)


def test_checksums_over_the_built_packet_come_out_as_zero() -> None:
    raw = ip.build(Packet("udp", "10.0.1.2", 1234, "11.201.0.2", 3478, b"odd"))
    pseudo = raw[12:20] + b"\0\x11" + raw[24:26]
    assert ip.checksum(raw[:20]) == 0
    assert ip.checksum(pseudo + raw[20:]) == 0


def test_known_header_checksum() -> None:
    # the example of RFC 1071's arithmetic as it is found in every textbook
    header = bytes.fromhex("4500003c1c4640004006b1e6ac100a63ac100a0c")
    assert ip.checksum(header) == 0
    assert ip.checksum(header[:10] + b"\0\0" + header[12:]) == 0xB1E6


def test_a_udp_checksum_is_never_sent_as_zero() -> None:
    for payload in range(0x10000):
        raw = ip.build(Packet("udp", "0.0.0.0", 0, "0.0.0.0", 0, payload.to_bytes(2, "big")))
        if raw[26:28] == b"\xff\xff":
            return
        assert raw[26:28] != b"\0\0"
    pytest.fail("no payload has the checksum 0xFFFF")


def test_an_error_may_quote_only_eight_bytes_of_transport() -> None:
    about = Packet("tcp", "10.0.1.2", 1000, "11.1.0.2", 80, flags=SYN, seq=7)
    error = Packet("icmp", "11.1.0.1", 0, "10.0.1.2", 0, icmp_type=11, about=about)
    raw = ip.build(error)[: 20 + 8 + 20 + 8]
    raw = raw[:2] + len(raw).to_bytes(2, "big") + raw[4:10] + b"\0\0" + raw[12:]
    raw = raw[:10] + ip.checksum(raw[:20]).to_bytes(2, "big") + raw[12:]
    quoted = ip.parse(raw).about
    assert quoted is not None
    assert (quoted.source_port, quoted.destination_port, quoted.seq) == (1000, 80, 7)


@pytest.mark.parametrize("fragment", [0x2000, 0x0001])
def test_fragments_are_refused(fragment: int) -> None:
    raw = bytearray(ip.build(Packet("udp", "10.0.1.2", 1, "11.1.0.2", 2, b"x")))
    raw[6:8] = fragment.to_bytes(2, "big")
    raw[10:12] = b"\0\0"
    raw[10:12] = ip.checksum(bytes(raw[:20])).to_bytes(2, "big")
    with pytest.raises(ProtocolError, match="fragment"):
        ip.parse(bytes(raw))
