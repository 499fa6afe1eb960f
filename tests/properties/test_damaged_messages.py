"""What programs of the local network, of libp2p and of overlays send, changed at random: each decoder gives a
value or ProtocolError, and in bounded time and memory.

NATTOOLS_FUZZ_MESSAGES says how many for each of them; `make fuzz` takes a million."""

from __future__ import annotations

import json
import os
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from derpserverside import greeting, introduction

from nattools.errors import ProtocolError
from nattools.protocols import derp, mdns
from nattools.protocols.derp.yamlmap import read_yaml
from nattools.protocols.dnstexts import decode_answer, encode_question
from nattools.protocols.lanbeacon import Beacon, decode_beacon, encode_beacon
from nattools.protocols.libp2p import autonat, circuit, dcutr, identify, protobuf
from nattools.protocols.libp2p.dnsaddr import read_records
from nattools.protocols.libp2p.hostkey import HostKey
from nattools.protocols.libp2p.multiaddr import decode_multiaddr, parse_multiaddr
from nattools.protocols.libp2p.multistream import Negotiation
from nattools.protocols.libp2p.noise import NoiseXX
from nattools.protocols.libp2p.noisechannel import NoiseChannel
from nattools.protocols.libp2p.peersession import PeerSession
from nattools.protocols.libp2p.yamux import YamuxLimits, YamuxSession
from nattools.protocols.mdns import DnsRecord
from nattools.protocols.overlays import parse_status

MESSAGES = int(os.environ.get("NATTOOLS_FUZZ_MESSAGES", "1000"))
LONGEST_S = 0.5
"""Of processor time for one message."""
MOST_KB = 65_536
"""So much more memory than before."""

VECTORS = Path(__file__).parents[1] / "vectors"
KEY, OTHER = HostKey(b"k" * 32), HostKey(b"o" * 32)
ADDRESSES = tuple(map(parse_multiaddr, ("/ip4/192.0.2.1/tcp/4001", "/ip6/2001:db8::1/udp/4001/quic-v1")))
ASKED = parse_multiaddr("/dnsaddr/peers.example")
SERVER, CLIENT = derp.KeyPair(bytes(range(32))), derp.KeyPair(bytes(range(1, 33)))
FRAGMENTS = (
    *(b"\0", b"\xff", b"\xff\xff", b"\xff" * 9 + b"\x01", b"\x80", b"\xc0\x0c", b"\xc0\0", b"\xf0\x9f"),
    *(b"{", b"}", b"[", b"]", b'"', b"null", b"-1", b"1e999", b"NaN", b"\\ud800", b"[" * 2000, b": "),
    *(b"\0\0\0\x01\0\0\0\x01\xff\xff\xff\xff", b"\x13/multistream/1.0.0\n", b"999999999999", b"\n  - "),
)  # fmt: skip


def handshake() -> tuple[bytes, bytes]:
    """The first message of a Noise handshake, and the answer to it."""
    caller, called = NoiseXX(initiates=True), NoiseXX(initiates=False)
    first = caller.write(b"")
    called.read(first)
    return first, called.write(b"payload")


def conversation() -> bytes:
    """What a peer of libp2p says first."""
    session = PeerSession(KEY, initiates=True)
    return session.data_to_send()


def frames() -> bytes:
    """What a session of yamux sends."""
    session = YamuxSession(initiates=True, limits=YamuxLimits())
    for _ in range(3):
        session.send(session.open(), bytes(40))
    return session.data_to_send()


def noise(data: bytes) -> None:
    channel = NoiseChannel(KEY, initiates=True)
    channel.data_to_send()
    channel.receive(len(data).to_bytes(2, "big") + data)
    assert not channel.secured


def noise_core(data: bytes) -> None:
    called = NoiseXX(initiates=False)
    called.read(data)
    called.write(b"")
    assert called.ciphers is None


def yamux(data: bytes) -> None:
    session = YamuxSession(initiates=False, limits=YamuxLimits(streams=4, unread=500))
    half = len(data) // 2
    session.receive(data[:half])
    session.receive(data[half:])
    assert session.streams <= 4
    assert len(session.data_to_send()) < 12 * 60 + 200 + len(data)


def session(data: bytes) -> None:
    called = PeerSession(KEY, initiates=False)
    called.data_to_send()
    called.receive(data)
    assert called.peer is None


def agreement(data: bytes) -> None:
    end = Negotiation(offered=("/a",))
    end.receive(data)
    assert len(end.data_to_send()) < 1000


def derp_client(data: bytes) -> None:
    client = derp.DerpClient(CLIENT, "derp.example")
    client.data_to_send()
    client.receive(data)


def derp_map(data: bytes) -> None:
    derp.parse_map(data)


def texts(data: bytes) -> None:
    read_records([data.decode("utf-8", "replace")], ASKED)


def dns_answer(data: bytes) -> None:
    decode_answer(data, "a.example", 7)


QUESTION = encode_question("a.example", 7)
TXT = b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x08\x07dnsaddr"
RECORDS = (
    DnsRecord("_http._tcp.local", mdns.PTR, 120, "box._http._tcp.local"),
    DnsRecord("box._http._tcp.local", mdns.SRV, 120, "box.local:8000"),
    DnsRecord("box._http._tcp.local", mdns.TXT, 120, "path=/ a=b"),
    DnsRecord("box.local", mdns.A, 120, "10.0.0.7"),
)
STATUSES = tuple(path.read_bytes() for path in sorted((VECTORS / "overlays").iterdir()))
MAP = json.dumps(
    {
        "Regions": {
            "1": {
                "RegionID": 1,
                "RegionCode": "a",
                "RegionName": "A",
                "Nodes": [{"Name": "1a", "RegionID": 1, "HostName": "a.example", "IPv4": "192.0.2.1"}],
            }
        }
    }
).encode()
YAML = b"regions:\n  900:\n    regionid: 900\n    nodes:\n      - name: a\n        hostname: a.example\n"
Cases = dict[str, tuple[Callable[[bytes], object], tuple[bytes, ...]]]
CASES: Cases = {
    "noise": (noise, handshake()),
    "noise's core": (noise_core, handshake()),
    "yamux": (yamux, (frames(),)),
    "session": (session, (conversation(),)),
    "multistream": (agreement, (b"\x13/multistream/1.0.0\n\x03/a\n",)),
    "protobuf": (protobuf.parse_fields, (identify.encode_description(
        identify.PeerDescription("agent", ("/a",), ADDRESSES, ADDRESSES[0], KEY.public, "v")
    ),)),
    "identify": (identify.decode_description, (identify.encode_description(
        identify.PeerDescription("agent", ("/a",), ADDRESSES, ADDRESSES[0], KEY.public, "v")
    ),)),
    "autonat": (autonat.decode_autonat, (
        autonat.encode_autonat(autonat.DialRequest(ADDRESSES, 7)),
        autonat.encode_autonat(autonat.DialResponse("ok", 1, "dial-error")),
    )),
    "hop": (circuit.decode_hop, (
        circuit.encode_hop(circuit.CircuitMessage("status", "ok", limit=circuit.RelayLimit(120, 1 << 17))),
    )),
    "dcutr": (dcutr.decode_dcutr, (dcutr.encode_dcutr(dcutr.HolePunchMessage("connect", ADDRESSES)),)),
    "multiaddr": (decode_multiaddr, tuple(each.encode() for each in ADDRESSES)),
    "dnsaddr": (texts, (b"dnsaddr=/dnsaddr/a.example", b"dnsaddr=/ip4/192.0.2.1/tcp/4001")),
    "TXT answer": (dns_answer, (QUESTION[:2] + b"\x81\x80\0\x01\0\x01\0\0\0\0" + QUESTION[12:-11] + TXT,)),
    "multicast DNS": (mdns.decode, (mdns.encode_response(RECORDS),)),
    "beacon": (decode_beacon, (
        encode_beacon(Beacon(bytes(8), "unicast", {bytes(8): frozenset({"unicast"})})),
    )),
    "DERP map": (derp_map, (MAP, YAML)),
    "DERP map in YAML": (lambda data: read_yaml(data.decode("utf-8", "replace")), (YAML,)),
    "DERP frames": (derp_client, (greeting(SERVER) + introduction(SERVER, CLIENT.public),)),
    "status": (parse_status, STATUSES),
}  # fmt: skip


AUTHENTICATED = ("noise", "envelope", "voucher")
"""Of which no damaged one may be taken."""


def damaged(original: bytes, chance: random.Random) -> bytes:
    """A few changes: bytes set, put in, taken out or repeated, fragments put in, the end cut off; or others
    altogether."""
    if chance.randrange(20) == 0:
        return chance.randbytes(chance.randrange(200))
    data = bytearray(original)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0 | 1:
                data[at : at + 1] = bytes((chance.randrange(256),))
            case 2:
                data[at:at] = chance.choice(FRAGMENTS)
            case 3:
                del data[at : at + chance.randrange(1, 30)]
            case 4:
                data[at:at] = data[at : at + chance.randrange(1, 200)] * chance.randrange(1, 5)
            case _:
                del data[at:]
    return bytes(data[:40_000])


@pytest.mark.parametrize("name", CASES)
def test_any_message_gives_a_value_or_the_named_error(name: str) -> None:
    read, samples = CASES[name]
    chance = random.Random(name)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken, longest_s = 0, 0.0
    for _ in range(MESSAGES):
        data = damaged(chance.choice(samples), chance)
        began = time.process_time()
        try:
            read(data)
        except ProtocolError:
            pass
        else:
            taken += 1
        longest_s = max(longest_s, time.process_time() - began)
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    print(f"{name}: {MESSAGES}, {taken} taken, {1000 * longest_s:.1f} ms at most, {grown_kb} KiB more")
    assert longest_s < LONGEST_S
    assert grown_kb < MOST_KB
    assert taken or name in AUTHENTICATED
    assert taken < MESSAGES or name == "dnsaddr", "a text that leads nowhere is no error"
