"""scapy as the independent dissector of what our codecs write, and the writer of what they read.

It knows IP, UDP, TCP, ICMP, STUN, HTTP (and with it SSDP, which has HTTP's form) and pcapng; it has no layers
for NAT-PMP and PCP, which are held to vectors and to miniupnpd and natpmpc (tests/interop).
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest
from scapy.contrib.stun import STUN, STUNGenericTlv, STUNUsername, STUNXorMappedAddress
from scapy.layers.http import HTTP, HTTPRequest, HTTPResponse
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6TimeExceeded, IPv6
from scapy.packet import Raw
from scapy.utils import PcapNgReader

from nattools.model.endpoint import Endpoint
from nattools.net.pcapng import write_pcapng
from nattools.net.trace import Trace, TraceEvent
from nattools.protocols import http, ssdp, stun
from nattools.protocols.ip import build, parse
from nattools.protocols.packet import ACK, PSH, SYN, Packet
from nattools.protocols.stun.constants import SOFTWARE, USERNAME, XOR_MAPPED_ADDRESS

SEEDS = range(25)


def hosts(draw: random.Random, family: int) -> tuple[str, str]:
    """Two addresses of a family."""
    if family == 4:
        return str(IPv4Address(draw.randrange(1 << 24, 1 << 32))), f"11.0.0.{draw.randrange(1, 255)}"
    return str(IPv6Address(draw.randrange(1 << 96, 1 << 128))), f"2a10::{draw.randrange(1, 0xFFFF):x}"


def fresh_checksums(packet: Any) -> bytes:
    """The packet as scapy writes it when it computes all checksums and lengths itself."""
    copy = packet.copy()
    for layer in (IP, UDP, TCP, ICMP, IPv6, ICMPv6EchoRequest, ICMPv6TimeExceeded):
        if layer in copy:
            for name in ("chksum", "cksum"):
                if name in copy[layer].fields:
                    delattr(copy[layer], name)
    return bytes(copy)


def dissected(data: bytes) -> Any:
    """The layers that scapy sees."""
    return IP(data) if data[0] >> 4 == 4 else IPv6(data)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("seed", SEEDS)
def test_udp_as_scapy_reads_and_writes_it(family: int, seed: int) -> None:
    draw = random.Random(seed)
    source, destination = hosts(draw, family)
    ports = draw.randrange(1, 65536), draw.randrange(1, 65536)
    payload = draw.randbytes(draw.randrange(1, 1200))
    ours = build(Packet("udp", source, ports[0], destination, ports[1], payload, ttl=draw.randrange(1, 256)))
    seen = dissected(ours)
    assert (seen.src, seen.dst) == (source, destination)
    assert (seen[UDP].sport, seen[UDP].dport) == ports
    assert bytes(seen[UDP].payload) == payload
    assert fresh_checksums(seen) == ours
    assert build(parse(ours)) == ours


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("seed", SEEDS)
def test_tcp_as_scapy_writes_it(family: int, seed: int) -> None:
    draw = random.Random(seed)
    source, destination = hosts(draw, family)
    sequence, acknowledged, window = (draw.randrange(1 << bits) for bits in (32, 32, 16))
    layer = IP(src=source, dst=destination) if family == 4 else IPv6(src=source, dst=destination)
    theirs = bytes(
        layer
        / TCP(
            sport=4000,
            dport=443,
            flags="PA",
            seq=sequence,
            ack=acknowledged,
            window=window,
            options=[("MSS", 1400)],
        )
        / Raw(b"hello")
    )
    packet = parse(theirs)
    assert (packet.source, packet.destination) == (source, destination)
    assert (packet.source_port, packet.destination_port, packet.flags) == (4000, 443, PSH | ACK)
    assert (packet.seq, packet.ack, packet.window) == (sequence, acknowledged, window)
    assert packet.payload == b"hello"
    again = dissected(build(packet))
    assert fresh_checksums(again) == bytes(again)
    assert bytes(again[TCP]) == bytes(dissected(theirs)[TCP])


@pytest.mark.parametrize("seed", SEEDS)
def test_icmp_errors_quote_what_scapy_sees_in_them(seed: int) -> None:
    draw = random.Random(seed)
    for family in (4, 6):
        us, them = hosts(draw, family)
        about = Packet("udp", us, 40000, them, 3478, draw.randbytes(40), ttl=1)
        kind = 11 if family == 4 else 3
        error = build(Packet("icmp", them, 0, us, 0, icmp_type=kind, icmp_code=0, about=about))
        seen = dissected(error)
        layer = seen[ICMP] if family == 4 else seen[ICMPv6TimeExceeded]
        assert (layer.type, layer.code) == (kind, 0)
        quoted = dissected(bytes(layer.payload))
        assert (quoted.src, quoted.dst, quoted[UDP].sport, quoted[UDP].dport) == (us, them, 40000, 3478)
        assert bytes(quoted[UDP].payload) == about.payload
        assert fresh_checksums(seen)[:8] == error[:8]


@pytest.mark.parametrize("seed", SEEDS)
def test_echo_as_scapy_writes_it(seed: int) -> None:
    draw = random.Random(seed)
    identifier, sequence = draw.randrange(65536), draw.randrange(65536)
    us, them = hosts(draw, 4)
    packet = parse(bytes(IP(src=us, dst=them) / ICMP(type=8, id=identifier, seq=sequence) / Raw(b"ping")))
    assert (packet.protocol, packet.icmp_type, packet.source_port) == ("icmp", 8, identifier)
    assert (packet.icmp_rest & 0xFFFF, packet.payload) == (sequence, b"ping")
    us, them = hosts(draw, 6)
    data = bytes(IPv6(src=us, dst=them) / ICMPv6EchoRequest(id=identifier, seq=sequence, data=b"ping"))
    packet = parse(data)
    assert (packet.icmp_type, packet.source_port, packet.payload) == (128, identifier, b"ping")
    assert build(packet) == data


def attribute(message: Any, kind: int) -> Any:
    """The attribute of a type among those that scapy found."""
    found = [each for each in message.attributes if each.type == kind]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("seed", SEEDS)
def test_stun_as_scapy_reads_it(family: int, seed: int) -> None:
    draw = random.Random(seed)
    transaction = draw.randbytes(12)
    mapped = Endpoint(hosts(draw, family)[0], draw.randrange(1, 65536))
    attributes = (
        (USERNAME, b"user" * draw.randrange(1, 9)),
        (SOFTWARE, b"x" * draw.randrange(1, 20)),
        (XOR_MAPPED_ADDRESS, stun.pack_xor_address(mapped, transaction)),
    )
    data = stun.encode(
        stun.Message(stun.BINDING, "success", transaction, attributes), key=b"key", fingerprint=True
    )
    seen = STUN(data)
    assert seen.stun_message_type == 0x0101
    assert (seen.length, seen.magic_cookie) == (len(data) - 20, stun.MAGIC_COOKIE)
    assert seen.transaction_id == int.from_bytes(transaction, "big")
    assert attribute(seen, USERNAME).username == attributes[0][1]
    found = attribute(seen, XOR_MAPPED_ADDRESS)
    assert (found.xip, found.xport) == (mapped.host, mapped.port)
    assert [each.type for each in seen.attributes][-2:] == [0x0008, 0x8028]


@pytest.mark.parametrize("seed", SEEDS)
def test_stun_as_scapy_writes_it(seed: int) -> None:
    draw = random.Random(seed)
    transaction, host, port = draw.randbytes(12), hosts(draw, 4)[0], draw.randrange(1, 65536)
    data = bytes(
        STUN(
            stun_message_type="Binding success response",
            transaction_id=int.from_bytes(transaction, "big"),
            attributes=[
                STUNUsername(username=b"somebody"),
                STUNXorMappedAddress(xip=host, xport=port),
                STUNGenericTlv(type=SOFTWARE, value=b"scapy"),
            ],
        )
    )
    message = stun.decode(data)
    assert (message.method, message.kind, message.transaction_id) == (stun.BINDING, "success", transaction)
    assert message.mapped == Endpoint(host, port)
    assert (message.get(USERNAME), message.get(SOFTWARE)) == (b"somebody", b"scapy")


def test_a_capture_as_scapy_reads_it(tmp_path: Path) -> None:
    us, them = Endpoint("10.0.0.2", 40000), Endpoint("11.0.0.1", 3478)
    us6, them6 = Endpoint("2a10::2", 40000), Endpoint("2a10::1", 3478)
    trace = Trace(100.0)
    for event in (
        TraceEvent(100.5, "datagram", True, us, them, b"ping", ttl=3),
        TraceEvent(100.75, "datagram", False, us, them, b"pong"),
        TraceEvent(101.0, "datagram", True, us6, them6, b"six"),
        TraceEvent(102.0, "connect", True, us, them, connection=1),
        TraceEvent(102.25, "established", True, us, them, connection=1),
        TraceEvent(102.5, "data", True, us, them, bytes(3000), connection=1),
    ):
        trace.add(event)
    path = tmp_path / "trace.pcapng"
    count = write_pcapng(path, trace, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    with PcapNgReader(str(path)) as reader:
        seen = list(reader)
    assert len(seen) == count
    assert [bytes(each[UDP].payload) for each in seen if UDP in each] == [b"ping", b"pong", b"six"]
    assert seen[0].ttl == 3
    assert seen[2].src == us6.host
    segments = [each for each in seen if TCP in each]
    assert int(segments[0][TCP].flags) == SYN
    assert sum(len(each[TCP].payload) for each in segments) == 3000
    assert float(seen[1].time - seen[0].time) == pytest.approx(0.25)
    for each in seen:
        assert fresh_checksums(each) == bytes(each)


def test_requests_to_routers_as_scapy_reads_them() -> None:
    head = http.encode_request(
        "POST", "/ctl?x=1", "192.0.2.1:5000", headers=(("SOAPAction", '"urn:x#Y"'),), body=b"<x/>"
    )
    seen = HTTP(head)[HTTPRequest]
    assert (seen.Method, seen.Path, seen.Host) == (b"POST", b"/ctl?x=1", b"192.0.2.1:5000")
    assert seen.Content_Length == b"4"
    assert bytes(seen.payload) == b"<x/>"


def test_search_and_answer_as_scapy_reads_them() -> None:
    search = HTTPRequest(ssdp.search())  # HTTP by its form, by a method that HTTP does not have
    assert (search.Method, search.Path, search.Host) == (b"M-SEARCH", b"*", b"239.255.255.250:1900")
    answer = HTTP(ssdp.encode_response("upnp:rootdevice", "http://192.0.2.1/d.xml", "uuid:1"))[HTTPResponse]
    assert answer.Status_Code == b"200"
