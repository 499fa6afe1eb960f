"""Techniques, the table of peers, and the first lines."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from synthetic_nats import A1P1, A1P2, PUBLIC_HOST, World, dial_back, measurement

from nattools.engine.analyse import analyse
from nattools.engine.analysis.verdicts.peerkinds import peer_kinds
from nattools.model.host import Host, Interface
from nattools.model.nat import Nat
from nattools.model.report import TECHNIQUE_IDS, Report, Server, Technique
from nattools.net.addresses import is_public
from nattools.traversal.plan.odds import odds
from nattools.traversal.plan.side import KINDS
from nattools.wording import text_of

EIM, ADM, APDM = "endpoint-independent", "address-dependent", "address-and-port-dependent"


def report_of(*more: Any, **setting: Any) -> Report:
    world = World(**setting).measure()
    return analyse(measurement((*world.seen, *more), host=world.host), is_public=is_public)


def verdict(report: Report, name: str) -> Technique:
    return next(technique for technique in report.techniques if technique.id == name)


def test_every_technique_has_a_verdict_with_a_reason() -> None:
    report = report_of()
    assert tuple(technique.id for technique in report.techniques) == TECHNIQUE_IDS
    assert all(technique.summary for technique in report.techniques)
    assert all(technique.advice for technique in report.techniques if technique.verdict == "skipped")


@pytest.mark.parametrize(
    ("setting", "backs", "expected", "words"),
    [
        ({"nat": False, "filtering": EIM}, ["arrived"], "works", "unsolicited packets arrive"),
        ({"nat": False, "filtering": EIM}, [], "works", "TCP was not tested"),
        ({"nat": False, "filtering": EIM}, ["refused"], "works", "TCP is filtered"),
        ({"nat": False}, ["refused"], "fails", "firewall drops unsolicited UDP and TCP"),
        ({"nat": False}, [], "fails", "firewall drops unsolicited UDP"),
        ({}, [], "fails", "10.0.1.2 is a private address; from outside you are 11.1.0.2"),
    ],
)
def test_direct_ipv4(setting: dict[str, Any], backs: list[str], expected: str, words: str) -> None:
    made = [
        msgspec.structs.replace(dial_back("tcp", outcome, change_address=change), id=900 + change)
        for outcome in backs
        for change in (True, False)
    ]
    found = verdict(report_of(*made, **setting), "direct-ipv4")
    assert found.verdict == expected
    assert words in found.summary


def test_direct_without_any_proof_is_unknown_or_fails() -> None:
    empty = analyse(measurement((), host=PUBLIC_HOST), is_public=is_public)
    assert verdict(empty, "direct-ipv4").verdict == "unknown"
    assert "nattools serve" in verdict(empty, "direct-ipv4").summary
    assert verdict(empty, "direct-ipv6").summary == "This machine has no IPv6 address."
    private = Host(os="x", interfaces=(Interface(name="e", addresses=("192.168.1.2", "fe80::1", "fd00::1")),))
    shut_in = analyse(measurement((), host=private), is_public=is_public)
    assert verdict(shut_in, "direct-ipv4").verdict == "fails"
    assert verdict(shut_in, "direct-ipv6").verdict == "fails"


@pytest.mark.parametrize(
    ("setting", "expected", "words"),
    [
        ({}, "works", "one port for all peers"),
        ({"nat": False}, "works", "no NAT"),
        (
            {"mapping": APDM, "allocation": "random"},
            "works",
            "random port for each peer: it works only",
        ),
        ({"mapping": APDM, "allocation": "sequential", "step": 2}, "works", "steps of 2"),
        ({"mapping": APDM, "allocation": "block"}, "works", "block of 512"),
    ],
)
def test_udp_punch(setting: dict[str, Any], expected: str, words: str) -> None:
    found = verdict(report_of(**setting), "udp-punch")
    assert found.verdict == expected
    assert words in found.summary


def test_a_harder_nat_gives_less_confidence() -> None:
    order = [
        {"filtering": EIM},
        {},
        {"mapping": APDM, "allocation": "sequential"},
        {"mapping": APDM, "allocation": "random"},
    ]
    confidences = [verdict(report_of(**setting), "udp-punch").confidence for setting in order]
    assert confidences == sorted(confidences, reverse=True)
    assert len(set(confidences)) == len(confidences)


def test_odds_are_the_known_ones() -> None:
    known = {174: 0.50, 256: 0.64, 1024: 0.9835, 1750: 0.999, 2048: 0.9997}
    for probes, chance in known.items():
        assert odds(256, probes, 64512) == pytest.approx(chance, abs=0.005)
    assert odds(256, 1024, 64512) == pytest.approx(0.9835, abs=0.0002)
    assert odds(1, 512, 512) == pytest.approx(1.0)
    assert odds(0, 100, 512) == pytest.approx(0.0)


ROWS: dict[str, tuple[Nat, dict[str, str]]] = {
    "port-restricted": (
        Nat(reachable=True, present=True, mapping=EIM, filtering=APDM, port_allocation="preserving"),
        {"symmetric random": "birthday", "symmetric sequential": "prediction", "full cone": "reflexive"},
    ),
    "full cone": (
        Nat(reachable=True, present=True, mapping=EIM, filtering=EIM),
        {"symmetric random": "reflexive", "symmetric block": "reflexive", "open internet": "host"},
    ),
    "random": (
        Nat(reachable=True, present=True, mapping=APDM, filtering=APDM, port_allocation="random"),
        {
            "open internet": "host",
            "address-restricted": "reflexive",
            "port-restricted": "birthday",
            "firewall": "birthday",
            "symmetric random": "relay",
            "symmetric sequential": "relay",
        },
    ),
    "sequential": (
        Nat(reachable=True, present=True, mapping=APDM, filtering=APDM, port_allocation="sequential"),
        {"symmetric sequential": "prediction", "firewall": "prediction", "symmetric random": "relay"},
    ),
    "block": (
        Nat(
            reachable=True,
            present=True,
            mapping=APDM,
            filtering=APDM,
            port_allocation="random",
            port_block=True,
            port_range=(2048, 2559),
        ),
        {"symmetric block": "birthday", "firewall": "birthday", "symmetric random": "relay"},
    ),
    "varies, allocation unknown": (
        Nat(reachable=True, present=True, classic="symmetric"),
        {"open internet": "host", "full cone": "reflexive", "firewall": "", "symmetric random": ""},
    ),
}


@pytest.mark.parametrize("own", ROWS)
def test_peers(own: str) -> None:
    nat, expected = ROWS[own]
    table = {row.kind: row for row in peer_kinds(nat, None)}
    assert list(table) == list(KINDS)
    assert {kind: table[kind].strategy for kind in expected} == expected
    assert all(row.why or row.reason for row in table.values())
    assert all((row.path == "relay") == (row.strategy == "relay") for row in table.values())
    assert all((row.path == "unknown") == (row.strategy == "") for row in table.values())


def test_peers_of_an_unknown_nat_are_unknown() -> None:
    assert {row.path for row in peer_kinds(None, None)} == {"unknown"}
    assert {row.path for row in peer_kinds(Nat(reachable=True), None)} == {"unknown"}


def test_peers_where_udp_is_blocked() -> None:
    blocked = Nat(reachable=False)
    tcp = Nat(reachable=True, present=True, mapping=EIM, filtering=APDM)
    table = {row.kind: row for row in peer_kinds(blocked, tcp)}
    assert table["open internet"].strategy == "host"
    assert table["port-restricted"].strategy == "simultaneous-open"
    assert (table["symmetric random"].strategy, table["symmetric random"].odds) == (
        "simultaneous-open",
        0.9941,
    )
    assert {row.path for row in peer_kinds(blocked, None)} == {"relay"}


def test_the_first_lines() -> None:
    home = report_of().advice
    assert home is not None
    assert home.reachable == "by punching"
    assert "8 of 9" in home.best
    server = report_of(nat=False, filtering=EIM).advice
    assert server is not None
    assert (server.reachable, server.best.split(":")[0]) == ("directly", "Direct IPv4")


def test_requirements_are_listed_one_by_one() -> None:
    report = report_of()
    numbers = [(r.rfc, r.number) for r in report.requirements]
    assert numbers[:24] == [(4787, f"REQ-{n}") for n in range(1, 15)] + [
        (5382, f"REQ-{n}") for n in range(1, 11)
    ]
    status = {(r.rfc, r.number): r.status for r in report.requirements}
    assert status[4787, "REQ-1"] == "met"
    assert status[4787, "REQ-2"] == "met"
    assert status[4787, "REQ-4"] == "met"
    assert status[4787, "REQ-8"] == "not met"
    assert status[4787, "REQ-9"] == "not met"
    assert all(r.why for r in report.requirements)
    assert {r.status for r in report_of(nat=False).requirements} == {"untested"}


def test_evidence_points_at_observations() -> None:
    report = report_of()
    ids = {observation.id for observation in report.observations}
    pointers = [technique.evidence for technique in report.techniques]
    pointers += [requirement.evidence for requirement in report.requirements]
    assert report.nat.udp4 is not None
    pointers += report.nat.udp4.evidence.values()
    assert all(set(evidence) <= ids for evidence in pointers)
    assert report.nat.udp4.evidence["mapping"]


def test_a_saved_report_can_be_analysed_again() -> None:
    report = report_of()
    read = msgspec.json.decode(msgspec.json.encode(report), type=Report)
    again = analyse(
        measurement(read.observations, host=read.host, duration_s=read.duration_s), is_public=is_public
    )
    assert again == report


def test_tcp_that_leaves_only_to_some_ports_connects_to_no_peer() -> None:
    tcp = Nat(reachable=True, present=True, mapping=EIM, open_ports=(443,), blocked_ports=(3478,))
    rows = peer_kinds(Nat(reachable=False), tcp)
    assert {row.path for row in rows} == {"relay"}
    assert "443" in text_of(rows[0].reason)


def test_nobody_is_sent_to_the_server_that_was_asked() -> None:
    world = World()
    local = world.fresh()
    for corner in (A1P1, A1P2):
        world.ask("mapping", local, corner)
    one = Server(uri="stun:mine", address="11.201.0.2", answered=True, nattools=True)
    report = analyse(world.measurement(servers=(one,)), is_public=is_public)
    assert report.advice is not None
    (line,) = [action for action in report.advice.to_do if "--server" in action]
    assert line.startswith(
        "To settle what is not known, ask a second server as well: nattools diagnose --server stun:mine"
    )


def test_what_a_command_did_not_try_is_not_blamed_on_the_server() -> None:
    world = World()
    tcp = msgspec.structs.replace(world.binding("reach", world.fresh(), A1P1), transport="tcp")
    report = analyse(measurement((tcp,)), is_public=is_public)
    reasons = {each.number: each.why for each in report.requirements if each.rfc == 5382}
    assert "nattools diagnose tries it" in " ".join(reasons.values())
