"""Every pair that a scenario expects something of, by punch or by pwnat: on the simulator and on network
namespaces it connects or not as the scenario expects, and in the same way on both."""

from __future__ import annotations

from typing import Any

import pytest
from scenariotrials import KNOCKS, PAIRS, SEEDS, tried

from nattools.model.report import Report


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "host", "peer"), PAIRS)
def test_pairs_simulated(name: str, host: str, peer: str, seed: int) -> None:
    tried(name, host, "sim", seed, peer)


@pytest.mark.netns
@pytest.mark.parametrize(("name", "host", "peer"), PAIRS)
def test_pairs_in_namespaces_and_the_same_as_simulated(name: str, host: str, peer: str) -> None:
    real, simulated = (tried(name, host, backend, None, peer).report for backend in ("netns", "sim"))
    assert way(real) == way(simulated)


def way(report: Report | None) -> tuple[Any, ...]:
    """What both backends must agree about, of a punch."""
    assert report is not None
    punch = report.connection
    assert punch is not None
    return punch.connected, punch.path, punch.transport, punch.family, punch.strategy, punch.odds


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "host", "peer"), KNOCKS)
def test_knocks_simulated(name: str, host: str, peer: str, seed: int) -> None:
    tried(name, host, "sim", seed, peer, knocks=True)


@pytest.mark.netns
@pytest.mark.parametrize(("name", "host", "peer"), KNOCKS)
def test_knocks_in_namespaces_and_the_same_as_simulated(name: str, host: str, peer: str) -> None:
    real, simulated = (
        tried(name, host, backend, None, peer, knocks=True).report for backend in ("netns", "sim")
    )
    assert way(real) == way(simulated)
