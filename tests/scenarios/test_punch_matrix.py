"""Every pair of nine kinds of networks, measured, planned and punched on the simulator: what the plan says is
what happens. NATTOOLS_PUNCH_SEEDS: how often each pair is tried (2)."""

from __future__ import annotations

import os
from itertools import combinations_with_replacement

import pytest
from punching import APDM, Result, measured, meet, meet_as_measured_there

from nattools.lab.natkinds import MATRIX_KINDS
from nattools.lab.scenario import FirewallSpec, NatSpec, RouterSpec
from nattools.traversal.plan.punchplan import MeasuredEnd, plan
from nattools.traversal.plan.steps import Plan
from nattools.wording import sentence

SEEDS = range(int(os.environ.get("NATTOOLS_PUNCH_SEEDS", "2")))
PAIRS = list(combinations_with_replacement(MATRIX_KINDS, 2))
HARD = {("symmetric-random", "symmetric-random"), ("symmetric-random", "symmetric-sequential")}
PREDICTED = [
    ("symmetric-sequential", "symmetric-sequential", False),
    ("port-restricted", "symmetric-sequential", False),
    ("symmetric-random", "address-dependent", False),
    ("symmetric-random", "symmetric-sequential", True),
]
BLOCK = NatSpec(mapping=APDM, allocation="block", block=512)
OPEN_INPUT = NatSpec(input="open")
RANDOM = NatSpec(mapping=APDM, allocation="random")


def planned(first: str, second: str, *, low_ports: bool = False) -> Plan:
    ends = (MeasuredEnd(nat=measured(kind), low_ports=low_ports) for kind in (first, second))
    return plan(*ends)


def within_announced(result: Result) -> bool:
    """Neither side sent more than the step says."""
    assert result.step is not None
    assert result.step.packets is not None
    assert result.outcomes is not None
    return all(
        outcome.counts.sent <= most
        for outcome, most in zip(result.outcomes, result.step.packets, strict=True)
    )


def test_how_many_of_all_pairs_have_a_direct_way() -> None:
    assert len(PAIRS) == 45
    assert {pair for pair in PAIRS if planned(*pair).path != "direct"} == HARD
    assert all(planned(*pair, low_ports=True).path == "direct" for pair in PAIRS)


@pytest.mark.parametrize("low_ports", [False, True])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_every_pair(first: str, second: str, low_ports: bool) -> None:
    """Where the odds are below certainty, as many may fail as they say, and one more by chance."""
    made = planned(first, second, low_ports=low_ports)
    results = [meet(first, second, low_ports=low_ports, seed=seed) for seed in SEEDS]
    failed = sum(not result.connected for result in results)
    if made.path != "direct":
        assert failed == len(results)
        return
    certain = made.odds >= 0.9999
    assert failed <= (0 if certain else 1 + 2 * (1 - made.odds) * len(results))
    assert all(within_announced(result) for result in results if result.connected)


@pytest.mark.parametrize("pair", sorted(HARD))
def test_what_the_privilege_would_change_is_said(pair: tuple[str, str]) -> None:
    privilege = planned(*pair).privilege
    assert privilege is not None
    assert "below 1024" in sentence(privilege)
    assert planned(*pair, low_ports=True).privilege is None


@pytest.mark.parametrize("between", [0, 3, 6])
@pytest.mark.parametrize(("first", "second", "low_ports"), PREDICTED)
def test_ports_that_others_take_in_between(first: str, second: str, low_ports: bool, between: int) -> None:
    assert meet(first, second, low_ports=low_ports, seed=1, between=between).connected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("taken", "predicted"), list(zip((12, 40, 40, 20), PREDICTED, strict=True)))
def test_where_others_take_more_than_expected_the_second_try_connects(
    taken: int, predicted: tuple[str, str, bool], seed: int
) -> None:
    """The first one fails by construction: its window ends before the port. (Both sides' count together.)"""
    first, second, low_ports = predicted
    result = meet(first, second, low_ports=low_ports, seed=seed, between=taken)
    assert result.connected
    assert result.step == [step for step in result.plan.steps if step.strategy != "relay"][1]
    assert within_announced(result)


@pytest.mark.parametrize(("first", "second"), [pair for pair in PAIRS if pair not in HARD])
def test_on_a_path_that_loses_packets(first: str, second: str) -> None:
    """Where chance has a part in it, it may fail as often as the odds say and the losses add."""
    results = [meet(first, second, seed=seed, loss=0.05, delay_ms=20) for seed in SEEDS]
    certain = results[0].plan.odds >= 0.9999
    assert sum(result.connected for result in results) >= (len(SEEDS) if certain else 0.9 * len(SEEDS) - 1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (BLOCK, NatSpec()),
        (BLOCK, FirewallSpec()),
        (BLOCK, OPEN_INPUT),
        (OPEN_INPUT, OPEN_INPUT),
        (OPEN_INPUT, RANDOM),
        (OPEN_INPUT, FirewallSpec()),
    ],
)
def test_blocks_of_ports_and_routers_that_take_early_packets(first: RouterSpec, second: RouterSpec) -> None:
    for seed in SEEDS:
        result = meet_as_measured_there(first, second, seed=seed)
        assert result.connected
        assert within_announced(result)


def test_two_blocks_meet_mostly() -> None:
    results = [meet_as_measured_there(BLOCK, BLOCK, seed=seed) for seed in range(6)]
    assert 0.5 < results[0].plan.odds < 0.9
    assert sum(result.connected for result in results) >= 3


def test_a_known_block_takes_few_tries() -> None:
    for seed in SEEDS:
        result = meet_as_measured_there(NatSpec(), BLOCK, seed=seed)
        assert result.outcomes is not None
        assert result.outcomes[0].counts.sent <= 64
