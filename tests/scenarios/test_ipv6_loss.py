"""nattools ipv6 on every scenario that is made for it: right without loss whatever the seed, and at 10% loss
each way never wrong, though something may be unknown. `make loss` does it a thousand times."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from scenariotrials import SCENARIOS

from nattools.engine.measureoptions import Event
from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.run import NothingAnswered, measure
from nattools.lab.expect import check
from nattools.lab.scenario import Scenario
from nattools.lab.scenariofiles import load
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.trials.scenarios import measure_options

RUNS = int(os.environ.get("NATTOOLS_LOSS_RUNS", "6"))
SEEDS = min(20, RUNS)
NAMES = [name for name, drawn in SCENARIOS.items() if drawn.options.get("command") == "ipv6"]
UNKNOWN: tuple[Any, ...] = (None, "unknown")
FIELDS = (
    "capable",
    "works",
    "reachable",
    "inbound",
    "dropped_at",
    "punched",
    "translation",
    "nat64",
    "fragments",
    "extension_headers",
    "pinhole",
    "preferred",
)


def silent(event: Event) -> None:
    """No progress."""


def measured(scenario: Scenario, seed: int) -> Report:
    with SimLab(scenario, seed=seed) as lab:
        network, options = lab.network("alice"), measure_options(lab, "alice")

        async def work() -> Report:
            try:
                return await measure(network, options, silent, MemoryJournal())
            except NothingAnswered as nothing:
                return nothing.report

        return lab.run(work)


def wrong(found: Any, right: Any, path: str) -> list[str]:
    """What a report says and another one, which is right, says otherwise."""
    if isinstance(right, dict) and isinstance(found, dict):
        return [each for key in right for each in wrong(found.get(key), right[key], f"{path}.{key}")]
    return [] if found in UNKNOWN or found == right else [f"{path}: {found!r}, not {right!r}"]


@pytest.mark.parametrize("name", NAMES)
def test_right_whatever_the_seed(name: str) -> None:
    scenario = load(name)
    for seed in range(SEEDS):
        assert check(measured(scenario, seed), scenario.expect["alice"]) == []


@pytest.mark.parametrize("name", NAMES)
def test_never_wrong_where_packets_are_lost(name: str) -> None:
    scenario = load(name)
    right = msgspec.to_builtins(measured(scenario, 0).ipv6)
    lossy = replace(scenario, host={host: replace(each, loss=0.1) for host, each in scenario.host.items()})
    for seed in range(RUNS):
        report = measured(lossy, seed)
        found = msgspec.to_builtins(report.ipv6)
        assert [each for field in FIELDS for each in wrong(found[field], right[field], field)] == []
        codes = {each["code"] for each in found["problems"]}
        assert codes <= {each["code"] for each in right["problems"]}, seed
        for family in ("ipv4", "ipv6"):
            mtu, true = (each["path_mtu"][family] or {} for each in (found, right))
            assert mtu.get("bytes") in (None, true.get("bytes")), seed
            assert mtu.get("black_hole") in (None, true.get("black_hole")), seed
