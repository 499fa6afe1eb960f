"""Hairpinning, lifetimes, the layers on the way, and what follows from them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from synthetic_nats import A1P1, CORNERS, HOST, World, hop, idle, measurement, opener

from nattools.engine.analyse import analyse
from nattools.model.host import Gateway, Host, Interface
from nattools.model.nat import Nat
from nattools.model.observation import AnyObservation, Gap
from nattools.model.report import Report
from nattools.net.addresses import is_public

APDM = "address-and-port-dependent"


def with_more(*more: AnyObservation, world: World | None = None, **extra: Any) -> tuple[Report, Nat]:
    world = world or World().measure()
    made = measurement((*world.seen, *more), host=world.host, **extra)
    report = analyse(made, is_public=is_public)
    assert report.nat.udp4 is not None
    return report, report.nat.udp4


def row(report: Report, rfc: int, number: str) -> str:
    return next(r.status for r in report.requirements if r.rfc == rfc and r.number == number)


# --- hairpinning


def test_one_packet_proves_hairpinning_and_confidence_counts_tests() -> None:
    world = World(hairpinning=True).measure()
    world.hairpinning = False
    world.hairpin_test()
    _, nat = with_more(world=world)
    assert nat.hairpinning is True
    assert nat.hairpinning_confidence == 0.75


def test_a_filter_may_hide_hairpinning() -> None:
    _, nat = with_more(world=World(mapping=APDM, allocation="random").measure())
    assert nat.hairpinning is None
    assert "filter" in nat.unknowns["hairpinning"]


def test_one_way_silence_is_no_proof() -> None:
    world = World().measure()
    kept = [o for i, o in enumerate(world.seen) if type(o).__name__ != "Hairpin" or i % 2]
    made = measurement(tuple(kept), host=HOST)
    nat = analyse(made, is_public=is_public).nat.udp4
    assert nat is not None
    assert nat.hairpinning in (None, False)
    halves = [o for o in world.seen if type(o).__name__ == "Hairpin"][::2]
    others = [o for o in world.seen if type(o).__name__ != "Hairpin"]
    nat = analyse(measurement((*others, *halves), host=HOST), is_public=is_public).nat.udp4
    assert nat is not None
    assert nat.hairpinning is None


def test_without_a_nat_there_is_nothing_to_turn_back() -> None:
    _, nat = with_more(world=World(nat=False).measure())
    assert nat.hairpinning is None
    assert "no NAT" in nat.unknowns["hairpinning"]


# --- lifetime


@pytest.mark.parametrize(
    ("idles", "value", "bounds"),
    [
        ([idle(28.8, True), idle(31.2, False), idle(40.0, False)], 30.0, (28.8, 31.2)),
        ([idle(100.0, True)], None, (100.0, None)),
        ([idle(5.0, False), idle(10.0, False)], None, (None, 5.0)),
        ([idle(5.0, False, sent=1), idle(60.0, True)], None, (60.0, None)),
        ([idle(60.0, True), idle(90.0, False, sent=1)], None, (60.0, None)),
        ([idle(60.0, None)], None, None),
    ],
)
def test_lifetime(
    idles: list[AnyObservation], value: float | None, bounds: tuple[float | None, float | None] | None
) -> None:
    _, nat = with_more(*idles)
    assert nat.binding_lifetime_s == value
    assert nat.binding_lifetime_bounds_s == bounds
    assert (value is None) == ("binding_lifetime_s" in nat.unknowns)


def test_what_keeps_a_mapping() -> None:
    measured = (idle(28.8, True), idle(31.2, False))
    assert with_more(*measured, idle(33.0, True, "inbound"))[1].refreshed_by_inbound is True
    assert with_more(*measured, idle(33.0, False, "inbound"))[1].refreshed_by_inbound is False
    assert with_more(*measured, idle(33.0, False, "inbound", sent=1))[1].refreshed_by_inbound is None
    assert with_more(*measured, idle(20.0, True, "inbound"))[1].refreshed_by_inbound is None
    report, _ = with_more(*measured, idle(33.0, True, "outbound"))
    assert row(report, 4787, "REQ-6") == "met"
    assert row(report, 4787, "REQ-5") == "not met"
    assert row(with_more(idle(121.0, True))[0], 4787, "REQ-5") == "met"


def test_why_the_lifetime_is_not_known() -> None:
    gap = Gap(
        id=900, probe="lifetime", question="How long?", reason="It does not answer", settle="another server"
    )
    assert "another server" in with_more(gap)[1].unknowns["binding_lifetime_s"]
    assert "--lifetime" in with_more()[1].unknowns["binding_lifetime_s"]


# --- layers


def test_one_router_is_proven_by_a_packet_that_died_behind_it() -> None:
    report, nat = with_more(hop(1, "10.0.1.1"), hop(2, "11.1.0.1"), opener(2, True))
    assert (nat.distance_hops, nat.double_nat, nat.cgnat) == (1, False, False)
    assert [layer.role for layer in nat.layers] == ["nat", "internet"]
    assert row(report, 5508, "REQ-4") == "met"


def test_a_carrier_grade_nat_behind_a_home_router() -> None:
    hops = (hop(1, "10.0.1.1"), hop(2, "100.64.0.1"), hop(3, "11.1.0.1"))
    report, nat = with_more(*hops, opener(2, False), opener(3, True))
    assert (nat.distance_hops, nat.double_nat, nat.cgnat) == (2, True, True)
    assert [layer.role for layer in nat.layers] == ["nat", "carrier-nat", "internet"]
    assert report.techniques[0].id == "direct-ipv4"
    assert "provider" in report.techniques[0].advice


def test_two_home_routers() -> None:
    report, nat = with_more(hop(1, "10.0.1.1"), hop(2, "192.168.0.1"), hop(3, "11.1.0.1"), opener(3, True))
    assert (nat.distance_hops, nat.double_nat, nat.cgnat) == (2, True, None)
    assert report.advice is not None
    assert any("bridge mode" in line for line in report.advice.to_do)


@pytest.mark.parametrize("unnamed", ["255.0.0.1", "192.0.0.8"])
def test_behind_a_phone_whose_network_has_only_ipv6(unnamed: str) -> None:
    """Its translator makes up an address for routers that have no IPv4: it is that of no network."""
    hops = (hop(1, "10.0.1.1"), hop(2, unnamed), hop(3, None), hop(4, "11.1.0.1"))
    _, nat = with_more(*hops, opener(3, False), opener(4, True))
    assert (nat.distance_hops, nat.double_nat, nat.cgnat) == (3, True, True)
    assert [layer.role for layer in nat.layers] == ["nat", "router", "carrier-nat", "internet"]


def test_hops_alone_do_not_prove_a_single_nat() -> None:
    _, nat = with_more(hop(1, "10.0.1.1"), hop(2, "11.7.0.1"))
    assert (nat.distance_hops, nat.double_nat, nat.cgnat) == (1, None, None)
    assert "TTL" in nat.unknowns["double_nat"]


def to_ourselves(address: str | None, sent: int = 12) -> AnyObservation:
    """What the next router said of packets to the outside address that expire there."""
    return msgspec.structs.replace(hop(1, address), destination="11.1.0.2:9", sent=sent)


@pytest.mark.parametrize("beyond", ["11.1.0.1", "10.9.9.9", "100.64.3.1", None])
def test_a_router_that_takes_what_is_for_the_outside_address_is_the_only_nat(beyond: str | None) -> None:
    """Whatever stands behind it: providers number their routers as they like."""
    world = World(filtering="endpoint-independent").measure()
    _, nat = with_more(hop(1, "10.0.1.1"), hop(2, beyond), to_ourselves(None), world=world)
    assert (nat.distance_hops, nat.double_nat, nat.cgnat) == (1, False, False)
    assert len(nat.layers) == 2


@pytest.mark.parametrize(
    "seen",
    [
        [hop(1, "10.0.1.1"), to_ourselves("10.0.1.1")],  # it expires there: somebody farther away has it
        [hop(1, "10.0.1.1"), to_ourselves(None, sent=2)],  # few copies may have been lost
        [hop(1, None), to_ourselves(None)],  # that router keeps silent of whatever expires
        [hop(1, "10.0.1.1")],  # a neighbour of our outside address may stand before the NAT as well
        [hop(1, "10.7.7.1"), to_ourselves(None)],  # somebody before it lowers no TTL
    ],
)
@pytest.mark.parametrize("varies", [False, True])
def test_what_does_not_prove_that_there_is_one_nat(seen: list[AnyObservation], varies: bool) -> None:
    kind = {"mapping": APDM, "allocation": "random"} if varies else {"filtering": "endpoint-independent"}
    world = World(**kind).measure()  # type: ignore[arg-type]
    _, nat = with_more(*seen, hop(2, "11.1.0.1"), world=world)
    assert (nat.double_nat, nat.cgnat) == (None, None)


def test_where_anybody_gets_in_openers_prove_nothing() -> None:
    world = World(filtering="endpoint-independent").measure()
    _, nat = with_more(hop(1, None), opener(2, True), world=world)
    assert (nat.distance_hops, nat.double_nat) == (None, None)


def test_a_shared_address_of_our_own() -> None:
    world = World()
    world.own = "100.64.0.5"
    local = world.fresh()
    for corner in CORNERS:
        world.ask("mapping", local, corner)
    _, nat = with_more(world=world)
    assert (nat.cgnat, nat.double_nat) == (True, None)


def test_without_a_nat_there_is_none_to_count() -> None:
    _, nat = with_more(hop(1, "11.101.0.1"), world=World(nat=False).measure())
    assert (nat.distance_hops, nat.double_nat, nat.cgnat) == (None, False, False)
    assert "distance_hops" not in nat.unknowns


# --- circumstances


def test_a_vpn_and_several_routes_are_pointed_out() -> None:
    host = Host(
        os="test",
        interfaces=(Interface(name="tun0", kind="vpn", addresses=("10.0.1.2",)),),
        gateways=(Gateway(interface="tun0", family=4), Gateway(interface="eth0", family=4)),
        measured_interface="tun0",
    )
    made = measurement((), host=host, timed_out=True)
    warnings = " ".join(analyse(made, is_public=is_public).warnings)
    assert "VPN" in warnings
    assert "tun0, eth0" in warnings
    assert "time given" in warnings


def test_the_round_trip_and_the_loss_are_reported() -> None:
    world = World()
    for _ in range(4):
        world.ask("control", world.fresh(), A1P1)
    _, nat = with_more(world=world)
    assert (nat.rtt_ms, nat.loss) == (20.0, 0.0)


def test_a_busy_machine_does_not_lengthen_the_round_trip() -> None:
    waited = iter([0.3, 0.25, 0.02, 0.4, 0.35])
    world = World(mangle=lambda binding: msgspec.structs.replace(binding, rtt_s=next(waited)))
    for _ in range(5):
        world.ask("control", world.fresh(), A1P1)
    _, nat = with_more(world=world)
    assert nat.rtt_ms == 20.0


def test_a_server_asked_once_at_its_other_address_is_no_other_server() -> None:
    waited = iter([0.02, 0.3, 0.25, 0.4])
    world = World(mangle=lambda binding: msgspec.structs.replace(binding, rtt_s=next(waited)))
    for address in CORNERS:
        world.ask("mapping", world.fresh(), address)
    _, nat = with_more(world=world)
    assert nat.rtt_ms == 20.0
