"""Knocks: what is written is read, nothing else is believed, each counts once; the packet, by others."""

from __future__ import annotations

import hmac
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, IPerror, UDPerror

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.nat import Nat
from nattools.protocols import ip, pwnat
from nattools.protocols.pwnat import original
from nattools.protocols.pwnat.knock import CallerNat, Knock, decode_knock, encode_knock, looks_like_knock
from nattools.protocols.pwnat.outside import ListenerPorts, Outside, parse_outside
from nattools.protocols.pwnat.replay import KnockFilter
from nattools.protocols.pwnat.secret import keys_of, new_secret

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "pwnat-original.json").read_text())
ECHO_REQUEST, TIME_EXCEEDED = (bytes.fromhex(VECTORS[name]) for name in ("echo-request", "time-exceeded"))
KEYS = keys_of("sesame-open")
LISTENER = Endpoint("11.1.0.2", 2222)


def knock(**fields: object) -> Knock:
    return Knock(
        **{"session": bytes(12), "number": 1, "sent_ms": 10**12, "caller": "11.2.0.2", "port": 4000, **fields}
    )  # type: ignore[arg-type]


knocks = st.builds(
    Knock,
    session=st.binary(min_size=12, max_size=12),
    number=st.integers(0, 65535),
    sent_ms=st.integers(0, 2**64 - 1),
    caller=st.none() | st.sampled_from(["11.2.0.2", "2a10::1", "255.255.255.255"]),
    port=st.integers(0, 65535),
    attempt=st.integers(0, 255),
    step=st.integers(0, 255),
    nat=st.builds(
        CallerNat,
        mapping=st.sampled_from(["none", "endpoint-independent", "address-and-port-dependent", "unknown"]),
        filtering=st.sampled_from(["endpoint-independent", "address-dependent", "unknown"]),
        allocation=st.sampled_from(["preserving", "sequential", "random", "unknown"]),
        step=st.integers(-32768, 32767),
        ports=st.none() | st.just((1024, 65535)) | st.just((600, 600)),
        block=st.booleans(),
        low_ports=st.booleans(),
    ),
)


@given(knocks)
def test_what_is_written_is_read(told: Knock) -> None:
    data = encode_knock(told, KEYS.knock)
    assert len(data) == 88
    assert looks_like_knock(data)
    assert decode_knock(data, KEYS.knock) == told
    assert decode_knock(data + b"extension", KEYS.knock) == told


@given(st.binary(max_size=600))
def test_anything_else_is_an_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_knock(data, KEYS.knock)
    with pytest.raises(ProtocolError):
        decode_knock(b"nPW\x01" + data, KEYS.knock)


@given(knocks, st.integers(0, 87), st.integers(1, 255))
def test_a_single_changed_byte_is_noticed(told: Knock, at: int, change: int) -> None:
    data = bytearray(encode_knock(told, KEYS.knock))
    data[at] ^= change
    with pytest.raises(ProtocolError):
        decode_knock(bytes(data), KEYS.knock)


@pytest.mark.parametrize("size", range(88))
def test_cut_short(size: int) -> None:
    with pytest.raises(ProtocolError):
        decode_knock(encode_knock(knock(), KEYS.knock)[:size], KEYS.knock)


def test_an_authentic_knock_of_a_kind_of_nat_that_there_is_not() -> None:
    import hmac

    fields = bytearray(encode_knock(knock(), KEYS.knock)[:56])
    fields[46] = 200
    with pytest.raises(ProtocolError, match="unknown kind"):
        decode_knock(bytes(fields) + hmac.digest(KEYS.knock, bytes(fields), "sha256"), KEYS.knock)


def test_other_secrets_give_other_keys() -> None:
    other = keys_of("sesame-opem")
    assert len({KEYS.knock, KEYS.root, other.knock, other.root}) == 4
    assert KEYS.session(b"a" * 12) != KEYS.session(b"b" * 12)
    with pytest.raises(ProtocolError):
        decode_knock(encode_knock(knock(), other.knock), KEYS.knock)


def test_new_secrets() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(each) == 29 and len(each.split("-")) == 5 for each in made)


@pytest.mark.parametrize(
    "wrong", [{"session": b""}, {"number": 65536}, {"port": -1}, {"attempt": 256}, {"sent_ms": -1}]
)
def test_fields_out_of_range(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        encode_knock(knock(**wrong), KEYS.knock)


def test_where_the_caller_is() -> None:
    assert knock().place("10.0.0.1") == Endpoint("11.2.0.2", 4000)
    assert knock(caller=None).place("11.9.0.2") == Endpoint("11.9.0.2", 4000)
    assert knock(caller=None).place(None) is None
    assert knock(port=0).place("11.9.0.2") is None


def test_each_counts_once_and_only_while_it_is_fresh() -> None:
    seen = KnockFilter()
    now = 10**9
    told = knock(sent_ms=now * 1000)
    assert seen.doubt(told, now + 299) is None
    assert seen.doubt(told, now + 299) == "replayed"
    assert seen.doubt(knock(sent_ms=now * 1000, number=2), now) is None
    assert seen.doubt(knock(sent_ms=now * 1000, session=b"a" * 12), now) is None
    assert seen.doubt(knock(sent_ms=now * 1000, number=3), now + 301) == "stale"
    assert seen.doubt(knock(sent_ms=now * 1000, number=3), now - 301) == "stale"
    assert seen.apart_s == -301


def test_memory_is_bounded() -> None:
    seen = KnockFilter()
    for number in range(10_000):
        seen.doubt(knock(session=number.to_bytes(12, "big")), 10**9)
    assert len(seen._seen) == 4096


def test_the_callers_nat_as_it_was_measured() -> None:
    measured = Nat(
        reachable=True,
        present=True,
        mapping="address-and-port-dependent",
        port_allocation="sequential",
        port_step=2,
    )
    told = CallerNat.of(measured, low_ports=True)
    again = decode_knock(encode_knock(knock(nat=told), KEYS.knock), KEYS.knock).nat.as_measured()
    assert (again.mapping, again.port_allocation, again.port_step) == (measured.mapping, "sequential", 2)
    assert CallerNat.of(None, low_ports=False).as_measured().mapping == "endpoint-independent"
    huge = CallerNat.of(Nat(reachable=True, port_step=70_000), low_ports=False)
    assert encode_knock(knock(nat=huge), KEYS.knock)


def test_the_packet_as_scapy_reads_it_and_as_we_do() -> None:
    data = encode_knock(knock(), KEYS.knock)
    packet = pwnat.time_exceeded("11.2.0.2", LISTENER, pwnat.TARGETS[0], data)
    read = IP(packet)
    assert (read.src, read.dst, read[ICMP].type, read[ICMP].code) == ("11.2.0.2", "11.1.0.2", 11, 0)
    quoted = read[IPerror]
    assert (quoted.src, quoted.dst, quoted.ttl) == ("11.1.0.2", "3.3.3.3", 1)
    assert (read[UDPerror].sport, read[UDPerror].dport, read[UDPerror].len) == (2222, 443, 16)
    assert ip.checksum(packet[20:]) == 0
    about = ip.parse(packet).about
    assert about is not None
    assert about.payload == data


def test_the_quote_is_the_beacon_byte_for_byte() -> None:
    """Also with its checksum: some NATs look at it."""
    beacon = ip.build(
        ip.Packet("udp", LISTENER.host, LISTENER.port, *pwnat.TARGETS[0], payload=pwnat.BEACON, ttl=1)
    )
    packet = pwnat.time_exceeded("11.2.0.2", LISTENER, pwnat.TARGETS[0], b"")
    assert packet[28:56] == beacon[:28]


def without_identification(packet: bytes) -> list[bytes]:
    """What a sender has no choice in: without the identification and the checksum over it."""
    parts = [packet[:28], packet[28:]] if len(packet) > 28 else [packet]
    return [part[:4] + part[6:10] + part[12:] for part in parts]


def test_the_originals_packets() -> None:
    error = original.original_error("11.101.0.2", "11.1.0.2")
    assert len(error) == 56
    assert without_identification(error) == without_identification(TIME_EXCEEDED)


@pytest.mark.parametrize("packet", [ECHO_REQUEST, TIME_EXCEEDED])
def test_the_vectors_are_packets(packet: bytes) -> None:
    assert ip.checksum(packet[:20]) == 0
    assert ip.checksum(packet[20:]) == 0
    about = ip.parse(packet).about
    if about is not None:
        assert (about.source, about.destination, about.ttl, about.icmp_type) == ("11.1.0.2", "3.3.3.3", 1, 8)
        assert (about.source_port, about.icmp_rest) == (0, 0)


def test_without_memory_for_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> bytes:
        raise ValueError("[digital envelope routines] malloc failure")

    monkeypatch.setattr("hashlib.scrypt", fails)
    with pytest.raises(CannotRun, match="16 MB"):
        keys_of("a secret that nobody has used yet")


def test_scapy_says_nothing_while_it_is_imported(tmp_path: Path) -> None:
    """It reads files of the system meanwhile; one that makes no sense, or no memory for it, is none of the
    user's business."""
    program = (
        "import logging\n"
        "from nattools.protocols.pwnat import beacon\n"
        "beacon.prepare()\n"
        "try:\n"
        "    raise MemoryError\n"
        "except MemoryError:\n"
        "    logging.getLogger('scapy.loading').warning('a line', exc_info=True)\n"
        "logging.getLogger('scapy.runtime').warning('a packet')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


# --- what a listener has read of its outside ports


@pytest.mark.parametrize(
    "outside",
    [
        Outside(0),
        Outside(65534, ListenerPorts("at random")),
        Outside(51234, ListenerPorts("predictably", 1)),
        Outside(7, ListenerPorts("predictably", 15)),
    ],
)
def test_the_word_for_outside_ports_is_read_back(outside: Outside) -> None:
    assert parse_outside(str(outside)) == outside


@pytest.mark.parametrize(
    "text",
    ["", "65535", "-1", "1-", "1-step", "1-step0", "1-step16", "1-Random", "1-random-", "123456", "١٢", "a"],
)
def test_what_is_no_such_word(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_outside(text)


@pytest.mark.parametrize(
    "ports", [ListenerPorts(), ListenerPorts("at random"), ListenerPorts("predictably", 3)]
)
def test_a_knock_tells_how_the_listeners_port_moves(ports: ListenerPorts) -> None:
    sent = Knock(session=b"s" * 12, number=1, sent_ms=5, caller=None, port=7, listener=ports)
    assert decode_knock(encode_knock(sent, b"k"), b"k") == sent


def test_a_knock_with_another_way_to_move_is_refused() -> None:
    """Authentic, by a later version."""
    sent = encode_knock(Knock(session=b"s" * 12, number=1, sent_ms=5, caller=None, port=7), b"k")
    flags = bytearray(sent[:-32])
    flags[49] |= 3 << 2
    with pytest.raises(ProtocolError):
        decode_knock(bytes(flags) + hmac.digest(b"k", bytes(flags), "sha256"), b"k")
