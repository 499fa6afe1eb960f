"""Every pair of networks through `nattools punch` on both sides, simulated, with many draws of chance.

NATTOOLS_PUNCH_SEEDS: how often each pair is tried (1, and without losses; `make punches` takes 100).
"""

from __future__ import annotations

import os
from functools import cache

import pytest

from nattools.lab.natkinds import MATRIX_KINDS, Pair, pairs_of, scenario_of_kinds
from nattools.lab.sim.simlab import SimLab
from nattools.traversal.plan.punchplan import MeasuredEnd, plan
from nattools.traversal.plan.steps import Plan
from nattools.trials.pairs import PairOptions, Reports, connect_pair, punches

SEEDS = int(os.environ.get("NATTOOLS_PUNCH_SEEDS", "1"))
A_RATE = 20
"""A rate needs so many seeds at least."""
BLOCK = "symmetric-block"
PAIRS = pairs_of(list(MATRIX_KINDS))
DRAWN = [(still, "symmetric-random") for still in ("firewall", "port-restricted")]
BLOCKS = [(still, BLOCK) for still in ("firewall", "port-restricted")]
HARD = {("symmetric-random", "symmetric-random"), ("symmetric-random", "symmetric-sequential")}


@cache
def tried(pair: Pair, *, low_ports: bool = False, loss: float = 0.0) -> list[Reports]:
    """A pair, once for each seed."""
    found = []
    for seed in range(SEEDS):
        with SimLab(scenario_of_kinds([pair], loss=loss, delay_ms=20 if loss else 0), seed=seed) as lab:
            found.append(
                lab.run(lambda lab=lab: connect_pair(lab, "a0", "b0", PairOptions(low_ports=low_ports)))
            )
    return found


def connected(reports: Reports) -> bool:
    """Do both sides say so?"""
    return all(each.connected for each in punches(reports))


def predicted(reports: Reports, *, low_ports: bool) -> Plan:
    """What `report predict` says of the two."""
    first, second = (MeasuredEnd(nat=report.nat, low_ports=low_ports) for report in reports)
    return plan(first, second)


def rate(pair: Pair, *, loss: float = 0.0) -> float:
    """The share of runs that connect."""
    results = tried(pair, loss=loss)
    return sum(map(connected, results)) / len(results)


def probes(reports: Reports) -> int:
    """What the side that guesses has sent when it was met: the first of these pairs."""
    stages = [each for each in punches(reports)[0].stages if each.side == "here" and each.sent is not None]
    assert stages[-1].sent is not None
    return stages[-1].sent


@pytest.mark.parametrize(
    ("pair", "low_ports"),
    [
        *((pair, False) for pair in PAIRS),
        *((pair, True) for pair in PAIRS if "symmetric-random" in pair),  # there alone it matters
    ],
    ids=str,
)
def test_the_outcome_is_as_predicted(pair: Pair, low_ports: bool) -> None:
    for reports in tried(pair, low_ports=low_ports):
        said = predicted(reports, low_ports=low_ports)
        assert (said.path == "direct") == connected(reports), [each.why for each in punches(reports)]
        assert connected(reports) == (low_ports or pair not in HARD)
        if connected(reports):
            ways = {(step.strategy, step.transport) for step in said.steps} | {("host", "udp")}
            assert {(each.strategy, each.transport) for each in punches(reports)} <= ways


if SEEDS >= A_RATE:

    @pytest.mark.parametrize(("pairs", "most", "share"), [(DRAWN, 1024, 0.98), (BLOCKS, 64, 0.99)])
    def test_how_many_probes_it_takes(pairs: list[Pair], most: int, share: float) -> None:
        for pair in pairs:
            results = tried(pair)
            assert sum(connected(each) and probes(each) <= most for each in results) >= share * len(results)

    @pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair not in HARD], ids="-x-".join)
    def test_losses_cost_next_to_nothing(pair: Pair) -> None:
        """5% each way, on both sides' lines."""
        assert rate(pair, loss=0.05) >= 0.99 * rate(pair)
