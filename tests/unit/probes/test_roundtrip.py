"""Round trips are asked for again when all is quiet, where the way is so short that it matters."""

from __future__ import annotations

import pytest
from simulated import behind_nat

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.sim.simlab import SimLab
from nattools.model.observation import Binding
from nattools.model.report import Report
from nattools.model.serveruri import parse_server


def measured(delay_ms: float) -> Report:
    with SimLab(behind_nat(delay_ms=delay_ms), seed=1) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions("nat", servers, families=(4,))
        return lab.run(lambda: measure(lab.network("alice"), options, lambda event: None))


def asked_last(report: Report) -> list[Binding]:
    seen = [each for each in report.observations if isinstance(each, Binding)]
    last = [each for each in seen if each.purpose == "round-trip"]
    assert seen[len(seen) - len(last) :] == last
    return last


def test_a_short_way_is_measured_when_nothing_else_is_under_way() -> None:
    last = asked_last(measured(1))
    assert [each.transport for each in last] == ["udp", "udp", "udp", "tcp"]
    assert all(each.rtt_s == pytest.approx(0.002, abs=1e-4) for each in last)


def test_a_long_way_takes_no_longer() -> None:
    assert asked_last(measured(40)) == []
