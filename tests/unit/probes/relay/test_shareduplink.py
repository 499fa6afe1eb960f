"""Throughput is measured when no times are, and one at a time."""

from __future__ import annotations

import asyncio

from nattools.lab.sim.loop import SimLoop
from nattools.probes.relay.shareduplink import SharedUplink


def test_first_all_measure_and_then_each_has_the_uplink_alone() -> None:
    told: list[str] = []

    async def one(uplink: SharedUplink, name: str, seconds: float) -> None:
        uplink.begin()
        await asyncio.sleep(seconds)
        told.append(f"{name} has measured")
        uplink.end()
        async with uplink.alone():
            told.append(f"{name} fills")
            await asyncio.sleep(3.0)
            told.append(f"{name} is done")

    async def main() -> None:
        uplink = SharedUplink()
        async with uplink.alone():
            told.append("nobody measures")
        async with asyncio.TaskGroup() as group:
            group.create_task(one(uplink, "near", 0.1))
            group.create_task(one(uplink, "far", 2.0))

    loop = SimLoop()
    loop.run_until_complete(loop.create_task(main()))
    loop.close()
    assert told == [
        "nobody measures",
        "near has measured",
        "far has measured",
        *("near fills", "near is done"),
        *("far fills", "far is done"),
    ]
