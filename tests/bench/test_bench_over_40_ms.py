"""What `--bench` finds over a round trip of 40 ms, in the simulator: by the virtual clock, so that how busy
this machine is does not show, nor what its cores could carry (`test_link.py` has that)."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.claims import claim
from bench.losses import Bottleneck, links
from simulated import open_internet, run

from nattools.lab.sim.simlab import SimLab
from nattools.model.punch import Throughput
from nattools.traversal.tunnel.measure import SECONDS, BenchUse
from nattools.traversal.tunnel.tunnel import Tunnel

REQUIRED_MBIT_PER_S = 300
PATH_MBIT_PER_S = 400
QUEUE_S = 0.05


async def measured(lab: SimLab) -> Throughput:
    there, back = (Bottleneck(PATH_MBIT_PER_S * 125_000, QUEUE_S, 0.0) for _ in range(2))
    ends = await links(lab, there, back)
    tunnels = [Tunnel(bytes(16), leads=leads, uses=("bench",)) for leads in (True, False)]
    uses = [BenchUse(tunnel) for tunnel in tunnels]
    async with asyncio.TaskGroup() as group:
        for tunnel, end in zip(tunnels, ends, strict=True):
            group.create_task(tunnel.run())
            tunnel.attach(end)
        throughput = await uses[0].run(SECONDS)
        for tunnel in tunnels:
            tunnel.stop("measured")
    return throughput


def test_a_bench_over_40_ms(benchmark: Any) -> None:
    found: list[Throughput] = []
    benchmark.pedantic(lambda: found.append(run(open_internet(delay_ms=20), measured)), rounds=1)
    [throughput] = found
    slower = min(throughput.up_mbps, throughput.down_mbps)
    assert throughput.idle_rtt_ms is not None
    assert throughput.idle_rtt_ms >= 40
    claim(
        benchmark,
        f"punch --bench over 40 ms and {PATH_MBIT_PER_S} Mbit/s, simulated, by the virtual clock",
        ours=f"{slower:,.0f} Mbit/s",
        target=f"at least {REQUIRED_MBIT_PER_S} Mbit/s",
        met=slower >= REQUIRED_MBIT_PER_S,
        note=f"the slower of up and down; an echo takes {throughput.loaded_rtt_ms:,.0f} ms meanwhile",
    )
