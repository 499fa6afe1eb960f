"""What programs print about themselves, each by a sample made by hand from its documented form."""

from __future__ import annotations

from pathlib import Path

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
        ("erin", "none", None),
    ]
    assert status.peers[0].endpoint == "11.2.0.2:51820"


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


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"<html>", "not JSON"),
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
    assert (status.state, [peer.path for peer in status.peers]) == ("", ["none"])
