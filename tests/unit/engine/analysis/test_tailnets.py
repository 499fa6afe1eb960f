"""Why peers are relayed, and what several tailnets on one machine both claim."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from statements import check_statements
from tailnets import findings_of, report_of

from nattools.engine.analysis.libp2p.announcementchecks import announces
from nattools.engine.analysis.overlays.overlaypeers import explained
from nattools.engine.analysis.overlays.overlaystates import own_state
from nattools.engine.analysis.overlays.tailnetclashes import JoinedTailnet, conflicts, overlaps
from nattools.engine.analysis.overlays.tailscalepaths import ways_with_kinds
from nattools.model.host import Host, Interface, Way
from nattools.model.nat import NAT_KINDS, Nat
from nattools.model.overlay import OverlayPath, OverlayPeer, OverlayProgram, OverlayStatus
from nattools.model.tailnetseen import (
    ChallengeTrial,
    ControlStep,
    ControlTrial,
    ListedRegion,
    RegionTrial,
    TailnetAsked,
    TailnetStatus,
)
from nattools.protocols.overlays import parse_status

SAMPLES = Path(__file__).parents[3] / "vectors" / "overlays"
HOME = Host(
    os="Linux",
    interfaces=(Interface(name="eth0", kind="ethernet", addresses=("192.168.1.5",)),),
    ways=(Way(family=4, interface="eth0", source="192.168.1.5", gateway="192.168.1.1"),),
)
ME = OverlayStatus(program="tailscale", name="home", addresses=("100.64.0.1",), relay="fra")


class Behind:
    """Findings of a machine behind a NAT of that kind."""

    def __init__(self, nat: Nat | None, main: int = 4) -> None:
        self._inner = findings_of(host=HOME)
        self._nat = nat
        self.main = main

    def nat(self, transport: str, family: int) -> Nat | None:
        return self._nat if (transport, family) == ("udp", self.main) else None

    def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
        return getattr(self._inner, name)


def codes(nat: Nat | None, peer: OverlayPeer, own: OverlayStatus = ME) -> list[str]:
    found = explained(Behind(nat), ways_with_kinds(nat), own, peer)  # type: ignore[arg-type]
    return [each.code for each in found.reason]


RELAYED = OverlayPeer(name="bob", online=True, active=True, path="relay", relay="fra")
EASY, HARD, OPEN = NAT_KINDS["port-restricted"], NAT_KINDS["symmetric random"], NAT_KINDS["full cone"]
TWO_PORTS = ("11.3.0.2:2001", "11.3.0.2:2002")


@pytest.mark.parametrize(
    ("nat", "peer", "said"),
    [
        (EASY, replace(RELAYED, path="direct", endpoint="11.2.0.2:1"), ["peer-is-direct"]),
        (EASY, replace(RELAYED, expired=True), ["peer-expired"]),
        (EASY, replace(RELAYED, online=False), ["peer-offline"]),
        (EASY, replace(RELAYED, path="none"), ["peer-idle"]),
        (EASY, replace(RELAYED, path="peer-relay"), ["peer-by-peer-relay"]),
        (EASY, replace(RELAYED, path="trying"), ["peer-trying"]),
        (EASY, replace(RELAYED, path="failed"), ["peer-unreached", "one-of-these-left"]),
        (EASY, replace(RELAYED, handshake=False, path="direct"), ["peer-without-handshake"]),
        (EASY, replace(RELAYED, relay="nyc"), ["peer-relayed-by-its", "one-of-these-left"]),
        (EASY, replace(RELAYED, endpoints=TWO_PORTS), ["peer-relayed-by", "peer-moves"]),
        (HARD, replace(RELAYED, endpoints=TWO_PORTS), ["peer-relayed-by", "both-move"]),
        (HARD, RELAYED, ["peer-relayed-by", "own-moves"]),
        (OPEN, RELAYED, ["peer-relayed-by", "only-blocked-left"]),
        (NAT_KINDS["udp blocked"], RELAYED, ["peer-relayed-by", "own-udp-blocked"]),
        (None, RELAYED, ["peer-relayed-by", "own-network-unknown"]),
        (EASY, replace(RELAYED, endpoints=("192.168.1.9:41641",)), ["peer-relayed-by", "peer-near"]),
        (EASY, replace(RELAYED, endpoints=("192.168.2.9:41641",)), ["peer-relayed-by", "one-of-these-left"]),
    ],
)
def test_each_peer_has_its_reason(nat: Nat | None, peer: OverlayPeer, said: list[str]) -> None:
    assert codes(nat, peer) == said


WITHIN = OverlayPeer(name="router", path="direct", endpoint="11.2.0.2:1", routes=("10.7.0.0/24",))


@pytest.mark.parametrize(
    ("endpoint", "now", "code"),
    [
        ("10.7.0.3:41641", "doubtful", "peer-direct-within"),
        ("10.8.0.3:41641", "direct", "peer-is-direct"),
        ("192.168.1.9:41641", "direct", "peer-is-direct"),
    ],
)
def test_a_path_within_another_peers_tunnel_is_not_called_direct(endpoint: str, now: str, code: str) -> None:
    peer = OverlayPeer(name="six", path="direct", endpoint=endpoint)
    near = replace(WITHIN, routes=(*WITHIN.routes, "192.168.1.0/24"))
    own = replace(ME, peers=(near, peer))
    found = explained(Behind(EASY), ways_with_kinds(EASY), own, peer)  # type: ignore[arg-type]
    assert (found.now, [each.code for each in found.reason]) == (now, [code])
    assert found.direct is (True if now == "direct" else None)


def test_a_browser_that_was_told_to_relay_is_not_explained_by_its_network() -> None:
    browser = OverlayStatus(program="webrtc")
    told = replace(RELAYED, relay="", relayed_alone=True)
    assert codes(HARD, told, browser) == ["peer-relayed", "webrtc-relays-alone"]
    assert codes(HARD, replace(RELAYED, path="failed"), browser) == ["webrtc-failed"]


@pytest.mark.parametrize(
    ("program", "state", "said", "down"),
    [
        ("tailscale", "Running", [], False),
        ("tailscale", "Stopped", ["client-stopped"], True),
        ("tailscale", "NeedsLogin", ["client-logged-out"], True),
        ("tailscale", "NeedsMachineAuth", ["client-unapproved"], True),
        ("netbird", "Connected", [], False),
        ("netbird", "NeedsLogin", ["client-logged-out"], True),
        ("netbird", "Disconnected", ["client-without-management"], False),
        ("zerotier", "no root answers", ["client-without-roots"], False),
        ("kubo", "private", [], False),
    ],
)
def test_a_program_that_does_not_run_is_named_before_any_network(
    program: OverlayProgram, state: str, said: list[str], down: bool
) -> None:
    own = OverlayStatus(program=program, name="mine", state=state, peers=(RELAYED,))
    seen = (
        TailnetAsked(probe="tailnets", number=1, name="mine"),
        TailnetStatus(probe="tailnets", number=1, source="-", status=own),
    )
    report = report_of(*seen, host=HOME)
    check_statements(report)
    found = report.tailscale
    assert found is not None
    (tailnet,) = found.tailnets
    assert [each.code for each in tailnet.reason if each.code.startswith("client-")] == said
    assert ("client-down" in [each.code for each in found.reason]) is down
    if program != "kubo":
        first = tailnet.peers[0].reason[0].code
        assert (first == "peer-client-down") is down


def test_what_a_program_complains_of_is_told() -> None:
    own = replace(ME, state="Running", peers=(RELAYED,), problems=("no DERP home", "two", "three", "four"))
    reason, remedy = own_state(own)
    assert [each.code for each in reason] == ["client-complains"] * 3
    assert remedy == ()


@pytest.mark.parametrize("main", [4, 6])
@pytest.mark.parametrize(
    ("kind", "helps"), [("firewall", "ts-open-port"), ("port-restricted", "ts-map-port")]
)
def test_what_helps_here_follows_from_the_family_that_counts(main: int, kind: str, helps: str) -> None:
    nat = NAT_KINDS[kind]
    found = explained(Behind(nat, main), ways_with_kinds(nat), ME, RELAYED)  # type: ignore[arg-type]
    assert helps in [each.code for each in found.remedy]


def test_autonat_is_not_believed_where_the_nat_lets_in_addresses_that_were_written_to() -> None:
    kubo = OverlayStatus(program="kubo")
    address = OverlayPeer(name="/ip4/11.1.0.2/udp/4001/quic-v1", reachable=True)
    assert codes(NAT_KINDS["address-restricted"], address, kubo) == ["address-doubtful"]
    assert codes(OPEN, address, kubo) == ["address-reachable"]
    assert codes(EASY, replace(address, reachable=False), kubo) == ["address-unreachable"]
    assert codes(EASY, replace(address, reachable=None), kubo) == ["address-untested"]


SEEN = replace(EASY, external=("11.1.0.2",))


@pytest.mark.parametrize(
    ("endpoint", "path", "code"),
    [
        ("127.0.0.1:4001", "unknown", "announced-here"),
        ("192.168.1.5:4001", "unknown", "announced-inside"),
        ("11.1.0.2:24001", "unknown", "announced-own"),
        ("11.9.0.2:4001", "unknown", "announced-elsewhere"),
        ("[2a10:9::2]:4001", "unknown", "announced-unchecked"),
        ("", "unknown", "announced-name"),
        ("", "relay", "address-of-relay"),
    ],
)
def test_what_a_node_announces_is_held_against_what_others_see(
    endpoint: str, path: OverlayPath, code: str
) -> None:
    address = OverlayPeer(name="/x", endpoint=endpoint, path=path, announced=True)
    for program in ("kubo", "libp2p"):
        assert codes(SEEN, address, OverlayStatus(program=program)) == [code]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("endpoints", "path", "said"),
    [
        (("127.0.0.1:1", "10.0.0.5:1"), "unknown", True),
        (("10.0.0.5:1", "11.1.0.2:1"), "unknown", False),
        (("10.0.0.5:1",), "relay", False),
        (("10.0.0.5:1", ""), "unknown", False),
        ((), "unknown", False),
    ],
)
def test_a_node_that_tells_nobody_outside_where_it_is_is_named(
    endpoints: tuple[str, ...], path: OverlayPath, said: bool
) -> None:
    told = tuple(OverlayPeer(name="/x", endpoint=each, path=path, announced=True) for each in endpoints)
    reason, remedy = announces(OverlayStatus(program="libp2p", peers=told))
    assert [each.code for each in reason] == ["announces-nothing-outside"] * said
    assert [each.code for each in remedy] == ["announce-outside"] * said


def joined(name: str, **more: object) -> JoinedTailnet:
    return JoinedTailnet(name, OverlayStatus(program="tailscale", name=name, **more))  # type: ignore[arg-type]


def peer(*addresses: str, routes: tuple[str, ...] = ()) -> OverlayPeer:
    return OverlayPeer(name="p", addresses=addresses, routes=routes)


def test_addresses_that_two_tailnets_have_both_are_named() -> None:
    one = joined("one", addresses=("100.64.0.1",), peers=(peer("100.64.0.7"),))
    same = joined("two", addresses=("100.64.0.2",), peers=(peer("100.64.0.7"),))
    range_ = joined("three", addresses=("100.64.0.3",))
    elsewhere = joined("four", addresses=("10.99.0.1",))
    found = overlaps(findings_of(host=HOME), (one, same))
    assert [(each.kind, each.tailnets, each.addresses) for each in found] == [
        ("addresses", ("one", "two"), ("100.64.0.7",))
    ]
    (shared,) = overlaps(findings_of(host=HOME), (one, range_))
    assert (shared.addresses, shared.reason[0].code) == (("100.64.0.0/10",), "clash-range")
    assert overlaps(findings_of(host=HOME), (one, elsewhere)) == ()
    assert overlaps(findings_of(host=HOME), (one,)) == ()


def test_routes_that_overlap_are_named_by_the_narrower_one() -> None:
    one = joined("one", addresses=("10.1.0.1",), peers=(peer(routes=("10.8.0.0/16", "192.168.0.0/16")),))
    two = joined("two", addresses=("10.2.0.1",), peers=(peer(routes=("10.8.3.0/24", "10.9.0.0/24")),))
    found = overlaps(findings_of(host=HOME), (one, two))
    assert [(each.reason[0].code, each.addresses) for each in found] == [
        ("clash-routes-within", ("10.8.3.0/24",)),
        ("clash-local", ("192.168.0.0/16",)),
    ]


def test_very_many_routes_are_compared_at_once() -> None:
    many = [f"{network}.{place >> 8}.{place & 255}.0/24" for network in (10, 11) for place in range(1 << 15)]
    ours, theirs = (tuple(f"{prefix}{each}" for each in many) for prefix in ("1", "2"))
    one = joined("one", addresses=("10.1.0.1",), peers=(peer(routes=(*ours, "10.8.0.0/16", "2a10::/16")),))
    two = joined(
        "two", addresses=("10.2.0.1",), peers=(peer(routes=("10.8.0.0/15", *theirs, "2a10:1::/32")),)
    )
    found = overlaps(findings_of(host=Host(os="Linux")), (one, two))
    assert [each.addresses for each in found] == [("10.8.0.0/16",), ("2a10:1::/32",)]


def test_a_providers_network_of_the_same_range_is_named() -> None:
    host = Host(os="Linux", interfaces=(Interface(name="wwan0", kind="wireless", addresses=("100.90.1.2",)),))
    (clash,) = overlaps(findings_of(host=host), (joined("one", addresses=("100.64.0.1",)),))
    assert (clash.reason[0].code, clash.addresses) == ("clash-carrier", ("100.90.1.2",))
    own = joined("one", addresses=("100.90.1.2",))
    assert overlaps(findings_of(host=host), (own,)) == ()


def test_a_port_rules_and_the_default_route_that_two_want_are_named() -> None:
    one = joined("one", endpoints=("192.168.1.5:41641",), kernel=True, exit_node="100.64.0.9")
    two = joined("two", endpoints=("192.168.1.5:41641",), kernel=True, exit_node="100.64.0.8")
    found = conflicts(findings_of(host=HOME), (one, two))
    assert [each.reason[0].code for each in found] == ["clash-port", "clash-rules", "clash-exit-nodes"]
    apart = joined("two", endpoints=("192.168.1.5:41642",), kernel=False)
    (owner,) = conflicts(findings_of(host=HOME), (one, apart))
    assert owner.reason[0].values == {"owner": "one", "others": ("two",)}
    assert conflicts(findings_of(host=HOME), (one,)) == ()


def test_who_has_the_default_route_is_told_by_the_route() -> None:
    host = replace(HOME, ways=(Way(family=4, interface="tailscale0", source="100.64.0.2"),))
    one = joined("one", addresses=("100.64.0.1",), exit_node="a")
    two = joined("two", addresses=("100.64.0.2",), exit_node="b")
    clash = conflicts(findings_of(host=host), (one, two))[0]
    assert clash.reason[0].values == {"owner": "two"}


def test_every_statement_of_a_report_has_its_sentence() -> None:
    files = ("tailscale-status.json", "netbird-status.json", "kubo-autonat.txt", "zerotier-peers.json")
    regions = (ListedRegion(id=1, code="nyc"), ListedRegion(id=4, code="fra"))
    seen = []
    for number, name in enumerate(files, 1):
        status = parse_status((SAMPLES / name).read_bytes())
        seen += [
            TailnetAsked(number=number, name=name, control="https://c", regions=regions, problem="gone"),
            TailnetStatus(number=number, source=name, status=status),
        ]
    causes = ("unresolved", "timeout", "refused", "unreachable", "prohibited", "closed", "not-tls")
    more = ("certificate", "captive-portal", "error", "not-a-control", None)
    for number, cause in enumerate((*causes, *more), 10):
        step = ControlStep(step="key", ok=cause is None)
        seen += [
            TailnetAsked(number=number, name=f"n{number}", control="https://c"),
            ControlTrial(
                number=number, url="https://c", steps=(step,), cause=cause, issuer="Proxy", upgrade=False
            ),
        ]
    seen += [
        RegionTrial(number=1, region=1, family=4, by="stun", sent=1, latency_s=0.1, mapped=("11.1.0.2:1",)),
        RegionTrial(number=2, region=4, family=4, by="https", sent=1, latency_s=0.1),
        ChallengeTrial(number=2, uri="derp://fra", met=True),
    ]
    report = report_of(*seen, host=HOME)
    check_statements(report)
    assert report.tailscale is not None
    assert [each.reachable for each in report.tailscale.tailnets[-2:]] == [False, True]
    assert report.tailscale.tailnets[0].home_region == "nyc"
