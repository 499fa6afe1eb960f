"""Networks drawn at random, with tunnels, several ways out, NATs one behind the other and odd TTLs: what the
drawing knows, no report contradicts."""

from __future__ import annotations

import os
import random

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.run import measure
from nattools.lab.scenario import HostSpec, MapperSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.model.serveruri import parse_server

COUNT = max(60, int(os.environ.get("NATTOOLS_LOSS_RUNS", "0")))
ONCE_WRONG = (396, 486, 547, 655, 100074, 100099)
"""A router that lowers no TTL, at the end of a tunnel whose route names none; and one that makes mappings."""
ABOUT_ROUTERS = {
    "enable-mappings",
    "enable-mappings-at",
    "forward-port",
    "enable-protocol",
    "enable-protocol-at",
}
SHARED = "100.64.0.0/10"


def drawn(rng: random.Random) -> Scenario:
    """One to three ways out; the first is preferred."""
    names = ["a", "b", "c"][: rng.choice((1, 2, 2, 3))]
    tunnels = tuple(name for name in names if rng.random() < 0.4)
    nats: dict[str, NatSpec] = {}
    for name in names:
        outer = f"{name}-outer" if rng.random() < 0.3 else None
        if outer:
            nats[outer] = NatSpec(address=rng.choice((None, SHARED)))
        shared = outer is None and name in tunnels and rng.random() < 0.3 and not _has_shared(nats)
        alone = outer is None and rng.random() < 0.3
        nats[name] = NatSpec(
            behind=outer,
            address=SHARED if shared else None,
            filtering=rng.choice(("endpoint-independent", "address-and-port-dependent")),
            ttl=rng.choice(("lowered", "lowered", "lowered", "kept", "reset")),
            answers_ttl=rng.random() < 0.8,
            dmz="alice" if alone else None,
            mapper=MapperSpec(protocols=("upnp-igd",)) if rng.random() < 0.5 else None,
        )
    alice = HostSpec(
        behind=tuple(names),
        vpn=tunnels,
        routing=rng.choice(("by-source", "by-metric", "by-rule", "by-halves")),
    )
    return Scenario(title="drawn", nat=nats, host={"alice": alice})


def _has_shared(nats: dict[str, NatSpec]) -> bool:
    return any(nat.address == SHARED for nat in nats.values())


def diagnosed(scenario: Scenario, seed: int) -> tuple[Report, str]:
    """The report, and the outside address of the preferred way."""
    with SimLab(scenario, seed=seed) as lab:
        options = MeasureOptions("diagnose", tuple(parse_server(uri) for uri in lab.server_uris()))
        report = lab.run(lambda: measure(lab.network("alice"), options, lambda event: None, MemoryJournal()))
        first = _ways(scenario)[0]
        outermost = scenario.nat[first].behind or first
        return report, lab.net.topology.addresses[outermost][-1]


def _ways(scenario: Scenario) -> tuple[str, ...]:
    behind = scenario.host["alice"].behind
    assert isinstance(behind, tuple)
    return behind


def _asked(scenario: Scenario) -> str | None:
    """The router that is asked for mappings: the other end of the tunnel that packets take, where it answers;
    else the first that a route names."""
    alice, first = scenario.host["alice"], _ways(scenario)[0]
    if first in alice.vpn and scenario.nat[first].mapper is not None:
        return first
    named = [name for name in _ways(scenario) if name not in alice.vpn or alice.routing != "by-rule"]
    return named[0] if named else None


@pytest.mark.parametrize("seed", sorted({*range(COUNT), *ONCE_WRONG}))
def test_no_report_contradicts_the_drawing(seed: int) -> None:
    scenario = drawn(random.Random(seed))
    report, outside = diagnosed(scenario, seed)
    alice, first = scenario.host["alice"], scenario.nat[_ways(scenario)[0]]
    in_vpn, asked = _ways(scenario)[0] in alice.vpn, _asked(scenario)
    nat = report.nat.udp4
    assert nat is not None
    assert nat.external == (outside,)
    verdicts = {each.id: each.verdict for each in report.techniques}
    assert (verdicts["direct-ipv4"] == "works") == (first.dmz is not None)

    on_path = asked is not None and (asked == _ways(scenario)[0] or alice.routing == "by-source")
    router = None if asked is None else scenario.nat[asked]
    maps = router is not None and router.mapper is not None and router.behind is None and on_path
    assert (verdicts["upnp-igd"] == "works") == maps

    notices = {each.code for each in report.notices}
    assert ("vpn-measured" in notices) == in_vpn
    between = scenario.nat[first.behind] if first.behind else None
    assert nat.double_nat in ((True, None) if between else (False, None))
    carrier = between is not None and between.address == SHARED and not in_vpn
    assert nat.cgnat in ((True, None) if carrier else (False, None))

    advised = {each.code for row in report.techniques for each in row.remedy}
    advised |= {each.code for each in report.advice.actions} if report.advice is not None else set()
    if (in_vpn or first.dmz) and not maps:
        assert not ABOUT_ROUTERS & advised
