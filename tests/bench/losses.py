"""What a QUIC link carries in the simulator over a round trip of 40 ms: the table of docs/design/0011.

python tests/bench/losses.py
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from linked import SECRET, SocketPath, both, read_exactly
from simulated import open_internet, run

from nattools.lab.sim.simlab import SimLab
from nattools.traversal.links.link import Link, Receive
from nattools.traversal.links.quiclink import QuicLink
from nattools.traversal.links.quicopening import quic_link

TRIP_S = 0.02


class Bottleneck:
    """What several paths pass through one way: so many bytes a second, behind a queue."""

    def __init__(self, bytes_per_s: float, queue_s: float, loss: float) -> None:
        self.bytes_per_s, self.queue_s, self.loss = bytes_per_s, queue_s, loss
        self.free_at = 0.0
        self.draw = random.Random(1)

    def pass_on(self, data: bytes, send: Callable[[list[bytes]], None]) -> None:
        loop = asyncio.get_running_loop()
        begins = max(loop.time(), self.free_at)
        if begins - loop.time() <= self.queue_s and self.draw.random() >= self.loss:
            self.free_at = begins + len(data) / self.bytes_per_s
            loop.call_at(self.free_at, send, [data])


class Through:
    """A path through a bottleneck."""

    def __init__(self, path: SocketPath, bottleneck: Bottleneck) -> None:
        self.path, self.bottleneck = path, bottleneck
        self.local, self.remote = path.local, path.remote

    def attach(self, receive: Receive, changed: Callable[[], None]) -> None:
        self.path.attach(receive, changed)

    def detach(self) -> None:
        self.path.detach()

    def send(self, datagrams: list[bytes]) -> None:
        for data in datagrams:
            self.bottleneck.pass_on(data, self.path.send)


async def links(lab: SimLab, there: Bottleneck, back: Bottleneck) -> tuple[QuicLink, QuicLink]:
    ours = await lab.network("alice").open_udp(family=4)
    theirs = await lab.network("bob").open_udp(family=4)
    one, other = await both(
        quic_link(Through(SocketPath(ours, theirs.local), there), SECRET, leads=True, timeout_s=10),
        quic_link(Through(SocketPath(theirs, ours.local), back), SECRET, leads=False, timeout_s=10),
    )
    assert isinstance(one, QuicLink)
    assert isinstance(other, QuicLink)
    return one, other


async def write(link: Link, size: int) -> bytes:
    for _ in range(0, size, 16_000):
        link.write(bytes(16_000))
        await link.drain()
    return b""


def alone(mbps: float, queue_s: float, loss: float, size: int) -> float:
    async def main(lab: SimLab) -> float:
        there, back = (Bottleneck(mbps * 125_000, queue_s, loss) for _ in range(2))
        one, other = await links(lab, there, back)
        began = lab.loop.time()
        await both(write(one, size), read_exactly(other, size))
        print(f"    ({len(one._sending)} connections)", file=sys.stderr)
        return size * 8e-6 / (lab.loop.time() - began)

    return run(open_internet(delay_ms=20), main)


def beside(mbps: float, queue_s: float, seconds: float = 20.0) -> tuple[float, float]:
    """Ours, and one that never uses more than one connection."""

    async def main(lab: SimLab) -> tuple[float, float]:
        there, back = (Bottleneck(mbps * 125_000, queue_s, 0.0) for _ in range(2))
        pairs = [await links(lab, there, back) for _ in range(2)]
        pairs[1][0]._rounds.count._use = lambda count: None  # type: ignore[method-assign]
        tasks = [asyncio.ensure_future(write(one, 1 << 40)) for one, _ in pairs]
        readers = [asyncio.ensure_future(read_exactly(other, 1 << 40)) for _, other in pairs]
        await asyncio.sleep(5.0)
        before = [other._expected for _, other in pairs]
        await asyncio.sleep(seconds)
        carried = [
            (other._expected - had) * 8e-6 / seconds for (_, other), had in zip(pairs, before, strict=True)
        ]
        for task in (*tasks, *readers):
            task.cancel()
        for link in (link for pair in pairs for link in pair):
            link.abort()
        await asyncio.sleep(1)
        return carried[0], carried[1]

    return run(open_internet(delay_ms=20), main)


PATHS = ((50, 50, 0.001), (50, 50, 0.01), (50, 50, 0.03), (20, 40, 0.0), (20, 8, 0.0), (100, 50, 0.0))
SIZE = 20_000_000

if __name__ == "__main__":
    for mbps, queue_ms, loss in PATHS:
        size = SIZE if loss < 0.01 else SIZE // 2
        carried = alone(mbps, queue_ms / 1000, loss, size)
        print(f"{mbps} Mbit/s, queue {queue_ms} ms, {loss:.1%} lost: {carried:.1f}", flush=True)
    for queue_ms in (40, 12):
        print(
            f"20 Mbit/s, queue {queue_ms} ms, beside one connection: {beside(20, queue_ms / 1000)}",
            flush=True,
        )
