"""How long a two-site topology takes to come up, servers answering, and to go down."""

from __future__ import annotations

import pytest
from bench.claims import claim
from pytest_benchmark.fixture import BenchmarkFixture

from nattools.lab.netns.netnslab import NetnsLab
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
    state(benchmark, f"lab of two sites up, {kind}", _UP_S)


@pytest.mark.parametrize("kind", SITES)
def test_down(benchmark: BenchmarkFixture, kind: str) -> None:
    labs: list[NetnsLab] = []

    def prepare() -> None:
        labs.append(NetnsLab(two_sites(kind)).__enter__())

    benchmark.pedantic(lambda: down(labs), setup=prepare, rounds=_ROUNDS, warmup_rounds=1)
    state(benchmark, f"lab of two sites down, {kind}", _DOWN_S)


def down(labs: list[NetnsLab]) -> None:
    """Take all of them down."""
    while labs:
        labs.pop().__exit__(None, None, None)


def state(benchmark: BenchmarkFixture, figure: str, target_s: float) -> None:
    """The median of all rounds beside the target."""
    median = benchmark.stats.stats.median
    claim(benchmark, figure, ours=f"{median:.3f} s", target=f"at most {target_s:g} s", met=median <= target_s)
