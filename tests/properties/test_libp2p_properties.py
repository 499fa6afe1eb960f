"""libp2p's decoders: a value or ProtocolError for any bytes; and ends that are told anything."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.protocols.libp2p import autonat, circuit, dcutr, identify, multiaddr, peerid, protobuf, uvarint
from nattools.protocols.libp2p.dnsaddr import read_records
from nattools.protocols.libp2p.hostkey import HostKey, verify
from nattools.protocols.libp2p.multiaddr import Multiaddr, decode_multiaddr, parse_multiaddr
from nattools.protocols.libp2p.multistream import Negotiation
from nattools.protocols.libp2p.noise import NoiseXX
from nattools.protocols.libp2p.noisechannel import NoiseChannel
from nattools.protocols.libp2p.peersession import PeerSession
from nattools.protocols.libp2p.quicprobe import VersionProbe
from nattools.protocols.libp2p.yamux import YamuxLimits, YamuxSession

KEY, OTHER = HostKey(b"k" * 32), HostKey(b"o" * 32)
DECODERS: dict[str, Callable[[bytes], Any]] = {
    "autonat": autonat.decode_autonat,
    "nonce": autonat.decode_nonce,
    "hop": circuit.decode_hop,
    "stop": circuit.decode_stop,
    "dcutr": dcutr.decode_dcutr,
    "identify": identify.decode_description,
    "multiaddr": multiaddr.decode_multiaddr,
    "peer id": peerid.decode_peer_id,
    "protobuf": protobuf.parse_fields,
    "public key": lambda data: verify(data, b"data", bytes(64)),
    "versions": VersionProbe().answered,
}
ADDRESSES = tuple(
    parse_multiaddr(text)
    for text in (
        "/ip4/192.0.2.1/tcp/4001",
        "/ip6/2001:db8::1/udp/4001/quic-v1",
        f"/p2p/{KEY.peer}/p2p-circuit",
    )
)
SAMPLES = (
    autonat.encode_autonat(autonat.DialRequest(ADDRESSES, 7)),
    autonat.encode_autonat(autonat.DialResponse("ok", 1, "dial-error")),
    autonat.encode_autonat(autonat.DialDataRequest(1, 40_000)),
    autonat.encode_autonat(autonat.DialData(b"abc")),
    circuit.encode_hop(
        circuit.CircuitMessage(
            "status",
            "ok",
            reservation=circuit.Reservation(9, ADDRESSES, circuit.make_voucher(KEY, OTHER.peer, 9)),
            limit=circuit.RelayLimit(120, 1 << 17),
        )
    ),
    circuit.encode_stop(circuit.CircuitMessage("connect", peer=KEY.peer)),
    circuit.make_voucher(KEY, OTHER.peer, 9),
    dcutr.encode_dcutr(dcutr.HolePunchMessage("connect", ADDRESSES)),
    identify.encode_description(
        identify.PeerDescription("agent", ("/a",), ADDRESSES, ADDRESSES[0], KEY.public, "v")
    ),
    KEY.public,
)


def changed(data: st.DataObject) -> bytes:
    """A good message with some bytes changed, cut or added."""
    octets = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(0, 4))):
        if octets:
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(octets)))
    return bytes(octets[:cut]) + data.draw(st.binary(max_size=8))


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.data())
def test_any_bytes_give_a_value_or_the_named_error(name: str, data: st.DataObject) -> None:
    octets = changed(data) if data.draw(st.booleans()) else data.draw(st.binary(max_size=200))
    with suppress(ProtocolError):
        DECODERS[name](octets)


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_none(text: str) -> None:
    for shape in (text, "/" + text, "/ip4/1.2.3.4/" + text, "/p2p/" + text):
        try:
            address = parse_multiaddr(shape)
        except ProtocolError:
            continue
        assert parse_multiaddr(str(address)) == address
        assert decode_multiaddr(address.encode()) == address


@given(st.binary(min_size=1, max_size=60))
def test_an_address_in_bytes_is_the_same_there_and_back(octets: bytes) -> None:
    with suppress(ProtocolError):
        address = decode_multiaddr(octets)
        assert decode_multiaddr(address.encode()) == address
        assert isinstance(address, Multiaddr)
        assert address.relayed == ("p2p-circuit" in address.names)
        assert address.endpoint is None or address.host == address.endpoint.host


@given(st.integers(0, (1 << 63) - 1), st.binary(max_size=5))
def test_numbers_come_back(number: int, behind: bytes) -> None:
    octets = uvarint.encode(number)
    assert uvarint.decode(octets + behind) == (number, len(octets))


@given(st.binary(max_size=60))
def test_base58_comes_back(octets: bytes) -> None:
    assert peerid.from_base58(peerid.to_base58(octets)) == octets


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_messages_come_out_as_they_went_in(messages: list[bytes], size: int) -> None:
    reader, came = uvarint.DelimitedReader(300), []
    whole = b"".join(map(uvarint.delimited, messages))
    for start in range(0, len(whole), size):
        reader.feed(whole[start : start + size])
        while (message := reader.next()) is not None:
            came.append(message)
    assert came == messages
    assert reader.rest == b""


@given(st.lists(st.binary(max_size=100), max_size=6), st.booleans())
def test_a_session_takes_anything(said: list[bytes], initiates: bool) -> None:
    session = PeerSession(KEY, initiates=initiates)
    with suppress(ProtocolError):
        for data in said:
            session.data_to_send()
            session.receive(data)
    assert session.peer is None


@given(st.lists(st.binary(max_size=100), max_size=6), st.booleans())
def test_an_agreement_takes_anything(said: list[bytes], proposes: bool) -> None:
    end = Negotiation(proposed=("/a",)) if proposes else Negotiation(offered=("/a",))
    with suppress(ProtocolError):
        for data in said:
            end.receive(data)
    assert len(end.data_to_send()) < 1000


@given(st.lists(st.binary(max_size=300), max_size=4), st.booleans())
def test_a_handshake_takes_anything(said: list[bytes], initiates: bool) -> None:
    channel = NoiseChannel(KEY, initiates=initiates)
    with suppress(ProtocolError):
        for data in said:
            channel.receive(len(data).to_bytes(2, "big") + data)
    assert not channel.secured


@given(st.binary(min_size=32, max_size=200))
def test_the_core_of_the_handshake_takes_anything(data: bytes) -> None:
    handshake = NoiseXX(initiates=False)
    with suppress(ProtocolError):
        handshake.read(data)
        handshake.write(b"")
        handshake.read(data)
    assert handshake.ciphers is None


FRAMES = st.builds(
    lambda kind, flags, stream, length, body: (
        bytes((0, kind))
        + flags.to_bytes(2, "big")
        + stream.to_bytes(4, "big")
        + length.to_bytes(4, "big")
        + body
    ),
    st.integers(0, 3),
    st.integers(0, 15),
    st.integers(0, 12),
    st.one_of(st.integers(0, 40), st.integers(0, (1 << 32) - 1)),
    st.binary(max_size=40),
)


@given(st.lists(st.one_of(FRAMES, st.binary(max_size=20)), max_size=30))
def test_streams_hold_no_more_than_their_bounds(said: list[bytes]) -> None:
    """Whatever is said: streams, bytes that wait, and what is answered stay bounded."""
    session = YamuxSession(initiates=False, limits=YamuxLimits(streams=4, unread=500))
    own = session.open()
    session.send(own, bytes(100))
    with suppress(ProtocolError):
        for data in said:
            session.receive(data)
    assert session.streams <= 4 + 1
    assert len(session.data_to_send()) < 12 * 60 + 200 + sum(map(len, said))


@given(st.lists(st.text(max_size=60).map(lambda text: f"dnsaddr={text}") | st.text(max_size=30), max_size=5))
def test_any_texts_of_a_name_are_taken_or_refused(texts: list[str]) -> None:
    asked = parse_multiaddr(f"/dnsaddr/peers.example/p2p/{KEY.peer}")
    found = read_records(texts, asked)
    assert all(address.peer == KEY.peer for address in found.addresses)
    assert len(found.addresses) + found.refused <= len(texts)
