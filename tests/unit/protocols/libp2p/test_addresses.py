"""Peer ids and multiaddrs: as others write them, and there and back."""

from __future__ import annotations

import pytest
from envelopes import open_envelope

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols.libp2p.hostkey import HostKey, verify
from nattools.protocols.libp2p.multiaddr import decode_multiaddr, multiaddr_at, parse_multiaddr
from nattools.protocols.libp2p.peerid import (
    PeerId,
    decode_peer_id,
    from_base58,
    parse_peer_id,
    peer_id_of,
    to_base58,
)

BOOTSTRAP = "QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN"
SEED = bytes(range(32))


def test_base58_has_the_digits_of_bitcoin() -> None:
    # draft-msporny-base58-03, section 5
    assert to_base58(b"Hello World!") == "2NEpo7TZRRrLZSi2U"
    assert to_base58(bytes.fromhex("0000287fb4cd")) == "11233QC4"
    assert from_base58("11233QC4") == bytes.fromhex("0000287fb4cd")


def test_a_key_has_the_peer_id_that_the_specification_gives() -> None:
    # libp2p/specs, peer-ids/peer-ids.md, test vectors: an Ed25519 public key
    public = bytes.fromhex("080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")
    assert public.startswith(b"\x08\x01\x12\x20")
    assert str(peer_id_of(public)).startswith("12D3KooW")
    assert peer_id_of(public).octets == b"\x00\x24" + public


def test_a_peer_id_is_read_in_each_of_its_forms() -> None:
    peer = HostKey(SEED).peer
    assert parse_peer_id(str(peer)) == peer
    hashed = parse_peer_id(BOOTSTRAP)
    assert hashed.octets.startswith(b"\x12\x20")
    assert str(hashed) == BOOTSTRAP
    import base64

    cid = "b" + base64.b32encode(b"\x01\x72" + hashed.octets).decode().lower().rstrip("=")
    assert parse_peer_id(cid) == hashed


@pytest.mark.parametrize("text", ["", "0", "Qm0", "12D3", "zzz", "bafy", "Q" * 300, "baaaa", "1\N{SNOWMAN}"])
def test_what_is_no_peer_id_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_peer_id(text)


def test_octets_that_are_no_multihash_are_refused() -> None:
    for octets in (b"", b"\x00", b"\x00\x02a", b"\x12\x20short", b"\x13\x20" + bytes(32)):
        with pytest.raises(ProtocolError):
            decode_peer_id(octets)


@pytest.mark.parametrize(
    ("text", "over", "endpoint"),
    [
        (f"/ip4/192.0.2.1/tcp/4001/p2p/{BOOTSTRAP}", "tcp", Endpoint("192.0.2.1", 4001)),
        ("/ip6/2001:db8::1/udp/4001/quic-v1", "quic", Endpoint("2001:db8::1", 4001)),
        ("/ip4/192.0.2.1/udp/4001/quic-v1/webtransport", "webtransport", Endpoint("192.0.2.1", 4001)),
        ("/dns4/example.org/tcp/443/wss", "wss", None),
        ("/dns4/example.org/tcp/443/tls/sni/example.org/ws", "ws", None),
        ("/ip4/192.0.2.1/udp/9/webrtc-direct/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ",
         "certhash", Endpoint("192.0.2.1", 9)),
        (f"/dnsaddr/bootstrap.libp2p.io/p2p/{BOOTSTRAP}", "", None),
        (f"/ip4/192.0.2.1/tcp/4001/p2p/{BOOTSTRAP}/p2p-circuit", "relay", Endpoint("192.0.2.1", 4001)),
    ],
)  # fmt: skip
def test_an_address_is_the_same_there_and_back(text: str, over: str, endpoint: Endpoint | None) -> None:
    address = parse_multiaddr(text)
    assert str(address) == text
    assert decode_multiaddr(address.encode()) == address
    assert (address.over, address.endpoint) == (over, endpoint)


def test_the_bytes_are_those_of_others() -> None:
    # multiformats/multiaddr's README: /ip4/127.0.0.1/udp/1234
    assert parse_multiaddr("/ip4/127.0.0.1/udp/1234").encode() == bytes.fromhex("047f000001910204d2")


def test_old_names_and_spare_slashes_are_read() -> None:
    assert str(parse_multiaddr(f"/ip4/192.0.2.1/tcp/1/ipfs/{BOOTSTRAP}/")).endswith(f"/p2p/{BOOTSTRAP}")


@pytest.mark.parametrize(
    "text",
    [
        "", "ip4/1.2.3.4", "/ip4", "/ip4/1.2.3", "/ip4/1.2.3.4/tcp/65536", "/ip4/1.2.3.4/tcp/-1", "/tcp/+1",
        "/nonsense/1", "/p2p/abc", "/dns/", "/certhash/x", "/ip4/1.2.3.4" * 30, "/dns/" + "a" * 300,
        "/tcp/\N{ARABIC-INDIC DIGIT ONE}",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_multiaddr(text)


@pytest.mark.parametrize("octets", [b"", b"\x04\x01", b"\xff" * 20, b"\x35\x00", b"\x35\x02a/", bytes(2000)])
def test_bytes_that_are_no_address_are_refused(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_multiaddr(octets)


def test_the_ends_of_an_address_through_a_relay() -> None:
    relay, target = HostKey(SEED).peer, PeerId(parse_peer_id(BOOTSTRAP).octets)
    at = multiaddr_at(Endpoint("192.0.2.1", 4001), relay)
    whole = at.to(("p2p-circuit", ""), ("p2p", str(target)))
    assert whole.relayed
    assert whole.relay == at
    assert whole.peer == target
    assert at.without_peer() == multiaddr_at(Endpoint("192.0.2.1", 4001))
    assert at.relay is None


def test_a_key_from_a_seed_signs_and_seals() -> None:
    key = HostKey(SEED)
    verify(key.public, b"data", key.sign(b"data"))
    with pytest.raises(ProtocolError, match="wrong"):
        verify(key.public, b"other", key.sign(b"data"))
    sealed = key.seal(b"domain", b"\x01", b"payload")
    assert open_envelope(b"domain", sealed) == (key.peer, b"\x01", b"payload")
    with pytest.raises(ProtocolError):
        open_envelope(b"elsewhere", sealed)


@pytest.mark.parametrize("kind", ["rsa", "secp256k1", "ecdsa"])
def test_others_keys_of_every_type_are_believed(kind: str) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from nattools.protocols.libp2p.protobuf import number_field, octets_field

    if kind == "rsa":
        own = rsa.generate_private_key(65537, 2048)
        raw = own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        signature, number = own.sign(b"data", padding.PKCS1v15(), SHA256()), 0
    else:
        curve = ec.generate_private_key(ec.SECP256K1() if kind == "secp256k1" else ec.SECP256R1())
        form = (
            (Encoding.X962, PublicFormat.CompressedPoint)
            if kind == "secp256k1"
            else (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        raw = curve.public_key().public_bytes(*form)
        signature, number = curve.sign(b"data", ec.ECDSA(SHA256())), 2 if kind == "secp256k1" else 3
    public = number_field(1, number) + octets_field(2, raw)
    verify(public, b"data", signature)
    with pytest.raises(ProtocolError, match="wrong"):
        verify(public, b"other", signature)
    assert str(peer_id_of(public)).startswith("Qm" if kind != "secp256k1" else "16Uiu2")


def test_keys_that_cost_too_much_or_are_none_are_refused() -> None:
    from nattools.protocols.libp2p.protobuf import number_field, octets_field

    for number, raw in ((0, b"no key"), (1, b"short"), (2, bytes(33)), (3, b""), (9, b"unknown")):
        with pytest.raises(ProtocolError):
            verify(number_field(1, number) + octets_field(2, raw), b"data", b"signature")
    with pytest.raises(ProtocolError):
        verify(number_field(1, 1), b"data", b"signature")
