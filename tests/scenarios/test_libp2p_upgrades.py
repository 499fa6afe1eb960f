"""DCUtR over TCP between every pair of kinds of networks: what it does is what is said before."""

from __future__ import annotations

import itertools

import pytest
from relayedpeers import KINDS, drawn, is_direct, met

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.sim.simlab import SimLab
from nattools.model.peertrial import UpgradeTried

PAIRS = list(itertools.product(KINDS, repeat=2))
REAL = [
    ("open", "port-restricted"), ("port-restricted", "open"), ("firewall", "port-restricted"),
    ("port-restricted", "port-restricted"), ("address-restricted", "full cone"), ("symmetric", "full cone"),
    ("port-restricted", "symmetric"),
]  # fmt: skip


def check(pair: tuple[str, str], seen: tuple[UpgradeTried, UpgradeTried]) -> None:
    caller, called = seen
    assert caller.relayed == called.relayed == "ok"
    assert caller.relayed_rtt_s is not None
    if is_direct(*pair):
        assert caller.remote is not None
        assert called.remote is not None
        assert called.rtt_s is not None
        assert (caller.end, called.end) in {("met", "met"), ("dialled", "dialled")}
    else:
        assert (caller.end, called.end) == ("failed", "failed")
        assert called.attempts == 3


@pytest.mark.parametrize("pair", PAIRS, ids=" - ".join)
def test_simulated(pair: tuple[str, str]) -> None:
    with SimLab(drawn(*pair)) as lab:
        check(pair, lab.run(lambda: met(lab)))


@pytest.mark.netns
@pytest.mark.parametrize("pair", REAL, ids=" - ".join)
def test_in_namespaces(pair: tuple[str, str]) -> None:
    with NetnsLab(drawn(*pair)) as lab:
        check(pair, lab.run(lambda: met(lab)))


def test_it_is_said_of_both_ends_alike() -> None:
    for one, other in PAIRS:
        assert is_direct(one, other) == is_direct(other, one)
