"""A redacted report says the same of its network as the original: every scenario keeps its verdicts, also
when the redacted observations are analysed again."""

from __future__ import annotations

from typing import Any

import pytest
from scenariotrials import HOSTS, PAIRS, simulated

from nattools.engine.analyse import reanalyse
from nattools.model.report import Report
from nattools.net.addresses import is_public
from nattools.report.redaction import Redaction, redacted
from nattools.report.savedreport import problems, render_json

SAID = (
    "reachable", "present", "mapping", "filtering", "port_allocation", "port_step", "port_block",
    "hairpinning", "refreshed_by_inbound", "cgnat", "double_nat", "distance_hops", "classic", "pooling",
)  # fmt: skip


def said(report: Report) -> dict[str, Any]:
    """What a report says, but for whose addresses and names stand in it."""
    found: dict[str, Any] = {each.id: each.verdict for each in report.techniques}
    for lane in ("udp4", "udp6", "tcp4", "tcp6"):
        nat = getattr(report.nat, lane)
        found[lane] = nat and [len(nat.external), *(getattr(nat, field) for field in SAID)]
    found["notices"] = [each.code for each in report.notices]
    found["mappings"] = [(one.protocol, one.created, one.verified_inbound) for one in report.mappings]
    found["relays"] = [(one.kind, one.works, one.rank) for one in report.relays]
    found["advice"] = report.advice and (report.advice.reachable, [one.code for one in report.advice.actions])
    found["peers"] = [(one.kind, one.path, one.strategy) for one in report.peers]
    return found


@pytest.mark.parametrize("wanted", [Redaction(), Redaction(salt="grains", ports=True)], ids=["plain", "all"])
@pytest.mark.parametrize(("name", "host"), HOSTS)
def test_all_verdicts_are_kept(name: str, host: str, wanted: Redaction) -> None:
    report = simulated(name, host)
    result = redacted(report, wanted)
    assert said(result) == said(report)
    assert said(reanalyse(result, is_public=is_public)) == said(reanalyse(report, is_public=is_public))
    assert problems(result) == []
    text = render_json(result)
    for outside in (address for nat in (report.nat.udp4, report.nat.udp6) if nat for address in nat.external):
        assert f'"{outside}"' not in text
        assert f'"{outside}:' not in text


@pytest.mark.parametrize(("name", "host", "peer"), PAIRS)
def test_a_punch_is_told_as_it_was(name: str, host: str, peer: str) -> None:
    report = simulated(name, host, peer)
    assert report.punch is not None
    result = redacted(report, Redaction()).punch
    assert result is not None
    for field in ("connected", "path", "transport", "family", "strategy", "odds", "elapsed_s", "rtt_ms"):
        assert getattr(result, field) == getattr(report.punch, field)
    assert [one.stage for one in result.stages] == [one.stage for one in report.punch.stages]
    told = [one.code for stage in report.punch.stages for one in stage.statements]
    assert [one.code for stage in result.stages for one in stage.statements] == told
