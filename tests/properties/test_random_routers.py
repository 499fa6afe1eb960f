"""Any router, any crash, any clock: after `map delete --mine` nothing of ours is left on a router that
answers truthfully to deletions, and no report says that something is there, or gone, which the router's table
denies.

`make loss` tries 10,000 routers; the ordinary tests try some. NATTOOLS_FIRST_ROUTER says with which to begin.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from randomrouters import ALL_FAULTS, FAULTS, MORE_FAULTS, NEWEST_FAULTS, Life

ROUTERS = int(os.environ.get("NATTOOLS_ROUTERS", "200"))
FIRST = int(os.environ.get("NATTOOLS_FIRST_ROUTER", "0"))
EACH = 20
ONCE_WRONG = (100264, 101450, 5228, 5661, 5887, 7291, 9794)
"""A noise that was a true answer with another epoch; a lifetime told that is longer than the one kept; a
router whose table is full and that says success, and a program that is killed before it has seen that; one
that makes a mapping over another protocol's and calls it refused."""
ONCE_WRONG_TOO = (40193,)
"""One that gives mappings a name of its own and calls them refused."""
ONCE_WRONG_OF_ALL = (
    63,
    103,
    244,
    1159,
    1649,
    2023,
    2158,
    2874,
    3881,
    4173,
    10059,
    10652,
    100009,
    205221,
    205615,
    205649,
    206317,
    201920,
    202400,
    202801,
    207095,
    207843,
    209848,
    311521,
    311632,
    415402,
    415646,
    421204,
    431113,
    432272,
    432509,
    436291,
    4000701,
    4002313,
    4005336,
    4105665,
    4601463,
    5003011,
    5201953,
)
"""Routers that are too busy to answer, of whose services one is dead, that restart in the middle, that move
what NAT-PMP renews, that make another port than they say and show no list, or by another name, that show one
row for all ports or each for both transports, that take longer than anybody waits, that refuse to make what
another protocol has made there, that remove both transports' at once; and what nobody can know."""


@pytest.mark.parametrize("first", range(FIRST, FIRST + ROUTERS, EACH))
def test_random_routers(first: int, tmp_path: Path) -> None:
    assert problems(range(first, first + EACH), tmp_path, ALL_FAULTS) == {}


@pytest.mark.parametrize("first", range(FIRST, FIRST + ROUTERS, EACH))
def test_random_routers_of_everyday_life(first: int, tmp_path: Path) -> None:
    assert problems(range(first, first + EACH), tmp_path, NEWEST_FAULTS) == {}


def test_those_that_were_once_wrong(tmp_path: Path) -> None:
    assert problems(ONCE_WRONG, tmp_path, FAULTS) == {}
    assert problems(ONCE_WRONG_TOO, tmp_path / "more", MORE_FAULTS) == {}
    assert problems(ONCE_WRONG_OF_ALL, tmp_path / "all", ALL_FAULTS) == {}


def problems(seeds: Iterable[int], folder: Path, faults: dict[str, tuple[Any, ...]]) -> dict[int, list[str]]:
    """What is wrong with each."""
    found = {seed: Life(seed, folder / str(seed), faults).run() for seed in seeds}
    return {seed: wrong for seed, wrong in found.items() if wrong}
