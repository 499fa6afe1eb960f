"""Measuring a lifetime takes no longer than it must, and disturbs nothing else that is measured."""

from __future__ import annotations

from typing import Any

import pytest
from simulated import behind_nat

from nattools.engine.options import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.scenario import NatSpec
from nattools.lab.sim.lab import SimLab
from nattools.model.report import Report
from nattools.model.serveruri import parse_server


def measured(nat: NatSpec, longest_s: float, **host: Any) -> Report:
    with SimLab(behind_nat(nat, **host)) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions("nat", servers, lifetime=True, max_lifetime_s=longest_s)
        return lab.run(lambda: measure(lab.network("alice"), options, lambda event: None))


@pytest.mark.parametrize("lifetime_s", [30, 180])
def test_it_ends_soon_after_the_mapping_and_names_bounds_around_it(lifetime_s: float) -> None:
    report = measured(NatSpec(lifetime_s=lifetime_s), 600.0, delay_ms=8)
    assert report.nat.udp4 is not None
    low, high = report.nat.udp4.binding_lifetime_bounds_s or (None, None)
    assert low is not None
    assert high is not None
    assert 0.9 * lifetime_s < low < lifetime_s < high < 1.1 * lifetime_s
    assert report.duration_s < 1.25 * lifetime_s


def test_a_path_that_loses_nothing_is_not_taken_for_a_lossy_one() -> None:
    report = measured(NatSpec(lifetime_s=180), 300.0, delay_ms=40)
    nat = report.nat.udp4
    assert nat is not None
    assert nat.loss == 0
    assert nat.filtering == "address-and-port-dependent"
