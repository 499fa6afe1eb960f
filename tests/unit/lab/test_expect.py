"""Expectations: what they accept of a report, what they say of a mismatch, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from nattools.errors import UsageError
from nattools.lab.expect import check, check_pair
from nattools.lab.scenariofiles import parse
from nattools.model.host import Host, Interface
from nattools.model.nat import Layer, Nat, NatByTransport
from nattools.model.punch import Punch
from nattools.model.punchmtu import OneWayMtu, PunchMtu
from nattools.model.report import Advice, Report, Technique, Tool

UDP4 = Nat(
    present=True,
    mapping="endpoint-independent",
    port_range=(1024, 65535),
    binding_lifetime_s=30.5,
    binding_lifetime_bounds_s=(29.0, None),
    external=("11.1.0.2",),
    layers=(Layer(hops=1, address="10.0.1.1", role="nat"), Layer(hops=2, address=None, role="internet")),
    loss=0.05,
)
REPORT = Report(
    tool=Tool(name="nattools", version="0"),
    command="diagnose",
    started="2024-01-01T00:00:00Z",
    duration_s=1.0,
    substrate="sim",
    host=Host(os="Linux", interfaces=(Interface(name="eth0"),), measured_interface="eth0"),
    nat=NatByTransport(udp4=UDP4),
    advice=Advice(reachable="by punching", headline="", best=""),
    techniques=(Technique(id="udp-punch", verdict="works", confidence=1.0, summary=""),),
    warnings=("A VPN carries the traffic.",),
)


def nat(**wanted: Any) -> list[str]:
    return check(REPORT, {"nat": {"udp4": wanted}})


@pytest.mark.parametrize(
    "wanted",
    [
        {"mapping": "endpoint-independent", "present": True},
        {"cgnat": "null"},
        {"port_range": [1024, 65535]},
        {"port_range": {"min": 1024, "max": 65535}},
        {"binding_lifetime_s": {"min": 28, "max": 32}},
        {"binding_lifetime_s": ">= 28"},
        {"binding_lifetime_s": "<=31.5"},
        {"binding_lifetime_bounds_s": {"contains": 300}},
        {"external": ["11.1.0.2"]},
        {"mapping": {"any_of": ["unknown", "endpoint-independent"]}},
        {"layers": [{"hops": 1, "role": "nat"}]},
        {"loss": "<= 0.2"},
    ],
)
def test_met(wanted: dict[str, Any]) -> None:
    assert nat(**wanted) == []


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"mapping": "none"}, 'nat.udp4.mapping should be "none", but is "endpoint-independent"'),
        ({"cgnat": False}, "nat.udp4.cgnat should be false, but is null"),
        ({"present": 1}, "nat.udp4.present should be 1, but is true"),
        ({"port_range": {"min": 2000}}, 'nat.udp4.port_range should be {"min":2000}, but is [1024,65535]'),
        ({"binding_lifetime_s": ">= 31"}, 'nat.udp4.binding_lifetime_s should be ">= 31", but is 30.5'),
        ({"binding_lifetime_s": "null"}, 'nat.udp4.binding_lifetime_s should be "null", but is 30.5'),
        ({"rtt_ms": "<= 5"}, 'nat.udp4.rtt_ms should be "<= 5", but is null'),
        ({"binding_lifetime_bounds_s": {"contains": 28}}, "but is [29.0,null]"),
        ({"external": []}, 'nat.udp4.external should be [], but is ["11.1.0.2"]'),
        ({"layers": [{"hops": 1, "role": "carrier-nat"}]}, "nat.udp4.layers should be"),
        ({"mapping": {"any_of": ["unknown"]}}, '{"any_of":["unknown"]}'),
    ],
)
def test_not_met(wanted: dict[str, Any], sentence: str) -> None:
    (found,) = nat(**wanted)
    assert sentence in found


def test_the_other_parts_of_a_report() -> None:
    assert check(REPORT, {"technique": {"udp-punch": "works"}, "advice": {"reachable": "by punching"}}) == []
    assert check(REPORT, {"host": {"measured_interface": "eth0"}, "warnings_contain": ["VPN"]}) == []
    assert check(REPORT, {"nat": {"udp6": "null"}}) == []
    assert check(REPORT, {"technique": {"tcp-punch": "works"}}) == [
        'technique.tcp-punch should be "works", but is null'
    ]
    assert check(REPORT, {"warnings_contain": ["loss"]}) == ["no warning contains 'loss'"]
    assert check(REPORT, {"nat": {"tcp4": {"mapping": "none"}}}) == [
        "nat.tcp4 should be a table, but is null"
    ]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("[expect.alice.natt]", "did you mean 'nat'?"),
        ("[expect.alice.nat.udp5]", "did you mean 'udp"),
        ('[expect.alice.nat.udp4]\nmapping = "cone"', "'cone' is not one of 'none'"),
        ('[expect.alice.nat.udp4]\nmapping = "null"', "this field is never null"),
        ('[expect.alice.nat.udp4]\nmapping = ">= 3"', "takes no bounds"),
        ("[expect.alice.nat.udp4]\nmapping = { min = 3 }", "only numbers"),
        ("[expect.alice.nat.udp4]\nmapping = { least = 3 }", "no table here"),
        ("[expect.alice.nat.udp4]\nmapping = { any_of = 3 }", "expected a list of values"),
        ('[expect.alice.nat.udp4]\nmapping = { any_of = ["cone"] }', "'cone' is not one of"),
        ('[expect.alice.nat.udp4]\ncgnat = "no"', "'no' is not a value that the report can have"),
        ("[expect.alice.nat.udp4]\nport_range = [1]", "is not a value"),
        ("[expect.alice.nat.udp4]\nlayers = [{ hop = 1 }]", "did you mean 'hops'?"),
        ("[expect.alice.nat.udp4]\ncgnat = [{ hop = 1 }]", "no list here"),
        ('[expect.alice.technique]\nudp-punsh = "works"', "did you mean 'udp-punch'?"),
        ('[expect.alice.technique]\nudp-punch = "yes"', "'yes' is not one of 'works'"),
        ("[expect.alice]\nwarnings_contain = 3", "a list of texts"),
        ('[expect.pair]\nalice-carol = "host"', "unknown key"),
        ("[expect.pair.alice-bob]\nstrateg = 3", "did you mean 'strategy'?"),
        ('[expect.pair.alice-bob]\nstrategy = "luck"', "'luck' is not one of"),
        ("[expect.pair.alice-bob]\nconnected = 1", "is not a value that the report can have"),
        ("[expect]\nalice = 3", "expected a table"),
        ("[expect]\npair = 3", "expected a table"),
    ],
)
def test_expectations_that_no_report_can_meet_are_refused_with_their_line(lines: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(f'title = "x"\n[host.alice]\n[host.bob]\n{lines}\n', "x.toml")
    assert reason in str(caught.value)
    assert f"x.toml, line {3 + len(lines.splitlines())}: expect." in str(caught.value)


def test_what_a_path_carries_is_as_the_first_of_a_pair_has_it() -> None:
    narrow, wide = OneWayMtu(bytes=1280, black_hole=True), OneWayMtu(bytes=1500, black_hole=False)
    alice = replace(REPORT, command="punch", punch=Punch(connected=True, mtu=PunchMtu(up=narrow, down=wide)))
    told = replace(wide, too_big_from="11.2.0.1")
    bob = replace(REPORT, command="punch", punch=Punch(connected=True, mtu=PunchMtu(up=told, down=narrow)))
    wanted = {"mtu": {"up": {"bytes": 1280, "too_big_from": "null"}, "down": {"black_hole": False}}}
    assert check_pair({"alice": alice, "bob": bob}, wanted) == []
    assert check_pair({"bob": bob, "alice": alice}, wanted) == [
        "bob: punch.mtu.up.bytes should be 1280, but is 1500",
        'bob: punch.mtu.up.too_big_from should be "null", but is "11.2.0.1"',
        "bob: punch.mtu.down.black_hole should be false, but is true",
        "alice: punch.mtu.down.bytes should be 1280, but is 1500",
        "alice: punch.mtu.up.black_hole should be false, but is true",
    ]
