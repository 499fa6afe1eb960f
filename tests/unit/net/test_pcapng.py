"""Captures, read back by a small reader of our own and, where it is installed, by tshark."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from struct import unpack_from
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.net.base import IcmpError
from nattools.net.pcapng import write_pcapng
from nattools.net.trace import Trace, TraceEvent
from nattools.protocols.ip import build, parse
from nattools.protocols.packet import ACK, FIN, PSH, RST, SYN, Packet

STARTED = datetime(2026, 1, 2, 3, 4, 5, 250_000, tzinfo=UTC)
US4, THEM4 = Endpoint("10.0.0.2", 40000), Endpoint("11.0.0.1", 3478)
US6, THEM6 = Endpoint("fe80::1%eth0", 40000), Endpoint("2a10::1", 3478)


def sample() -> Trace:
    """One of everything; the loop's clock stood at 100 s when the run began."""
    trace = Trace(100.0)
    trace.names["stun.example"] = ("11.0.0.1", "2a10::1")
    exceeded = IcmpError("time-exceeded", 11, 0, "10.0.0.1", THEM4, b"ping")
    too_big = IcmpError("too-big", 2, 0, "2a10::9", THEM6, bytes(1400), 1280)
    for event in (
        TraceEvent(100.5, "datagram", True, US4, THEM4, b"ping", ttl=3),
        TraceEvent(100.625, "icmp", False, US4, THEM4, error=exceeded),
        TraceEvent(100.75, "datagram", False, US4, THEM4, b"pong!"),
        TraceEvent(100.8, "datagram", True, US4, THEM4, b"never left", note="unreachable"),
        TraceEvent(101.0, "datagram", True, US6, THEM6, bytes(1400)),
        TraceEvent(101.1, "icmp", False, US6, THEM6, error=too_big),
        TraceEvent(102.25, "established", True, US4, THEM4, connection=1),
        TraceEvent(102.0, "connect", True, US4, THEM4, connection=1),
        TraceEvent(102.5, "data", True, US4, THEM4, bytes(3000), connection=1),
        TraceEvent(102.75, "data", False, US4, THEM4, b"answer", connection=1),
        TraceEvent(103.0, "end", True, US4, THEM4, connection=1),
        TraceEvent(103.25, "end", False, US4, THEM4, connection=1),
        TraceEvent(104.0, "connect", True, US6, THEM6, connection=2, note="refused"),
        TraceEvent(104.5, "abort", False, US6, THEM6, connection=2),
        TraceEvent(105.0, "established", False, US4, THEM4, connection=3),
        TraceEvent(105.5, "abort", True, US4, THEM4, connection=3),
    ):
        trace.add(event)
    return trace


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "trace.pcapng"
    assert write_pcapng(path, sample(), STARTED) == 20
    return path


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        kind, length = unpack_from("<II", data, at)
        assert length % 4 == 0
        assert unpack_from("<I", data, at + length - 4) == (length,)
        found.append((kind, data[at + 8 : at + length - 4]))
        at += length
    return found


def records(path: Path) -> list[tuple[float, bytes, bytes]]:
    """(seconds since the run began, packet, options) of each packet block."""
    found = []
    for kind, body in blocks(path.read_bytes()):
        if kind == 6:
            _, high, low, size, original = unpack_from("<IIIII", body)
            assert size == original
            at_s = ((high << 32) + low) / 1e9 - STARTED.timestamp()
            options = body[20 + size + -size % 4 :]
            found.append((round(at_s, 6), body[20 : 20 + size], options))
    return found


def test_blocks_in_order(capture: Path) -> None:
    kinds = [kind for kind, _ in blocks(capture.read_bytes())]
    assert kinds == [0x0A0D0D0A, 1, 4] + [6] * 20


def test_datagrams_and_errors(capture: Path) -> None:
    found = [(at_s, parse(packet)) for at_s, packet, _ in records(capture)]
    at_s, ping = found[0]
    assert (at_s, ping.source, ping.source_port, ping.destination, ping.ttl) == (
        0.5,
        "10.0.0.2",
        40000,
        "11.0.0.1",
        3,
    )
    assert ping.payload == b"ping"
    exceeded = found[1][1]
    assert (exceeded.source, exceeded.destination, exceeded.icmp_type) == ("10.0.0.1", "10.0.0.2", 11)
    assert exceeded.about is not None
    assert (exceeded.about.source_port, exceeded.about.destination_port) == (40000, 3478)
    assert found[2][1].payload == b"pong!"
    assert found[3][1].source == "fe80::1"
    too_big = found[4][1]
    assert (too_big.icmp_type, too_big.icmp_rest) == (2, 1280)
    assert not any(packet.payload == b"never left" for _, packet in found)


def test_tcp_is_rebuilt(capture: Path) -> None:
    tcp = [parse(packet) for _, packet, _ in records(capture)]
    facts = [
        (
            packet.source_port == 40000,
            packet.flags,
            packet.seq & 0xFFFFF,
            packet.ack & 0xFFFFF,
            len(packet.payload),
        )
        for packet in tcp
        if packet.protocol == "tcp"
    ]
    assert facts == [
        (True, SYN, 0, 0, 0),
        (False, SYN | ACK, 0, 1, 0),
        (True, ACK, 1, 1, 0),
        (True, PSH | ACK, 1, 1, 1400),
        (True, PSH | ACK, 1401, 1, 1400),
        (True, PSH | ACK, 2801, 1, 200),
        (False, PSH | ACK, 1, 3001, 6),
        (True, FIN | ACK, 3001, 7, 0),
        (False, FIN | ACK, 7, 3002, 0),
        (True, SYN, 0, 0, 0),
        (False, RST | ACK, 0, 1, 0),
        (False, SYN, 0, 0, 0),
        (True, SYN | ACK, 0, 1, 0),
        (False, ACK, 1, 1, 0),
        (True, RST | ACK, 1, 1, 0),
    ]


def test_direction_is_a_flag_and_a_comment(capture: Path) -> None:
    options = [options for _, _, options in records(capture)]
    assert b"sent" in options[0]
    assert b"\2\0\4\0\2\0\0\0" in options[0]
    assert b"received" in options[1]
    assert b"\2\0\4\0\1\0\0\0" in options[1]
    assert any(b"sent: refused" in option for option in options)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="cannot write"):
        write_pcapng(tmp_path / "no" / "such", sample(), STARTED)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_it(capture: Path) -> None:
    checks = [
        flag
        for name in ("ip.check_checksum", "udp.check_checksum", "tcp.check_checksum")
        for flag in ("-o", f"{name}:TRUE")
    ]
    run = subprocess.run(
        ["tshark", "-r", str(capture), "-T", "json", "-N", "", *checks],
        capture_output=True,
        timeout=60,
        check=True,
    )
    packets: list[dict[str, Any]] = [item["_source"]["layers"] for item in json.loads(run.stdout)]
    assert len(packets) == 20
    assert packets[0]["udp"]["udp.dstport"] == "3478"
    assert packets[0]["frame"]["frame.time_epoch"].startswith("1767323045.75")
    assert packets[4]["icmpv6"]["icmpv6.mtu"] == "1280"
    text = run.stdout.decode()
    for bad in ('"ip.checksum.status": "0"', '"udp.checksum.status": "0"', '"tcp.checksum.status": "0"'):
        assert bad not in text
    assert '"tcp.checksum.status": "1"' in text
    assert "_ws.malformed" not in text
    assert "tcp.analysis.retransmission" not in text
    assert "tcp.analysis.lost_segment" not in text


def test_echo_requests_as_scapy_reads_them(tmp_path: Path) -> None:
    """A request, its reply, an error about another request, and a crafted packet as it was."""
    crafted = build(Packet("udp", "11.0.0.9", 1, "11.0.0.1", 2, b"crafted"))
    own, remote = Endpoint("10.0.0.2", 77), Endpoint("11.0.0.1", 0)
    exceeded = IcmpError("time-exceeded", 11, 0, "10.0.0.1", remote, b"far", sequence=6)
    trace = Trace(0.0)
    for event in (
        TraceEvent(0.1, "echo", True, own, remote, b"ping", sequence=5),
        TraceEvent(0.2, "echo", False, own, remote, b"ping", ttl=60, sequence=5),
        TraceEvent(0.3, "icmp", False, own, remote, error=exceeded),
        TraceEvent(0.4, "packet", True, own, remote, crafted),
    ):
        trace.add(event)
    path = tmp_path / "echo.pcapng"
    assert write_pcapng(path, trace, STARTED) == 4
    request, reply, error, raw = (IP(packet) for _, packet, _ in records(path))
    assert (request.src, request.dst, request[ICMP].type) == ("10.0.0.2", "11.0.0.1", 8)
    assert (request[ICMP].id, request[ICMP].seq, bytes(request[ICMP].payload)) == (77, 5, b"ping")
    assert (reply.src, reply.ttl, reply[ICMP].type, reply[ICMP].id) == ("11.0.0.1", 60, 0, 77)
    quoted = IP(bytes(error[ICMP].payload))
    assert (error.src, error[ICMP].type, quoted.dst) == ("10.0.0.1", 11, "11.0.0.1")
    assert (quoted[ICMP].id, quoted[ICMP].seq) == (77, 6)
    assert bytes(raw) == crafted
