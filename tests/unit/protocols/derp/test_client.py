"""The client's side of a conversation, against a server that says what the table has."""

from __future__ import annotations

import msgspec
import pytest
from derpserverside import UPGRADED, greeting, introduction

from nattools.errors import ProtocolError
from nattools.protocols import derp
from nattools.protocols.derp import derpframes as f

SERVER, CLIENT = derp.KeyPair(bytes(range(32))), derp.KeyPair(bytes(range(1, 33)))
STRANGER = bytes(range(2, 34))


def admitted() -> derp.DerpClient:
    client = derp.DerpClient(CLIENT, "derp.example")
    client.receive(greeting(SERVER))
    client.receive(introduction(SERVER, CLIENT.public))
    client.data_to_send()
    return client


def test_the_client_asks_for_the_upgrade_introduces_itself_and_is_let_in() -> None:
    client = derp.DerpClient(CLIENT, "derp.example:8443")
    asked = client.data_to_send()
    assert asked.startswith(b"GET /derp HTTP/1.1\r\nHost: derp.example:8443\r\nUpgrade: DERP\r\n")
    assert client.receive(greeting(SERVER)) == []
    (introduced,) = derp.DerpFrameReader().feed(client.data_to_send())
    assert introduced.kind == f.CLIENT_INFO
    assert introduced.body[:32] == CLIENT.public
    about = msgspec.json.decode(SERVER.open(introduced.body[32:], CLIENT.public))
    assert about == {"version": 2, "CanAckPings": True}
    limits = b'{"version":2,"TokenBucketBytesPerSecond":5000,"TokenBucketBytesBurst":9000}'
    assert client.receive(introduction(SERVER, CLIENT.public, limits)) == []
    assert client.state == "ready"
    assert client.server_key == SERVER.public


def test_bytes_may_come_one_by_one() -> None:
    client, events = derp.DerpClient(CLIENT, "derp.example"), []
    packet = f.encode(f.RECEIVED, STRANGER, b"hello")
    for byte in greeting(SERVER) + introduction(SERVER, CLIENT.public) + packet:
        events += client.receive(bytes([byte]))
    assert events == [derp.PacketReceived(STRANGER, b"hello")]


@pytest.mark.parametrize(
    ("frame", "events"),
    [
        (f.encode(f.RECEIVED, STRANGER), [derp.PacketReceived(STRANGER, b"")]),
        (f.encode(f.RECEIVED, STRANGER, bytes(65536)), [derp.PacketReceived(STRANGER, bytes(65536))]),
        (f.encode(f.PEER_GONE, STRANGER), [derp.PeerGone(STRANGER, was_here=True)]),
        (f.encode(f.PEER_GONE, STRANGER, b"\0"), [derp.PeerGone(STRANGER, was_here=True)]),
        (f.encode(f.PEER_GONE, STRANGER, b"\1"), [derp.PeerGone(STRANGER, was_here=False)]),
        (f.encode(f.HEALTH, b"duplicate client"), [derp.Health("duplicate client")]),
        (f.encode(f.HEALTH), [derp.Health("")]),
        (f.encode(f.RESTARTING, b"\0\0\3\xe8", b"\0\0\x27\x10"), [derp.Restarting(1.0, 10.0)]),
        (f.encode(f.PONG, b"12345678"), []),
        (f.encode(f.KEEP_ALIVE), []),
        (f.encode(0x09, STRANGER), []),  # a peer of a mesh is present, which no client asks for
        (f.encode(0x7F, b"of a later version"), []),
    ],
)
def test_what_a_server_says_is_told(frame: bytes, events: list[derp.DerpEvent]) -> None:
    assert admitted().receive(frame) == events


def test_pings_are_answered() -> None:
    client = admitted()
    assert client.receive(f.encode(f.PING, b"12345678")) == []
    assert derp.DerpFrameReader().feed(client.data_to_send()) == [derp.Frame(f.PONG, b"12345678")]


def test_a_server_that_pings_and_does_not_read_makes_nothing_grow() -> None:
    client = admitted()
    for _ in range(1000):
        client.receive(f.encode(f.PING, b"12345678") * 10)
    assert len(client.data_to_send()) < 1000


def test_packets_and_pings_leave_once_the_client_is_let_in() -> None:
    with pytest.raises(ValueError, match="packet"):
        derp.DerpClient(CLIENT, "derp.example").send(b"", STRANGER)
    client = admitted()
    client.send(b"hello", STRANGER)
    client.ping(b"abcdefgh")
    sent = derp.DerpFrameReader().feed(client.data_to_send())
    assert sent == [derp.Frame(f.SEND, STRANGER + b"hello"), derp.Frame(f.PING, b"abcdefgh")]
    with pytest.raises(ValueError, match="bytes"):
        client.send(bytes(65537), STRANGER)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "HTTP 404 Not Found instead"),
        (b"HTTP/1.1 426 Upgrade Required\r\n\r\n", "HTTP 426"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n", "HTTP 302"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "not a response of HTTP/1"),
        (bytes(20000), "a head of more than"),
        (UPGRADED + f.encode(f.KEEP_ALIVE), "not DERP"),
        (UPGRADED + f.encode(f.SERVER_KEY, b"NOTDERP!", bytes(32)), "not DERP"),
        (UPGRADED + b"\1\0\0\0\3abc", "type 0x1 with 3 bytes"),
        (UPGRADED + f.encode(f.SERVER_KEY, f.MAGIC, bytes(32)), "nothing can be sealed"),
        (greeting(SERVER) + f.encode(f.KEEP_ALIVE), "where the server's introduction belongs"),
        (greeting(SERVER) + f.encode(f.SERVER_INFO, bytes(60)), "cannot open"),
        (greeting(SERVER) + introduction(CLIENT, CLIENT.public), "cannot open"),
        (greeting(SERVER) + introduction(SERVER, CLIENT.public, b"[]"), "cannot be read"),
        (greeting(SERVER) + introduction(SERVER, CLIENT.public, b"\xff"), "cannot be read"),
        (greeting(SERVER) + introduction(SERVER, CLIENT.public) + b"\5\xff\xff\xff\xff", "4294967295 bytes"),
        (greeting(SERVER) + introduction(SERVER, CLIENT.public) + b"\x15\0\0\0\7", "type 0x15 with 7 bytes"),
    ],
)
def test_what_is_no_derp_server_is_named(said: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        derp.DerpClient(CLIENT, "derp.example").receive(said)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (b"", "closed"),
        (UPGRADED, "not-a-relay"),
        (greeting(SERVER), "verifies"),
        (greeting(SERVER) + introduction(SERVER, CLIENT.public), "closed"),
    ],
)
def test_a_server_that_closes_is_understood_by_when_it_does(said: bytes, cause: str) -> None:
    client = derp.DerpClient(CLIENT, "derp.example")
    client.receive(said)
    assert client.why_closed()[0] == cause


def test_keys_have_their_size_and_stand_for_a_place_that_is_none() -> None:
    with pytest.raises(ValueError, match="31 bytes"):
        derp.KeyPair(bytes(31))
    place = derp.endpoint_of(CLIENT.public)
    assert place.host.startswith("100::")
    assert place == derp.endpoint_of(bytes(CLIENT.public)) != derp.endpoint_of(SERVER.public)
    assert derp.KeyPair().public != derp.KeyPair().public


def test_without_pynacl_the_way_to_get_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nattools.protocols.derp.derpkeys.find_spec", lambda name: None)
    missing = derp.why_no_keys()
    assert missing is not None
    assert missing.remedy.endswith(" pynacl")
    with pytest.raises(type(missing), match="PyNaCl"):
        derp.KeyPair()


def test_no_host_breaks_out_of_its_line() -> None:
    with pytest.raises(ValueError, match="no host"):
        derp.DerpClient(CLIENT, "derp.example\r\nX: y")
