"""What the simulator costs: a packet through a NAT, and a lab from nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from simulated import STUN, behind_nat, udp

from nattools.lab.sim import SimLab

ROUND_TRIPS = 1000


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
