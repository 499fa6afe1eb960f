"""Statuses as the users of programs send them: peers of an IPFS swarm, Firefox's page, machines that are
away, and what the same programs print that is no status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from nattools.errors import ProtocolError
from nattools.model.overlay import OverlayPeer
from nattools.protocols.overlays import parse_status

SAMPLES = Path(__file__).parents[2] / "vectors" / "overlays"
NEVER, ONCE = "0001-01-01T00:00:00Z", "2026-01-01T12:00:00Z"
KUBO_PEER = "QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ"


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


@pytest.mark.parametrize("name", ["swarm-peers.txt", "swarm-peers.json"])
def test_a_swarm_tells_of_each_peer_by_which_way_it_is_reached(name: str) -> None:
    status = parse_status((SAMPLES / name).read_bytes())
    assert status.program == "ipfs"
    found = [(each.name, each.path, each.endpoint, each.relay, each.latency_ms) for each in status.peers]
    assert found == [
        (KUBO_PEER, "direct", "11.9.0.2:4001", "", 23.5),
        ("12D3KooWBob", "relay", "", "11.9.0.2:4001", None),
        ("12D3KooWCarol", "direct", "[2a10:2::2]:4001", "", 0.9),
    ]


def test_a_swarm_is_listed_without_details_too() -> None:
    status = parse_status(b"/ip4/11.9.0.2/tcp/4001/p2p/12D3KooWA\r\n/ip4/11.9.0.3/tcp/4001/ipfs/QmB\r\n")
    assert [(each.name, each.path) for each in status.peers] == [("12D3KooWA", "direct"), ("QmB", "direct")]


@pytest.mark.parametrize("own", ["", "/p2p/12D3KooWMe"])
def test_the_addresses_of_one_node_are_what_it_announces(own: str) -> None:
    lines = [f"/ip4/127.0.0.1/tcp/4001{own}", f"/dns4/a.example/tcp/443/tls/ws{own}"]
    status = parse_status("\n".join(lines).encode())
    assert status.program == "libp2p"
    assert all(each.announced for each in status.peers)
    assert [each.endpoint for each in status.peers] == ["127.0.0.1:4001", ""]


def test_firefox_tells_of_the_connections_that_are_open() -> None:
    status = parse_status((SAMPLES / "about-webrtc.json").read_bytes())
    (peer,) = status.peers
    assert "id=4" in peer.name
    assert (peer.path, peer.relay, peer.latency_ms) == ("relay", "11.9.0.3:50200", 31.0)
    assert (status.endpoints, peer.relayed_alone) == (("11.1.0.2:50001",), False)


def firefox(**fields: Any) -> OverlayPeer:
    whole = msgspec.json.decode((SAMPLES / "about-webrtc.json").read_bytes())
    (peer,) = parse_status(encoded({**whole["reports"][0], **fields})).peers
    return peer


def test_firefox_may_be_told_to_relay_alone() -> None:
    assert firefox(configuration={"iceTransportPolicy": "relay"}).relayed_alone
    assert firefox(iceCandidatePairStats=[]).path == "none"


@pytest.mark.parametrize(("state", "path"), [("failed", "failed"), ("succeeded", "direct")])
def test_a_pair_that_was_chosen_may_have_failed_since(state: str, path: str) -> None:
    stats = [
        {"id": "L", "type": "local-candidate", "candidateType": "host", "address": "10.0.1.2", "port": 1},
        {"id": "R", "type": "remote-candidate", "candidateType": "srflx", "address": "11.2.0.2", "port": 2},
        {"id": "T", "type": "transport", "selectedCandidatePairId": "P"},
    ]
    pair = {"id": "P", "type": "candidate-pair", "localCandidateId": "L", "remoteCandidateId": "R"}
    (peer,) = parse_status(encoded([*stats, {**pair, "state": state, "nominated": True}])).peers
    assert peer.path == path


def tailscale(*peers: dict[str, Any], **fields: Any) -> bytes:
    status = {"BackendState": "Running", "Self": {"HostName": "me", "TailscaleIPs": ["100.64.0.1"]}}
    return encoded({**status, "Peer": {str(number): each for number, each in enumerate(peers)}, **fields})


ACTIVE = {"HostName": "bob", "Active": True, "Online": True, "Relay": "fra", "LastWrite": ONCE}


@pytest.mark.parametrize(
    ("received", "shaken", "known"),
    [(0, NEVER, False), (90, NEVER, True), (0, ONCE, True), (None, NEVER, None), (0, None, None)],
)
def test_a_peer_of_tailscales_may_never_have_answered(
    received: int | None, shaken: str | None, known: bool | None
) -> None:
    fields = {"RxBytes": received, "LastHandshake": shaken}
    told = {name: value for name, value in fields.items() if value is not None}
    (peer,) = parse_status(tailscale({**ACTIVE, **told})).peers
    assert (peer.path, peer.handshake) == ("relay", known)


def test_guests_are_no_peers_before_they_call() -> None:
    guest = {"HostName": "guest", "ShareeNode": True, "Active": False}
    status = parse_status(tailscale(ACTIVE, guest, {**guest, "HostName": "caller", "Active": True}))
    assert [each.name for each in status.peers] == ["bob", "caller"]


@pytest.mark.parametrize(
    ("said", "of_peer", "online"),
    [({"Online": False}, True, False), ({}, False, False), ({}, True, True), (None, None, None)],
)
def test_the_exit_node_may_be_away(
    said: dict[str, Any] | None, of_peer: bool | None, online: bool | None
) -> None:
    peer = {**ACTIVE, "TailscaleIPs": ["100.64.0.5"], "ExitNode": said is not None, "Online": of_peer}
    fields = {"ExitNodeStatus": {**said, "TailscaleIPs": ["100.64.0.5/32"]}} if said else {}
    status = parse_status(tailscale(peer, **fields))
    assert (status.exit_online, status.exit_node) == (online, "" if said is None else "100.64.0.5")


def test_netbird_and_zerotier_tell_who_does_not_answer() -> None:
    away = {"fqdn": "bob.n", "status": "Disconnected", "connectionType": "-", "latency": 0}
    status = {"daemonVersion": "0.50.1", "daemonStatus": "Connected", "peers": {"details": [away]}}
    (peer,) = parse_status(encoded(status)).peers
    assert (peer.path, peer.answers) == ("unknown", False)
    unheard = {"address": "00000000bb", "role": "LEAF", "latency": -1, "version": "-1.-1.-1", "paths": []}
    once = {**unheard, "address": "00000000cc", "version": "1.14.2"}
    found = parse_status(encoded([unheard, once])).peers
    assert [(each.path, each.answers) for each in found] == [("unknown", False), ("relay", None)]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"UDP": true, "RegionLatency": {}}', "tailscale netcheck"),
        (b"\nReport:\n\t* UDP: true\n", "tailscale netcheck"),
        (b"2026/01/01 12:00:00 portmap: x\n\nReport:\n", "tailscale netcheck"),
        (b"pong from bob (100.64.0.2) via DERP(fra) in 30ms\n", "tailscale ping"),
        (b'{"Regions": {}}', "--derp-map"),
        (b'{"address": "a", "planetWorldId": 1}', "zerotier-cli info"),
        (b'[{"nwid": "a"}]', "zerotier-cli listnetworks"),
        (b"200 info 0000000001 1.14.2 ONLINE\n", "zerotier-cli peers -j"),
        (b"peers:\n    total: 2\n", "YAML.*netbird status --json"),
        (b'{"schema": "nattools.report/1"}', "a report"),
    ],
)
def test_what_else_these_programs_print_is_named(data: bytes, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        parse_status(data)
