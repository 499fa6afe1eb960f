"""A diagnosis finds out by itself that a server relays, and tries that if it has credentials."""

from __future__ import annotations

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.relaysearch import RelaySearch
from nattools.engine.run import measure
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec, TurnSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.observation import Gap
from nattools.model.report import Report, Technique
from nattools.model.serveruri import parse_server
from nattools.protocols.turn.credentials import LongTermCredentials

ALICE = LongTermCredentials("alice", "wonderland")
SITE = Scenario(
    title="relay",
    nat={"home": NatSpec()},
    host={"alice": HostSpec(behind="home", delay_ms=10)},
    server={
        "relay": ServerSpec(relay=TurnSpec(users={"alice": "wonderland"}, secret="secret")),
        "plain": ServerSpec(),
    },
)


def diagnosed(search: RelaySearch | None, *servers: str) -> Report:
    uris = tuple(map(parse_server, servers))
    with SimLab(SITE) as lab:
        options = MeasureOptions(command="diagnose", servers=uris, families=(4,), relays=search)
        return lab.run(lambda: measure(lab.network("alice"), options, lambda _: None))


def on_turn(report: Report) -> Technique:
    return next(each for each in report.techniques if each.id == "relay-turn")


@pytest.mark.parametrize("search", [RelaySearch(user=ALICE), RelaySearch(secret="secret")])
def test_a_server_says_that_it_relays_and_is_tried(search: RelaySearch) -> None:
    report = diagnosed(search, "stun:relay")
    assert on_turn(report).verdict == "works"
    assert {row.uri for row in report.relays} == {"turn:relay:3478"}


def test_one_that_is_named_as_a_relay_is_tried_once() -> None:
    named = (parse_server("turn:relay"),)
    report = diagnosed(RelaySearch(user=ALICE, turn=named), "turn:relay")
    assert [(row.uri, row.transport) for row in report.relays] == [
        ("turn:relay", "udp"),
        ("turn:relay", "tcp"),
    ]


@pytest.mark.parametrize("search", [RelaySearch(), None])
def test_without_credentials_it_is_unknown_and_what_would_settle_it(search: RelaySearch | None) -> None:
    told = on_turn(diagnosed(search, "stun:relay"))
    assert told.verdict == "unknown"
    assert "--turn-user NAME:PASSWORD" in told.advice


def test_a_server_without_a_relay_is_no_relay() -> None:
    report = diagnosed(RelaySearch(user=ALICE), "stun:plain")
    assert report.relays == ()
    assert on_turn(report).verdict == "unknown"


def test_peers_that_need_a_relay_are_told_what_it_costs() -> None:
    blocked = Scenario(
        title="blocked",
        nat={"home": NatSpec(udp="blocked", open_ports=("tcp/3478",))},
        host={"alice": HostSpec(behind="home", delay_ms=10)},
        server=SITE.server,
    )
    with SimLab(blocked) as lab:
        options = MeasureOptions(
            command="diagnose",
            servers=(parse_server("stun:relay"),),
            families=(4,),
            relays=RelaySearch(user=ALICE),
        )
        report = lab.run(lambda: measure(lab.network("alice"), options, lambda _: None))
    assert on_turn(report).verdict == "works"
    assert report.peers
    assert all(19 < (peer.relay_rtt_ms or 0) < 30 for peer in report.peers if peer.path == "relay")
    assert any(peer.path == "relay" for peer in report.peers)
    assert report.advice is not None
    assert "turn:relay:3478 over TCP" in report.advice.best


def test_a_map_that_cannot_be_had_is_a_gap_and_costs_no_verdict() -> None:
    report = diagnosed(RelaySearch(public_map=True, far_only=True), "stun:plain")
    gaps = [seen for seen in report.observations if isinstance(seen, Gap) and seen.probe == "relay"]
    assert len(gaps) == 1
    assert "controlplane.tailscale.com" in gaps[0].question
    derp = next(each for each in report.techniques if each.id == "relay-derp")
    assert (derp.verdict, report.relays) == ("unknown", ())
