"""Datagrams between two keys through Tailscale's own DERP server, on loopback: what our client pays, and how
long they take. There is no other client in Python to compare it with."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bench.claims import claim
from bench.relayprocess import LOOPBACK

from nattools.lab.netns.processes import await_listener
from nattools.net.derp.derpsocket import DerpSocket, open_derp
from nattools.net.system.hostnetwork import HostNetwork
from nattools.protocols.derp import DerpNode, node_at

pytestmark = pytest.mark.interop("derper")
DERPER = Path(__file__).parents[2] / ".peers" / "derper"  # built by scripts/peers.sh
PORT = 3340  # derper's for plain HTTP
DATAGRAMS = 20_000
WINDOW = 32
TRIPS = 1_000
SIZE = 1200


@contextmanager
def derper(folder: Path) -> Iterator[DerpNode]:
    command = [str(DERPER), "-a", f"{LOOPBACK}:{PORT}", "-http-port", "-1", "-stun=false"]
    command += ["-hostname", LOOPBACK, "-c", str(folder / "key.json")]
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    try:
        await_listener(program, PORT, 20.0, ("tcp", "tcp6"))
        yield node_at(LOOPBACK, PORT)
    finally:
        program.kill()
        program.wait()


class Ends:
    """Two clients of the server, and a count of what arrives at the second."""

    def __init__(self, alice: DerpSocket, bob: DerpSocket) -> None:
        self.alice, self.bob = alice, bob
        self.place = alice.permit(bob.key)
        self.back = bob.permit(alice.key)
        self.arrived = 0
        self.due = 0
        self.there = asyncio.Event()
        bob.on_datagram = lambda data, source: self._count()

    def _count(self) -> None:
        self.arrived += 1
        if self.arrived >= self.due:
            self.there.set()

    async def put(self, count: int) -> None:
        """A window after the other."""
        for _ in range(count // WINDOW):
            self.due = self.arrived + WINDOW
            self.there.clear()
            for _ in range(WINDOW):
                self.alice.send(bytes(SIZE), self.place)
            await self.there.wait()

    async def trips_us(self, count: int) -> list[float]:
        """There and back."""
        taken: list[float] = []
        home = asyncio.Event()
        self.bob.on_datagram = lambda data, source: void(self.bob.send(data, self.back))
        self.alice.on_datagram = lambda data, source: home.set()
        for _ in range(count):
            home.clear()
            began = time.perf_counter()
            self.alice.send(bytes(160), self.place)
            await home.wait()
            taken.append((time.perf_counter() - began) * 1e6)
        return taken


def void(_: object) -> None:
    """Nothing."""


async def measured(node: DerpNode) -> tuple[float, list[float]]:
    """Datagrams a second of this process, which has both ends; round trips in microseconds."""
    network = HostNetwork()
    alice, bob = await open_derp(network, node), await open_derp(network, node)
    assert isinstance(alice, DerpSocket), alice
    assert isinstance(bob, DerpSocket), bob
    ends = Ends(alice, bob)
    async with asyncio.timeout(60):
        await ends.put(WINDOW)
        cpu = time.process_time()
        await ends.put(DATAGRAMS)
        rate = DATAGRAMS / (time.process_time() - cpu)
        trips = await ends.trips_us(TRIPS)
    alice.close()
    bob.close()
    return rate, trips


def test_datagrams_through_derper(benchmark: Any, tmp_path: Path) -> None:
    with derper(tmp_path) as node:
        rate, trips = benchmark.pedantic(lambda: asyncio.run(measured(node)), rounds=1)
    cuts = statistics.quantiles(trips, n=100)
    what = f"DERP through derper, datagrams of {SIZE:,} bytes, both ends in one process"
    claim(benchmark, what, ours=f"{rate:,.0f}/CPU s", target="", met=None)
    claim(
        benchmark,
        "DERP through derper, there and back, p50 and p99",
        ours=f"{cuts[49]:.0f} and {cuts[98]:.0f} us",
        target="",
        met=None,
    )
