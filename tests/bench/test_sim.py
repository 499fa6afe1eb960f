"""What the simulator costs: a packet through a NAT, and a lab from nothing."""

from __future__ import annotations

import asyncio
import gc
import statistics
from collections.abc import Iterator
from time import process_time
from typing import Any

import pytest
from bench.claims import claim
from msgspec.structs import replace
from simulated import STUN, behind_nat, udp

from nattools.__main__ import GARBAGE_AFTER
from nattools.engine.run import measure
from nattools.lab import expect
from nattools.lab.scenariofiles import load
from nattools.lab.sim.simlab import SimLab
from nattools.trials.scenarios import expectations, measure_options, no_progress

ROUND_TRIPS = 1000
RUNS, ROUNDS = 20, 5
REQUIRED_RUNS_PER_S = 150


def test_a_thousand_round_trips_through_a_nat(benchmark: Any) -> None:
    scenario = behind_nat()

    async def main(lab: SimLab) -> int:
        await udp(lab.network("stun"), STUN, echo=True)
        alice = await lab.network("alice").open_udp(family=4)
        done = asyncio.get_running_loop().create_future()
        left = ROUND_TRIPS

        def again(data: bytes, source: object) -> None:
            nonlocal left
            left -= 1
            if left:
                alice.send(data, STUN)
            else:
                done.set_result(None)

        alice.on_datagram = again
        alice.send(bytes(20), STUN)
        await done
        return left

    def run() -> int:
        with SimLab(scenario, start_servers=False) as lab:
            return lab.run(lambda: main(lab))

    assert benchmark(run) == 0


def test_a_lab_with_its_server_up_and_down(benchmark: Any) -> None:
    scenario = behind_nat()

    async def nothing() -> bool:
        return True

    def run() -> bool:
        with SimLab(scenario) as lab:
            return lab.run(nothing)

    assert benchmark(run)


@pytest.fixture
def as_the_command_does() -> Iterator[None]:
    """Garbage is looked for as seldom as in the command's own process."""
    before = gc.get_threshold()
    gc.set_threshold(GARBAGE_AFTER)
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("as_the_command_does")
def test_complete_nat_runs(benchmark: Any) -> None:
    """What `nattools nat` does in a simulated home: a lab from nothing, all probes, the analysis.
    Every run must be right."""
    scenario = load("port-restricted")
    wanted = {"nat": expectations(scenario, "alice")["nat"]}
    rates: list[float] = []

    def once(seed: int) -> None:
        with SimLab(scenario, seed=seed) as lab:
            options = replace(measure_options(lab, "alice"), command="nat")
            report = lab.run(lambda: measure(lab.network("alice"), options, no_progress))
        assert expect.check(report, wanted) == []

    def several() -> None:
        began = process_time()
        for seed in range(RUNS):
            once(seed)
        rates.append(RUNS / (process_time() - began))

    benchmark.pedantic(several, rounds=ROUNDS, warmup_rounds=1)
    rate = statistics.median(rates[1:])
    claim(
        benchmark,
        "complete nat runs in the simulator",
        ours=f"{rate:.0f}/CPU s",
        target=f"at least {REQUIRED_RUNS_PER_S}/CPU s",
        met=rate >= REQUIRED_RUNS_PER_S,
    )
