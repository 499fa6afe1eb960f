"""What programs print about themselves, each by a sample made by hand from its documented form."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nattools.errors import ProtocolError
from nattools.model.overlay import OverlayPeer, OverlayStatus
from nattools.protocols.overlays import MAX_STATUS, parse_status

SAMPLES = Path(__file__).parents[2] / "vectors" / "overlays"


def read(name: str) -> OverlayStatus:
    return parse_status((SAMPLES / name).read_bytes())


def by_name(status: OverlayStatus) -> dict[str, OverlayPeer]:
    return {peer.name: peer for peer in status.peers}


def test_tailscale_tells_which_way_packets_go() -> None:
    status = read("tailscale-status.json")
    assert (status.program, status.name, status.state, status.relay) == (
        "tailscale",
        "alice@example.com",
        "Running",
        "fra",
    )
    assert status.endpoints == ("11.1.0.2:41641", "10.0.1.2:41641")
    assert (status.kernel, status.exit_node) == (True, "100.64.0.5")
    ways = {name: peer.path for name, peer in by_name(status).items()}
    assert ways == {"bob": "direct", "carol": "relay", "dave": "none", "exit": "peer-relay", "erin": "none"}
    carol = by_name(status)["carol"]
    assert (carol.relay, carol.routes) == ("nyc", ("192.168.7.0/24",))
    assert by_name(status)["exit"].routes == ()


def test_netbird_relays_where_a_candidate_is_a_relays() -> None:
    status = read("netbird-status.json")
    assert (status.program, status.name, status.addresses) == ("netbird", "netbird.example", ("100.92.0.1",))
    assert status.problems == ("signal: context deadline exceeded",)
    peers = [(each.name.split(".")[0], each.path, each.latency_ms) for each in status.peers]
    assert peers == [
        ("bob", "direct", 12.5),
        ("carol", "relay", None),
        ("dave", "relay", None),
        ("erin", "unknown", None),
    ]
    assert status.peers[0].endpoint == "11.2.0.2:51820"


def test_netbird_connects_late_and_says_when_it_has_not() -> None:
    status = read("netbird-lazy.json")
    assert (status.state, status.problems) == (
        "Connected",
        ("rels://relay.example:443: dial tcp: i/o timeout",),
    )
    found = {each.name.split(".")[0]: (each.path, each.handshake) for each in status.peers}
    assert found == {
        "idle": ("none", False),
        "trying": ("trying", False),
        "mute": ("relay", False),
        "bob": ("direct", True),
    }


@pytest.mark.parametrize(
    ("daemon", "connected", "state"),
    [
        ("NeedsLogin", False, "NeedsLogin"),
        ("Connected", True, "Connected"),
        ("Connected", False, "Disconnected"),
        (None, True, "Connected"),
        (None, False, "Disconnected"),
    ],
)
def test_netbird_says_itself_how_it_is_or_its_management_does(
    daemon: str | None, connected: bool, state: str
) -> None:
    said: dict[str, Any] = {"daemonVersion": "0.60", "peers": {"details": None}}
    said |= {"management": {"connected": connected}} | ({"daemonStatus": daemon} if daemon else {})
    assert parse_status(msgspec.json.encode(said)).state == state


def test_early_clients_of_tailscale_say_less() -> None:
    status = read("tailscale-early.json")
    assert status.addresses == ("100.64.0.1",)
    assert [(each.name, each.addresses, each.path) for each in status.peers] == [
        ("bob", ("100.64.0.2",), "direct"),
        ("carol", ("100.64.0.3",), "unknown"),
    ]


def test_exit_nodes_for_hire_are_no_peers_unless_one_is_in_use() -> None:
    rented = {"TailscaleIPs": ["100.65.0.1"], "Location": {"Country": "USA"}, "ExitNodeOption": True}
    peers = {f"nodekey:{number:04}": {**rented, "DNSName": f"us-{number}."} for number in range(5000)}
    peers["nodekey:zz"] = {"DNSName": "bob.", "Active": False}
    peers["nodekey:0007"]["ExitNode"] = True
    said = {"BackendState": "Running", "Self": {}, "Peer": peers}
    assert [each.name for each in parse_status(msgspec.json.encode(said)).peers] == ["us-7", "bob"]


def test_zerotier_is_direct_where_a_path_is_active() -> None:
    status = read("zerotier-peers.json")
    assert (status.program, status.state, status.relay) == ("zerotier", "online", "0000000001")
    assert [(each.name, each.path, each.endpoint) for each in status.peers] == [
        ("00000000b0", "direct", "11.2.0.2:9993"),
        ("00000000ca", "relay", ""),
    ]


def test_a_dump_of_a_browser_has_a_peer_for_each_connection() -> None:
    status = read("webrtc-internals.json")
    room, other = status.peers
    assert (room.path, room.endpoint, room.latency_ms) == ("relay", "11.2.0.2:3000", 34.0)
    assert room.relay == "turn:turn.example:3478?transport=udp"
    assert (other.path, status.endpoints) == ("none", ("11.1.0.2:50000",))


def test_getstats_names_the_pair_in_use_by_its_transport() -> None:
    (peer,) = read("getstats.json").peers
    assert (peer.path, peer.endpoint, peer.latency_ms) == ("direct", "[2a10:2::2]:50002", 21.0)
    as_object = {each["id"]: each for each in msgspec.json.decode((SAMPLES / "getstats.json").read_bytes())}
    assert parse_status(msgspec.json.encode(as_object)).peers == (peer,)


def test_getstats_may_be_put_together_in_other_ways() -> None:
    status = read("getstats.json")
    each = msgspec.json.decode((SAMPLES / "getstats.json").read_bytes())
    entries = [[one["id"], one] for one in each]
    assert parse_status(msgspec.json.encode(entries)) == status
    several = parse_status(msgspec.json.encode([each, entries, dict(entries)]))
    assert [(one.name, one.path) for one in several.peers] == [
        (f"connection {number}", "direct") for number in (1, 2, 3)
    ]


def test_getstats_had_other_names_before_the_standard() -> None:
    status = read("getstats-before-the-standard.json")
    (peer,) = status.peers
    assert (peer.path, peer.endpoint, status.endpoints) == ("relay", "11.9.0.2:3000", ("11.1.0.2:50000",))


def connection(*states: str, **local: str) -> list[dict[str, Any]]:
    """Pairs of two local candidates in these states; the first is nominated if it succeeded."""
    pairs = [
        {"id": f"p{number}", "type": "candidate-pair", "state": state, "nominated": state == "succeeded"}
        | {"localCandidateId": "l1", "remoteCandidateId": "r1"}
        for number, state in enumerate(states)
    ]
    kind = {"type": "local-candidate", "candidateType": "host", "address": "10.0.0.2", "port": 1, **local}
    remote = {"id": "r1", "type": "remote-candidate", "candidateType": "srflx", "address": "", "port": 9}
    return [*pairs, {**kind, "id": "l1"}, {**kind, "id": "l2"}, remote]


@pytest.mark.parametrize(
    ("states", "path"),
    [
        ((), "none"),
        (("failed", "failed"), "failed"),
        (("failed", "waiting"), "trying"),
        (("in-progress",), "trying"),
        (("failed", "succeeded"), "direct"),
    ],
)
def test_a_browser_that_has_no_path_may_be_trying_or_have_failed(states: tuple[str, ...], path: str) -> None:
    (peer,) = parse_status(msgspec.json.encode(connection(*states))).peers
    assert (peer.path, peer.endpoint, peer.relayed_alone) == (path, "", False)


def test_a_page_may_want_relays_alone() -> None:
    given = connection("succeeded", candidateType="relay", relayProtocol="tls")
    (peer,) = parse_status(msgspec.json.encode(given)).peers
    assert (peer.path, peer.relay, peer.relayed_alone) == ("relay", "TURN over TLS", True)
    one = [each for each in given if each["id"] != "l2"]
    (peer,) = parse_status(msgspec.json.encode(one)).peers
    assert (peer.path, peer.relayed_alone) == ("relay", False)
    settings = "{ iceServers: [], iceTransportPolicy: relay, bundlePolicy: balanced }"
    dump = {"PeerConnections": {"1-1": {"rtcConfiguration": settings, "stats": {}}}}
    (peer,) = parse_status(msgspec.json.encode(dump)).peers
    assert peer.relayed_alone


@pytest.mark.parametrize("name", ["tailscale-status.json", "netbird-status.json", "webrtc-internals.json"])
def test_a_status_is_read_as_shells_and_browsers_write_it(name: str) -> None:
    data, status = (SAMPLES / name).read_bytes(), read(name)
    text = data.decode()
    assert parse_status(text.encode("utf-16")) == status, "PowerShell's >"
    assert parse_status(b"\xfe\xff" + text.encode("utf-16-be")) == status
    assert parse_status(b"\xef\xbb\xbf" + data) == status
    assert parse_status(gzip.compress(data)) == status
    warned = f'Warning: client version "1.2" != server version "1.1" [x]\r\n\r\n{text}\r\nexit {{}}'
    assert parse_status(warned[: warned.rindex("exit")].encode()) == status


def test_what_is_compressed_is_bounded_too() -> None:
    with pytest.raises(ProtocolError, match="more than"):
        parse_status(gzip.compress(b" " * (MAX_STATUS + 1)))
    with pytest.raises(ProtocolError, match="damaged"):
        parse_status(b"\x1f\x8b\x08\x00garbage of some length")


@pytest.mark.parametrize(
    ("name", "state", "found"),
    [
        ("kubo-autonat.txt", "private", [True, False, False, None]),
        ("kubo-autonat.json", "public", [True, False]),
    ],
)
def test_kubo_tells_of_each_address(name: str, state: str, found: list[bool | None]) -> None:
    status = read(name)
    assert (status.program, status.state) == ("kubo", state)
    assert [each.reachable for each in status.peers] == found
    assert status.peers[0].endpoint == "11.1.0.2:4001"


def test_an_address_by_a_relay_is_none_of_ones_own() -> None:
    where = "/ip4/11.9.0.2/tcp/4001/p2p/Qm/p2p-circuit"
    text = f"AutoNAT V2 Status:\n  Unknown:\n    {where}\n"
    (peer,) = parse_status(text.encode()).peers
    assert (peer.path, peer.relay, peer.endpoint) == ("relay", "11.9.0.2:4001", "")


ANNOUNCED = ["/ip4/127.0.0.1/tcp/4001", "/ip4/11.1.0.2/udp/24001/quic-v1", "/dns4/a.example/tcp/443/wss"]


@pytest.mark.parametrize("agent", ["kubo/0.39.0/", "go-ipfs/0.20.0/", "js-libp2p/3.3", None])
def test_a_node_tells_what_it_announces(agent: str | None) -> None:
    whole = {"ID": "12D3KooWQ", "PublicKey": "x", "Addresses": ANNOUNCED, "AgentVersion": agent}
    status = parse_status(msgspec.json.encode(ANNOUNCED if agent is None else whole))
    assert status.program == ("kubo" if agent is not None and "js" not in agent else "libp2p")
    assert [each.endpoint for each in status.peers] == ["127.0.0.1:4001", "11.1.0.2:24001", ""]
    assert all(each.announced and each.reachable is None for each in status.peers)


def test_a_node_may_announce_nothing() -> None:
    said = {"ID": "12D3KooWQ", "Addresses": None, "AgentVersion": "kubo/0.39.0/"}
    assert parse_status(msgspec.json.encode(said)).peers == ()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"<html>", "a page of HTML.*getStats"),
        (b"<p>", "not JSON"),
        (b"[]", "empty list"),
        (b"200 peers\n<ztaddr>   <ver>\n", "zerotier-cli peers -j"),
        (b"Daemon status: NeedsLogin\n", "netbird status --json"),
        (b"OS: linux/amd64\nDaemon version: 0.59.7\n", "netbird status --json"),
        (b"100.64.0.1  alice  alice@  linux  -\n", "tailscale status --json"),
        (b"Tailscale is stopped.\n", "tailscale status --json"),
        (b"{}", "nothing that is known"),
        (b"[" * 100_000, "not JSON"),
        (b'{"BackendState": 1}', "nothing that is known"),
        (b" " * (MAX_STATUS + 1), "more than"),
    ],
)
def test_what_is_no_status_is_named(data: bytes, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        parse_status(data)


def test_fields_of_other_types_count_as_missing() -> None:
    odd = {
        "BackendState": 7,
        "Self": [],
        "Peer": {"a": {"CurAddr": 5, "Relay": {}, "TailscaleIPs": "x"}, "b": 1},
    }
    status = parse_status(msgspec.json.encode(odd))
    assert (status.state, [peer.path for peer in status.peers]) == ("", ["unknown"])
