"""The simulated lab as a whole: runs, clocks, names, determinism and the end of everything."""

from __future__ import annotations

import asyncio
import time

import pytest
from simulated import STUN, behind_nat, open_internet, pass_time, run, udp

from nattools.errors import UsageError
from nattools.lab.backend import Lab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.loop import Deadlock
from nattools.lab.sim.simlab import SimLab
from nattools.net.base import Network


def test_it_is_a_lab_and_its_networks_are_networks() -> None:
    with SimLab(open_internet()) as lab:
        as_lab: Lab = lab
        network: Network = as_lab.network("alice")
        assert network is lab.network("alice")
        assert (network.substrate, lab.backend) == ("sim", "sim")
        assert network.missing("icmp-errors") is None
        assert network.is_public(STUN.host)
        with pytest.raises(KeyError):
            lab.network("nobody")


def test_hours_pass_in_no_time_and_runs_share_the_clock() -> None:
    began = time.perf_counter()
    with SimLab(open_internet(), start_servers=False) as lab:
        lab.run(lambda: pass_time(7200))
        lab.run(lambda: pass_time(7200))
        assert lab.loop.time() == 14400
    assert time.perf_counter() - began < 60.0  # it takes some ms; a busy machine has its time


def test_names_of_nodes_resolve_and_others_do_not() -> None:
    async def main(lab: SimLab) -> None:
        network = lab.network("alice")
        assert await network.resolve("stun", 4) == ("11.201.0.2", "11.201.0.3")
        assert await network.resolve("STUN", 6) == ("2a10:c9::2", "2a10:c9::3")
        assert await network.resolve("bob", 6) == "bob has no IPv6 address"
        assert await network.resolve("2a10:0::1") == ("2a10::1",)
        assert await network.resolve("stun.example.org") == "stun.example.org does not resolve"

    run(open_internet(), main)


def test_server_uris_are_in_the_order_of_the_file() -> None:
    servers = {"one": ServerSpec(), "two": ServerSpec(port=443)}
    with SimLab(Scenario(title="t", host={"a": HostSpec()}, server=servers), start_servers=False) as lab:
        assert lab.server_uris() == ("stun:one:3478", "stun:two:443")


def test_a_drawing_that_cannot_be_built_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        SimLab(Scenario(title="no host"))


def traffic(seed: int) -> list[tuple[float, bytes, int]]:
    """What a server sees of a lossy host behind a NAT with random ports."""

    async def main(lab: SimLab) -> list[tuple[float, bytes, int]]:
        server = await udp(lab.network("stun"), STUN)
        for number in range(60):
            alice = await udp(lab.network("alice"))
            alice.send(str(number).encode(), STUN)
            await pass_time(0.01)
        await pass_time(1)
        return [(at, data, source.port) for at, data, source in server.got]

    scenario = behind_nat(NatSpec(allocation="random"), delay_ms=20, jitter_ms=5, loss=0.2, reorder=0.1)
    return run(scenario, main, seed=seed)


def test_the_same_seed_gives_the_same_packets_at_the_same_times() -> None:
    assert traffic(3) == traffic(3)
    assert traffic(3) != traffic(4)


def test_what_main_raises_comes_out_and_the_lab_goes_on() -> None:
    async def fails() -> None:
        raise ValueError("as it should")

    async def waits_for_ever() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())

    with SimLab(open_internet(), start_servers=False) as lab:
        with pytest.raises(ValueError, match="as it should"):
            lab.run(fails)
        with pytest.raises(Deadlock):
            lab.run(waits_for_ever)
        lab.run(lambda: pass_time(1))


def test_a_failing_handler_fails_the_run() -> None:
    async def main(lab: SimLab) -> None:
        alice = await udp(lab.network("alice"))
        alice.socket.on_datagram = lambda data, source: 1 / 0  # type: ignore[return-value, func-returns-value]
        alice.send(b"", alice.local)
        await pass_time(1)

    with pytest.raises(ZeroDivisionError):
        run(open_internet(), main)


def test_leaving_the_lab_cancels_what_still_runs() -> None:
    cleaned: list[bool] = []

    async def lingers() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            cleaned.append(True)

    with SimLab(open_internet(), start_servers=False) as lab:
        task = lab.loop.create_task(lingers())
        lab.run(lambda: pass_time(1))
        assert not task.done()
    assert cleaned == [True]
    lab.close()
