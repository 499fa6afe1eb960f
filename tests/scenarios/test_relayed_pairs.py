"""Every pair of nine kinds of networks through `nattools punch` without any privilege, at a server that
relays: all connect, and only the two that have no direct way go over it. On namespaces a sample of them,
unless NATTOOLS_PUNCH_REPEAT is set (`make punches`)."""

from __future__ import annotations

import os

import pytest

from nattools.lab.backend import Backend
from nattools.lab.natkinds import MATRIX_KINDS
from nattools.model.punch import Matrix
from nattools.trials.pairs import PairMatrix, PairOptions

SEEDS = int(os.environ.get("NATTOOLS_PUNCH_SEEDS", "1"))
REPEAT = int(os.environ.get("NATTOOLS_PUNCH_REPEAT", "0"))
HARD = {("symmetric-random", "symmetric-random"), ("symmetric-random", "symmetric-sequential")}
SAMPLE = ("symmetric-random", "symmetric-sequential", "full-cone", "udp-blocked")
A_RUN_IS_SURE = 0.9999


def matrix(kinds: tuple[str, ...], backend: Backend, repeat: int, jobs: int) -> Matrix:
    """Of a server that relays, without ports below 1024."""
    terms = PairOptions(low_ports=False, relay=True)
    tried = PairMatrix(kinds, backend, repeat=repeat, seed=0, terms=terms)
    found = tried.report(jobs, lambda done, total: None).matrix
    assert found is not None
    return found


def held(found: Matrix) -> None:
    """All connect; over the relay those that must, and where chance decides as many more as it may."""
    for each in found.pairs:
        assert each.connected == each.runs, each
        if each.pair in HARD:
            assert each.relayed == each.runs, each
            assert each.strategy == "relay"
        elif each.odds is None or each.odds >= A_RUN_IS_SURE:
            assert each.relayed == 0, each
        else:
            assert each.relayed <= 1 + 2 * (1 - each.odds) * each.runs, each


def test_every_pair_simulated() -> None:
    found = matrix(tuple(MATRIX_KINDS), "sim", min(SEEDS, 5), 1)
    held(found)
    assert len(found.pairs) == 45
    if SEEDS == 1:  # with more of them chance relays one or two more now and then
        assert sum(each.relayed == 0 for each in found.pairs) == 43


@pytest.mark.netns
def test_pairs_in_namespaces() -> None:
    kinds = tuple(MATRIX_KINDS) if REPEAT else SAMPLE
    held(matrix(kinds, "netns", max(1, min(REPEAT, 2)), 4))
