"""How long `nattools pwnat` takes to connect: from the caller's first knock to its first authenticated
answer, with the listener there already, and with a listener that starts later."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

import pytest
from bench.claims import claim

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import Watcher
from nattools.engine.pwnat.beacons import INTERVAL_S
from nattools.engine.pwnat.connecting import connect, listen
from nattools.engine.pwnat.knockoptions import PwnatOptions
from nattools.lab.backend import Backend, Lab, open_lab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report

ROUNDS = 5
DELAY_MS = 20.0
RTT_S = 4 * DELAY_MS / 1000
MEDIAN_S = 3.0


def scenario() -> Scenario:
    """A home, and a machine on the internet, 80 ms apart there and back."""
    return Scenario(
        title="pwnat",
        name="pwnat",
        nat={"home": NatSpec()},
        host={"alice": HostSpec(behind="home", delay_ms=DELAY_MS), "carol": HostSpec(delay_ms=DELAY_MS)},
    )


def options(port: int, **more: Any) -> PwnatOptions:
    measuring = MeasureOptions("pwnat", (), families=(4,))
    return PwnatOptions(secret=f"secret {port}", measuring=measuring, wait_s=30.0, port=port, **more)


async def once(lab: Lab, port: int, late_s: float) -> float:
    """Seconds from the first knock to the first answer; the listener starts so long before or after it."""
    wall = asyncio.get_running_loop().time if lab.backend == "sim" else time.time
    alice, carol = lab.network("alice"), lab.network("carol")
    to = Endpoint("11.1.0.2", port)

    async def after(pause_s: float, work: Any) -> Report:
        await asyncio.sleep(pause_s)
        found: Report = await work
        return found

    async with asyncio.TaskGroup() as group:
        group.create_task(after(max(0.0, late_s), listen(alice, options(port), Watcher(), wall=wall)))
        calling = group.create_task(
            after(max(0.0, -late_s), connect(carol, options(port, listener=to), Watcher(), wall=wall))
        )
    found = calling.result().pwnat
    assert found is not None
    assert found.connected
    assert found.elapsed_s is not None
    return found.elapsed_s


@pytest.mark.parametrize("backend", ["sim", pytest.param("netns", marks=pytest.mark.netns)])
@pytest.mark.parametrize("late_s", [-1.0, 2.0], ids=["listener-first", "caller-first"])
def test_time_to_connect(benchmark: Any, backend: Backend, late_s: float) -> None:
    with open_lab(scenario(), backend) as lab:

        async def rounds() -> list[float]:
            return [await once(lab, 3000 + number, late_s) for number in range(ROUNDS)]

        taken: list[float] = benchmark.pedantic(lambda: lab.run(rounds), rounds=1)
    median_s = statistics.median(taken)
    at_best_s = RTT_S * 1.5 + max(0.0, late_s)
    who = "the listener is there" if late_s < 0 else f"the listener comes {late_s:.0f} s later"
    claim(
        benchmark,
        f"pwnat, {backend}, {who}: median to connect",
        ours=f"{median_s:.2f} s",
        peer=f"{at_best_s + (INTERVAL_S if late_s < 0 else 0):.2f} s",
        target=f"under {MEDIAN_S + max(0.0, late_s):.0f} s",
        met=median_s < MEDIAN_S + max(0.0, late_s),
        note=f"beside it the beacon's interval and the round trips; {ROUNDS} times, worst {max(taken):.2f} s",
    )
