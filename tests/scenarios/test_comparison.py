"""What a comparison calls a change: another scenario is one, another seed of the same is none."""

from __future__ import annotations

import os

import pytest
from scenariotrials import HOSTS, simulated

from nattools.model.report import Report
from nattools.report.comparison import compare
from nattools.trials.scenarios import Case, run_trial
from nattools.wording import sentence

SEEDS = int(os.environ.get("NATTOOLS_DIFF_SEEDS", "4"))
UNSTEADY = ("lossy", "jitter", "pool-arbitrary", "two-uplinks")


def measured(name: str, host: str, seed: int) -> Report:
    report = run_trial(Case(name, host, "sim", seed)).report
    assert report is not None
    return report


@pytest.mark.parametrize(("name", "host"), HOSTS)
def test_the_same_network_is_the_same(name: str, host: str) -> None:
    first = simulated(name, host)
    for seed in range(1, 20 if name in UNSTEADY else SEEDS):
        found = compare(first, measured(name, host, seed))
        assert [sentence(each.says) for each in found.changes] == [], seed
        assert found.meaning.code == "diff-same"


@pytest.mark.parametrize(
    ("before", "after", "meaning", "among"),
    [
        ("home-router", "symmetric-random", "diff-other-nat", "nat.udp4.mapping"),
        ("home-router", "mapping-pcp", "diff-opened", "pcp"),
        ("mapping-pcp", "home-router", "diff-closed", "pcp"),
        ("home-router", "udp-blocked", "diff-closed", "udp-punch"),
        ("home-router", "cgnat", "diff-other-network", "nat.udp4.double_nat"),
        ("home-router", "lossy", "diff-slower", "nat.udp4.rtt_ms"),
        ("lossy", "home-router", "diff-faster", "nat.udp4.rtt_ms"),
        ("lifetime-10s", "lifetime-5min", "diff-else", "nat.udp4.binding_lifetime_s"),
        ("home-router", "captive-portal", "diff-nothing-answers", "portal-answers"),
    ],
)
def test_another_network_is_another(before: str, after: str, meaning: str, among: str) -> None:
    found = compare(simulated(before), simulated(after))
    assert among in [each.what for each in found.changes]
    assert found.meaning.code == meaning
