"""Why a peer is not reached where the reason is no network: it never answered, nobody relays, an exit node is
away; and what is said of relays where none works."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tailnets import findings_of

from nattools.engine.analysis.overlays import tailscalepaths
from nattools.engine.analysis.overlays.overlaypeers import explained
from nattools.engine.analysis.overlays.overlaystates import own_state
from nattools.engine.analysis.overlays.tailscalepaths import ways_with_kinds
from nattools.model.host import Host, Interface, Way
from nattools.model.nat import NAT_KINDS
from nattools.model.overlay import OverlayPeer, OverlayProgram, OverlayStatus
from nattools.model.relay import Relay
from nattools.model.tailscale import TailnetPeer

HOME = Host(
    os="Linux",
    interfaces=(Interface(name="eth0", kind="ethernet", addresses=("192.168.1.5",)),),
    ways=(Way(family=4, interface="eth0", source="192.168.1.5", gateway="192.168.1.1"),),
)
NAT = NAT_KINDS["port-restricted"]
RELAYED = OverlayPeer(name="bob", online=True, active=True, path="relay", relay="fra")


class Behind:
    """Findings of a machine behind a port-restricted NAT, with those relays."""

    main = 4

    def __init__(self, *relays: Relay) -> None:
        self._inner = findings_of(host=HOME)
        self.relays = relays

    def nat(self, transport: str, family: int):  # type: ignore[no-untyped-def]
        return NAT if (transport, family) == ("udp", 4) else None

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return getattr(self._inner, name)


def told(peer: OverlayPeer, program: OverlayProgram = "tailscale", **fields: str) -> TailnetPeer:
    own = OverlayStatus(program=program, peers=(peer,), **fields)  # type: ignore[arg-type]
    return explained(Behind(), ways_with_kinds(NAT), own, peer)  # type: ignore[arg-type]


def codes(found: TailnetPeer) -> tuple[str, list[str], list[str]]:
    return found.now, [each.code for each in found.reason], [each.code for each in found.remedy]


def test_a_peer_that_never_answered_is_not_explained_by_its_network() -> None:
    assert codes(told(replace(RELAYED, handshake=False))) == (
        "doubtful",
        ["peer-never-answered"],
        ["look-at-peer"],
    )
    away = replace(RELAYED, path="unknown", answers=False)
    assert codes(told(away, "netbird")) == ("unknown", ["peer-unheard"], [])


def test_without_roots_nobody_relays_for_zerotier() -> None:
    found = told(replace(RELAYED, relay=""), "zerotier", state="no root answers")
    assert codes(found) == ("failed", ["peer-without-roots"], [])
    found = told(replace(RELAYED, relay=""), "zerotier", state="online")
    assert codes(found)[1] == ["peer-relayed", "relayed-or-idle", "one-of-these-left"]


def test_a_relayed_peer_of_a_swarm_may_still_be_upgraded() -> None:
    found = codes(told(RELAYED, "ipfs"))
    assert found == ("relayed", ["peer-relayed-by", "swarm-not-upgraded"], ["open-port-of-program"])


@pytest.mark.parametrize(
    ("program", "near", "there"),
    [
        ("tailscale", "look-at-lan", "measure-at-peer"),
        ("netbird", "look-at-lan-port", "measure-nat-at-peer"),
        ("webrtc", "look-at-lan-alone", "measure-nat-at-peer"),
    ],
)
def test_what_to_do_is_said_in_the_programs_own_terms(program: OverlayProgram, near: str, there: str) -> None:
    assert codes(told(replace(RELAYED, endpoints=("192.168.1.9:1",)), program))[2] == [near]
    assert codes(told(RELAYED, program))[2][0] == there


def test_an_exit_node_that_is_away_is_named_by_its_name() -> None:
    peer = replace(RELAYED, addresses=("100.64.0.5",))
    own = OverlayStatus(program="tailscale", state="Running", exit_node="100.64.0.5", peers=(peer,))
    reason, remedy = own_state(replace(own, exit_online=False))
    assert [(each.code, each.values.get("name")) for each in reason] == [("client-exit-away", "bob")]
    assert [each.code for each in remedy] == ["client-leave-exit"]
    assert own_state(replace(own, exit_online=True)) == ((), ())
    assert own_state(own) == ((), ())


def test_a_status_without_peers_says_so_and_a_complaint_ends_once() -> None:
    (empty,), _ = own_state(OverlayStatus(program="webrtc"))
    assert empty.code == "client-without-peers"
    own = OverlayStatus(program="tailscale", peers=(RELAYED,), problems=("no DNS.", " . "))
    (said,), _ = own_state(own)
    assert said.values["text"] == "no DNS"


@pytest.mark.parametrize(
    ("works", "rtt_ms", "way"), [(False, None, "unknown"), (False, 20.0, "relay"), (True, 20.0, "relay")]
)
def test_nothing_is_called_relayed_where_no_relay_is_reached(
    works: bool, rtt_ms: float | None, way: str
) -> None:
    relay = Relay(kind="derp", uri="derp://derp", transport="tls", works=works, direct_rtt_ms=rtt_ms)
    ways = tailscalepaths.direct_with(Behind(relay))  # type: ignore[arg-type]
    assert (ways["udp blocked"], ways["symmetric random"], ways["open internet"]) == (way, way, "direct")
    assert tailscalepaths.direct_with(Behind())["udp blocked"] == "relay"  # type: ignore[arg-type]
