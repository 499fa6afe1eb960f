"""A report becomes a scenario that gives the same report again: every scenario that comes with nattools, on
the simulator, and some of them on network namespaces (with NATTOOLS_REDRAW_ALL: all)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from scenariotrials import AGAIN, HOSTS, NOT_KNOWN, differ_in_what_one_does_not_know, simulated

from nattools.lab.backend import Backend
from nattools.lab.redraw import redrawn
from nattools.lab.scenariofiles import parse
from nattools.model.report import Report
from nattools.report.redaction import Redaction, redacted
from nattools.trials.scenarios import Case, run_trial

FINDINGS = (
    "reachable", "present", "mapping", "filtering", "port_allocation", "port_step", "port_block",
    "hairpinning", "refreshed_by_inbound", "cgnat", "double_nat", "distance_hops", "classic", "pooling",
    "port_mask", "open_ports",
)  # fmt: skip
FEW = (
    "home-router", "cgnat", "symmetric-random", "full-cone", "udp-blocked", "ipv6-firewall", "mapping-pcp",
    "open", "firewall", "nat64", "vpn", "double-nat", "old-server", "lan-open", "lan-glance",
    "tailnet-proxied",
)  # fmt: skip
IN_NAMESPACES = HOSTS if os.environ.get("NATTOOLS_REDRAW_ALL") else [(name, "alice") for name in FEW]
"""All of them take a quarter of an hour: make redraw."""
EDGE = ("slow-server",)
"""Its answers come about when no more are waited for, and what they tell may be known or not."""
ONE_NAT = ("ttl-reset",)
"""What stands beyond its router nothing shows: it is drawn as the only NAT, which is seen then."""

BY_CHANCE = frozenset({"server-overloaded"})
"""A server that loses packets may lose too few of those that it is asked by."""


def findings(report: Report) -> dict[str, Any]:
    """What both reports must say; addresses are the lab's own."""
    found: dict[str, Any] = {each.id: each.verdict for each in report.techniques}
    for lane in ("udp4", "udp6", "tcp4", "tcp6"):
        nat = getattr(report.nat, lane)
        found[lane] = nat and {field: getattr(nat, field) for field in FINDINGS}
        if nat is not None:
            found[lane]["external"] = len(nat.external) > 1
            if not nat.blocked_ports:  # more are tried where an answer comes late
                del found[lane]["open_ports"]
            if lane.startswith("tcp"):
                del found[lane]["port_mask"]  # of a few ports it is a guess
            if found[lane]["external"]:  # which of them are met, and what their ports show, is chance
                found[lane] |= dict.fromkeys(("port_allocation", "port_step", "port_block"))
    found["warnings"] = sorted({each.code for each in report.notices} - BY_CHANCE)
    made = [(one.protocol, one.created, one.verified_inbound) for one in report.mappings]
    found["mappings"] = sorted(made, key=str)  # by when the answers came
    found["relays"] = sorted((one.kind, str(one.works)) for one in report.relays)
    found["advice"] = report.advice and report.advice.reachable
    return found


BESIDE = ("lan", "libp2p", "tailscale")
"""Commands that ask few servers: those of the scenario may show more of the network."""


def alike(report: Report, original: Report, *, late: bool = False) -> bool:
    """Do both say the same, but for what chance decides in a pool? `late`: in what the original knows."""
    one, other = findings(report), findings(original)
    if original.command not in BESIDE and not late:
        if any(one[lane] and one[lane]["external"] for lane in ("udp4", "tcp4")):
            one.pop("pwnat"), other.pop("pwnat")
        return one == other
    for lane in ("udp4", "udp6", "tcp4", "tcp6"):
        if one[lane] and other[lane]:
            one[lane] = {
                key: one[lane][key] for key, value in other[lane].items() if value not in (None, "unknown")
            }
            other[lane] = {key: other[lane][key] for key in one[lane]}
    return one == other


def again(report: Report, folder: Path, backend: Backend = "sim", seed: int = 0) -> Report:
    file = folder / "drawn.toml"
    file.write_text(redrawn(report).toml(), encoding="utf-8")
    trial = run_trial(Case(str(file), "here", backend, seed))
    for _ in range(AGAIN if backend == "netns" else 0):
        if not trial.wrong or not all(map(NOT_KNOWN.search, trial.wrong)):
            break
        trial = run_trial(Case(str(file), "here", backend, seed))
    assert trial.problem == ""
    assert trial.wrong == ()
    assert trial.report is not None
    return trial.report


@pytest.mark.parametrize(("name", "host"), HOSTS)
def test_simulated(name: str, host: str, tmp_path: Path) -> None:
    report = simulated(name, host)
    for seed in (0, 1):
        drawn = again(report, tmp_path, seed=seed)
        assert alike(drawn, report, late=name in ONE_NAT), (findings(drawn), findings(report))


@pytest.mark.parametrize("name", FEW)
def test_a_redacted_report_gives_the_same_network(name: str, tmp_path: Path) -> None:
    report = redacted(simulated(name, "alice"), Redaction())
    assert findings(again(report, tmp_path)) == findings(report)


@pytest.mark.netns
@pytest.mark.parametrize(("name", "host"), IN_NAMESPACES)
def test_in_namespaces(name: str, host: str, tmp_path: Path) -> None:
    report = simulated(name, host)
    drawn = again(report, tmp_path, "netns")
    for _ in range(AGAIN):
        if not differ_in_what_one_does_not_know(findings(drawn), findings(report)):
            break
        drawn = again(report, tmp_path, "netns")
    assert alike(drawn, report, late=name in EDGE), (findings(drawn), findings(report))


def test_what_the_report_leaves_open_is_marked() -> None:
    drawing = redrawn(simulated("plain-stun", "alice"))
    assert any(each.startswith("nat.home.filtering: not measured") for each in drawing.open)
    assert 'filtering = "address-and-port-dependent"  # not measured: the ordinary value' in drawing.toml()
    assert parse(drawing.toml(), "drawn.toml").nat["home"].filtering == "address-and-port-dependent"
