"""Odds against measured figures, and against the same worked out another way."""

from __future__ import annotations

import random
from math import comb

import pytest

from nattools.traversal.plan.odds import fill_odds, odds

PORTS = 64512


@pytest.mark.parametrize(
    ("probes", "measured"), [(174, 0.50), (256, 0.64), (1024, 0.9835), (1750, 0.999), (2048, 0.9997)]
)
def test_the_known_figures(probes: int, measured: float) -> None:
    assert odds(256, probes, PORTS) == pytest.approx(measured, abs=0.005 if probes < 1024 else 0.0002)


@pytest.mark.parametrize(("sockets", "probes", "ports"), [(3, 4, 20), (128, 26, 512), (1, 1, 7), (10, 0, 99)])
def test_against_binomial_coefficients(sockets: int, probes: int, ports: int) -> None:
    assert odds(sockets, probes, ports) == pytest.approx(
        1 - comb(ports - sockets, probes) / comb(ports, probes)
    )


def test_more_ports_than_there_are() -> None:
    assert odds(512, 1, 512) == 1.0
    assert odds(1, 512, 512) == pytest.approx(1.0)


def test_two_pools_against_trying_it() -> None:
    draw, met = random.Random(5), 0
    for _ in range(2000):
        targets = set(draw.sample(range(20), 2))
        met += any(draw.randrange(20) in targets for _ in range(20))
    assert fill_odds(20, 2, 20, 1, 20) == pytest.approx(met / 2000, abs=0.04)
