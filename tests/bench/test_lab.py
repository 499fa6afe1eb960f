"""How long a two-site topology takes to come up, servers answering, and to go down."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from nattools.lab.netns import NetnsLab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario

pytestmark = pytest.mark.netns

_ROUNDS = 20
_UP_S, _DOWN_S = 0.3, 0.2
SITES = {
    "kernel": (NatSpec(), NatSpec(mapping="address-and-port-dependent")),
    "userspace, with delay": (NatSpec(engine="tun", delay_ms=10), NatSpec(engine="tun", delay_ms=10)),
}


def two_sites(kind: str) -> Scenario:
    one, other = SITES[kind]
    return Scenario(
        title="two sites",
        nat={"one": one, "other": other},
        host={"alice": HostSpec(behind="one"), "bob": HostSpec(behind="other")},
    )


@pytest.mark.parametrize("kind", SITES)
def test_up(benchmark: BenchmarkFixture, kind: str) -> None:
    labs: list[NetnsLab] = []

    def prepare() -> None:
        down(labs)
        labs.append(NetnsLab(two_sites(kind)))

    try:
        benchmark.pedantic(lambda: labs[-1].__enter__(), setup=prepare, rounds=_ROUNDS, warmup_rounds=1)
    finally:
        down(labs)
    assert benchmark.stats.stats.median < _UP_S


@pytest.mark.parametrize("kind", SITES)
def test_down(benchmark: BenchmarkFixture, kind: str) -> None:
    labs: list[NetnsLab] = []

    def prepare() -> None:
        labs.append(NetnsLab(two_sites(kind)).__enter__())

    benchmark.pedantic(lambda: down(labs), setup=prepare, rounds=_ROUNDS, warmup_rounds=1)
    assert benchmark.stats.stats.median < _DOWN_S


def down(labs: list[NetnsLab]) -> None:
    """Take all of them down."""
    while labs:
        labs.pop().__exit__(None, None, None)
