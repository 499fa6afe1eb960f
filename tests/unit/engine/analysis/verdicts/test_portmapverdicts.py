"""Verdicts on UPnP, NAT-PMP and PCP, and the rows of mappings, from observations alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nattools.engine.analyse import analyse
from nattools.model.host import Gateway, Host, Interface
from nattools.model.mappingseen import MapAttempt, MapCheck, MapEntry, MapOffer
from nattools.model.observation import AnyObservation, Binding, SecondOpinion
from nattools.model.portmapping import MappingProtocol, Refusal
from nattools.model.report import MapAction, Measurement, Report, Technique
from nattools.net.addresses import is_public
from nattools.report.sections.map import headline

OWN, OUTSIDE = "10.0.1.2:5000", "11.1.0.2:5000"
HOST = Host(
    os="test",
    interfaces=(Interface(name="eth0", addresses=("10.0.1.2",)),),
    gateways=(Gateway(interface="eth0", family=4, address="10.0.1.1"),),
)


def refusal(code: int, name: str = "NAME") -> Refusal:
    return Refusal(code=code, name=name, meaning="It does not want to.", advice="Ask it nicely.")


def offer(protocol: MappingProtocol = "upnp-igd", **more: Any) -> MapOffer:
    usual = {"family": 4, "interface": "eth0", "local": "10.0.1.2", "server": "x", "outcome": "answered"}
    return MapOffer(protocol=protocol, **{**usual, **more})


def attempt(protocol: MappingProtocol = "upnp-igd", **more: Any) -> MapAttempt:
    usual = {
        "action": "make", "transport": "udp", "family": 4, "internal": OWN, "outcome": "granted",
        "external": OUTSIDE, "lifetime_s": 120,
    }  # fmt: skip
    return MapAttempt(protocol=protocol, **{**usual, **more})


def check(outcome: str = "arrived", protocol: MappingProtocol = "upnp-igd", **more: Any) -> MapCheck:
    usual = {
        "transport": "udp", "family": 4, "internal": OWN, "external": OUTSIDE, "target": OUTSIDE,
        "origin": "11.201.0.3:3478", "outcome": outcome,
    }  # fmt: skip
    return MapCheck(protocol=protocol, **{**usual, **more})


def deleted(protocol: MappingProtocol = "upnp-igd", **more: Any) -> MapAttempt:
    return attempt(protocol, **{"action": "delete", "outcome": "deleted", "external": None, **more})


def stun(mapped: str = "11.1.0.2:40000") -> Binding:
    return Binding(
        purpose="reach", transport="udp", family=4, local="10.0.1.2:40000", asked="11.201.0.2:3478",
        outcome="answered", received=1, mapped=mapped, source="11.201.0.2:3478",
    )  # fmt: skip


def report(*seen: AnyObservation, action: MapAction | None = "probe", host: Host = HOST) -> Report:
    numbered = [msgspec.structs.replace(each, id=number) for number, each in enumerate(seen, start=1)]
    measurement = Measurement(
        command="map" if action else "diagnose",
        action=action,
        started="2026-01-01T00:00:00Z",
        duration_s=1.0,
        substrate="host",
        host=host,
        observations=tuple(numbered),
    )
    return analyse(measurement, is_public=is_public)


def verdict(*seen: AnyObservation, protocol: MappingProtocol = "upnp-igd", **more: Any) -> Technique:
    (found,) = (each for each in report(*seen, **more).techniques if each.id == protocol)
    return found


def test_proven_from_outside() -> None:
    found = verdict(offer(), attempt(), check(), deleted())
    assert (found.verdict, found.advice) == ("works", "")
    assert "verified from outside" in found.summary
    assert found.evidence == (1, 2, 3, 4)


def test_proven_over_one_transport_only() -> None:
    tcp = attempt(transport="tcp"), check("silent", transport="tcp")
    found = verdict(offer(), attempt(), check(), *tcp)
    assert found.verdict == "works"
    assert "Not over TCP" in found.summary


def test_the_router_said_yes_and_nobody_looked() -> None:
    found = verdict(offer(), attempt(), deleted())
    assert (found.verdict, found.confidence) == ("unknown", 0.0)
    assert "nobody tested it" in found.summary
    assert "--server" in found.summary


@pytest.mark.parametrize("outcome", ["denied", "error"])
def test_a_check_that_failed_proves_nothing(outcome: str) -> None:
    assert verdict(offer(), attempt(), check(outcome)).verdict == "unknown"


@pytest.mark.parametrize("outcome", ["silent", "refused", "unreachable"])
def test_the_router_said_yes_and_it_was_not_true(outcome: str) -> None:
    found = verdict(offer(), attempt(), check(outcome), stun())
    assert found.verdict == "fails"
    assert "nothing arrives" in found.summary
    assert "firewall" in found.advice


def test_a_carriers_nat_beyond_the_router() -> None:
    seen = offer(external="100.64.0.2"), attempt(external="100.64.0.2:5000"), check("silent")
    found = verdict(*seen)
    assert found.verdict == "fails"
    assert "100.64.0.2, is not public: your provider runs a second NAT" in found.summary
    assert "provider" in found.advice
    assert any("do not reach you" in line for line in report(*seen).warnings)


def test_another_address_outside_than_the_router_claims() -> None:
    found = verdict(offer(external="11.9.9.9"), attempt(external="11.9.9.9:5000"), stun())
    assert found.verdict == "fails"
    assert "router's external address is 11.9.9.9, but from outside you are 11.1.0.2" in found.summary


def test_a_router_without_room_is_not_one_without_an_address() -> None:
    failed = attempt("pcp", outcome="refused", external=None, lifetime_s=None, refusal=refusal(8))
    found = verdict(offer("pcp"), failed, protocol="pcp")
    assert found.summary == "No mapping (8 NAME): It does not want to."
    assert "second NAT" in verdict(offer("pcp"), offer("upnp-igd"), failed, protocol="pcp").summary


@pytest.mark.parametrize(("protocol", "code"), [("upnp-igd", 501), ("nat-pmp", 3)])
def test_a_router_without_a_public_address(protocol: MappingProtocol, code: int) -> None:
    failed = attempt(protocol, outcome="refused", external=None, lifetime_s=None, refusal=refusal(code))
    found = verdict(offer(protocol), failed, protocol=protocol)
    assert found.verdict == "fails"
    assert f"({code} NAME). The router itself has no public address: there is a second NAT" in found.summary
    assert "bridge mode" in found.advice


def test_a_hidden_nat() -> None:
    seen = offer("pcp", outcome="refused", refusal=refusal(12, "ADDRESS_MISMATCH"))
    assert verdict(seen, protocol="pcp").verdict == "fails"
    assert any("A NAT stands between this machine and the router" in line for line in report(seen).warnings)


def test_every_refusal_is_named_with_advice() -> None:
    failed = attempt(outcome="refused", external=None, refusal=refusal(718, "ConflictInMappingEntry"))
    found = verdict(offer(external="11.1.0.2"), failed)
    assert (found.verdict, found.advice) == ("fails", "Ask it nicely.")
    assert "718 ConflictInMappingEntry" in found.summary
    (mapping,) = report(offer(), failed).mappings
    assert mapping.error is not None
    assert (mapping.created, mapping.error.code, mapping.error.advice) == (False, 718, "Ask it nicely.")


@pytest.mark.parametrize("outcome", ["timeout", "unreachable", "malformed"])
def test_no_answer_has_a_name_too(outcome: str) -> None:
    (mapping,) = report(attempt(outcome=outcome, external=None, detail="why")).mappings
    assert mapping.error is not None
    assert mapping.error.code is None
    assert "why" in mapping.error.meaning
    assert mapping.error.advice


@pytest.mark.parametrize(
    ("outcome", "words"),
    [("timeout", "Nothing answered"), ("unreachable", "rejects"), ("malformed", "not in valid UPnP")],
)
def test_nothing_that_speaks_it(outcome: str, words: str) -> None:
    found = verdict(offer(outcome=outcome))
    assert found.verdict == "fails"
    assert words in found.summary
    assert "http://10.0.1.1" in found.advice


def test_where_nothing_translates_nothing_needs_to_be_switched_on() -> None:
    found = verdict(stun("10.0.1.2:40000"), offer(outcome="timeout"))
    assert (found.verdict, found.advice) == ("fails", "")


def test_no_router_at_all() -> None:
    found = verdict(host=msgspec.structs.replace(HOST, gateways=()))
    assert found.verdict == "fails"
    assert "no router" in found.summary


def test_not_asked_is_not_known() -> None:
    assert verdict(action=None).verdict == "unknown"


def test_the_last_word_of_a_mapping_counts() -> None:
    later = attempt(action="renew", external="11.1.0.2:6000", lifetime_s=600)
    (mapping,) = report(attempt(), check("silent"), later, check(), action="keep").mappings
    assert (mapping.external, mapping.lifetime_s, mapping.verified_inbound) == ("11.1.0.2:6000", 600, True)
    assert not mapping.removed


def test_what_could_not_be_removed_is_a_warning() -> None:
    found = report(offer(), attempt(), deleted(outcome="timeout"))
    assert not found.mappings[0].removed
    assert any("has not confirmed" in line and "it expires within 2 min" in line for line in found.warnings)


def test_what_the_table_still_has_was_not_removed() -> None:
    kept = deleted(outcome="malformed", external=OUTSIDE, detail="its table still has it")
    (mapping,) = report(offer(), kept, action="add").mappings
    assert mapping.error is not None
    assert (mapping.error.name, mapping.removed) == ("not removed", False)


@pytest.mark.parametrize("outcome", ["deleted", "malformed"])
def test_what_an_earlier_run_left_is_not_made_by_this_one(outcome: str) -> None:
    left = deleted(outcome=outcome, external="11.1.0.2:6000", internal="10.0.1.2:6000")
    found = report(offer(), left, attempt(), check(), action="add")
    assert [each.internal for each in found.new_mappings] == [OWN]
    assert headline(found) == "1 mapping made, verified from outside."
    assert headline(report(offer(), left, action="add")).startswith("No mapping was made.")


def test_what_may_still_exist_is_told_beside_what_was_removed() -> None:
    unknown = deleted("pcp", outcome="timeout", internal="10.0.1.2:6000")
    found = report(offer(), deleted(external=OUTSIDE), unknown, action="delete")
    assert headline(found) == "1 mapping removed, 1 more may still exist."
    assert headline(report(offer(), deleted(external=OUTSIDE), action="delete")) == "1 mapping removed."


def test_a_router_that_does_not_tell_its_address_but_opens_a_port_has_one() -> None:
    """GetExternalIPAddress fails (501), but somebody outside came in."""
    failed = offer(external=None, refusal=refusal(501, "ActionFailed"))
    told = report(failed, attempt(external=":5000"), check(), stun())
    assert "router-without-public-address" not in {each.code for each in told.notices}
    shut = report(failed, attempt(external=":5000"), check("silent"), stun())
    assert "router-without-public-address" in {each.code for each in shut.notices}


def test_a_port_without_an_address_is_completed() -> None:
    (mapping,) = report(offer(external="11.1.0.2"), attempt(external=":5000")).mappings
    assert mapping.external == OUTSIDE


def test_a_table_of_the_router() -> None:
    row = MapEntry(
        protocol="upnp-igd", transport="tcp", family=4, internal="10.0.1.9:80", external_port=8080,
        lifetime_s=None, description="camera",
    )  # fmt: skip
    (mapping,) = report(offer(external="11.1.0.2"), row, action="list").mappings
    assert (mapping.internal, mapping.external) == ("10.0.1.9:80", "11.1.0.2:8080")
    assert (mapping.lifetime_s, mapping.created, mapping.description) == (None, True, "camera")


def test_with_a_true_mapping_every_peer_can_connect() -> None:
    tcp = attempt(transport="tcp"), check(transport="tcp")
    found = report(offer(), attempt(), check(), *tcp, stun(), action=None)
    assert {row.path for row in found.peers} == {"direct"}
    assert {row.strategy for row in found.peers if row.kind != "open internet"} <= {"mapped", "host"}
    assert found.advice is not None
    assert found.advice.reachable == "directly"
    assert "port mapping" in found.advice.best


def test_over_udp_alone_it_helps_no_peer_without_udp() -> None:
    rows = {row.kind: row for row in report(offer(), attempt(), check(), stun(), action=None).peers}
    assert rows["symmetric random"].strategy == "mapped"
    assert rows["udp blocked"].strategy != "mapped"


@pytest.mark.parametrize(
    ("says", "agrees"),
    [
        ('{"gateway": "http://10.0.1.1/ctl", "external": "11.1.0.2"}', True),
        ('{"gateway": "http://10.0.1.1/ctl", "external": "11.9.9.9"}', False),
        ('{"error": "Success"}', False),
        ("[]", None),
        ("", None),
    ],
)
def test_a_second_opinion(says: str, agrees: bool | None) -> None:
    opinion = SecondOpinion(tool="miniupnpc", version="2.3", says=says, duration_s=2.0)
    (found,) = report(offer(external="11.1.0.2"), opinion).cross_checks
    assert found.agrees is agrees
    assert bool(found.why) == (agrees is not True)
    assert found.ours == "a gateway with 11.1.0.2"
