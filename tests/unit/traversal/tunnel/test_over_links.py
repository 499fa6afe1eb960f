"""The tunnel over the links that there are, each broken off and replaced by one of the other kind."""

from __future__ import annotations

import asyncio
import math
from random import Random

import pytest
from linked import narrow_paths, paths, quic_links, streams, tls_links
from links import Pair
from simulated import open_internet, pass_time, run
from streamends import echo, write_all

from nattools.lab.sim.simlab import SimLab
from nattools.model.punch import Echoes
from nattools.protocols.tunnel import Pipe
from nattools.traversal.links.link import Link
from nattools.traversal.tunnel import TunnelStream
from nattools.traversal.tunnel.measure import echoes

DATA = Random(6).randbytes(1_200_000)


async def linked(lab: SimLab, kind: str) -> tuple[Link, Link]:
    """A link of the kind, both ends; the leader's first."""
    alice, bob = lab.network("alice"), lab.network("bob")
    if kind == "quic":
        return await quic_links(*await paths(alice, bob))
    return await tls_links(*await streams(alice, bob))


async def attach(lab: SimLab, pair: Pair, kind: str) -> None:
    ours, theirs = await linked(lab, kind)
    pair.one.attach(ours)
    pair.other.attach(theirs)
    await pair.one.present.wait()
    await pair.other.present.wait()


def echoing(pair: Pair) -> None:
    pair.other.serve(Pipe, echo)


@pytest.mark.parametrize("kinds", [("quic", "tls", "quic"), ("tls", "quic", "tls")])
def test_every_byte_once_over_links_that_break(kinds: tuple[str, ...]) -> None:
    async def main(lab: SimLab) -> tuple[bytes, str | None, list[str | None]]:
        pair = Pair()
        echoing(pair)
        received = bytearray()
        async with asyncio.TaskGroup() as group:
            group.create_task(pair.one.run())
            group.create_task(pair.other.run())
            stream = pair.one.open(Pipe())
            group.create_task(write_all(stream, DATA, 60_000))
            thirds = iter((len(DATA) // 3, 2 * len(DATA) // 3, len(DATA) + 1))
            for number, kind in enumerate(kinds):
                await attach(lab, pair, kind)
                enough = next(thirds)
                while len(received) < enough and (data := await stream.read()):
                    received += data
                broken = (pair.one, pair.other)[number % 2].link
                if len(received) < len(DATA) and broken is not None:
                    broken.abort()
            failed = await stream.finished()
            async with asyncio.TaskGroup() as leaving:
                leaving.create_task(pair.one.finish())
                leaving.create_task(pair.other.finish())
        return bytes(received), failed, [pair.one.ended, pair.other.ended]

    assert run(open_internet(delay_ms=20, loss=0.01), main) == (DATA, None, ["", ""])


@pytest.mark.parametrize("kind", ["quic", "tls"])
def test_echoes_and_datagrams(kind: str) -> None:
    async def main(lab: SimLab) -> tuple[Echoes, bool]:
        pair, got = Pair(), list[bytes]()
        opened: asyncio.Future[TunnelStream] = lab.loop.create_future()

        async def take(stream: TunnelStream) -> None:
            stream.on_datagram = got.append
            opened.set_result(stream)

        pair.other.serve(Pipe, take)
        async with asyncio.TaskGroup() as group:
            group.create_task(pair.one.run())
            group.create_task(pair.other.run())
            await attach(lab, pair, kind)
            result = await echoes(pair.one)
            stream = pair.one.open(Pipe())
            await opened
            largest = bytes(pair.one.max_datagram)
            assert stream.send_datagram(largest)
            assert not stream.send_datagram(largest + b"x")
            await pass_time(1.0)
            pair.one.stop("over")
            pair.other.stop("over")
        return result, got == [largest]

    result, arrived = run(open_internet(delay_ms=20), main)
    assert (result.sent, result.received, arrived) == (10, 10, True)
    assert result.rtt_ms is not None
    assert result.rtt_ms[0] == pytest.approx(40, abs=1)


@pytest.mark.parametrize("bytes_per_s", [1.25e5, 1.25e6])
def test_nothing_waits_for_long_behind_many_bytes(bytes_per_s: float) -> None:
    """What fills a narrow path at 40 ms leaves the echoes little more than the path's own queue; where that
    runs over, one of them may wait for a packet to be sent again."""
    queue_s = 0.05

    async def main(lab: SimLab) -> tuple[list[float | None], int]:
        pair, arrived, rtts_s = Pair(), 0, list[float | None]()

        async def take(stream: TunnelStream) -> None:
            nonlocal arrived
            while data := await stream.read():
                arrived += len(data)

        pair.other.serve(Pipe, take)
        ends = await narrow_paths(lab.network("alice"), lab.network("bob"), bytes_per_s, queue_s)
        ours, theirs = await quic_links(*ends)
        async with asyncio.TaskGroup() as group:
            group.create_task(pair.one.run())
            group.create_task(pair.other.run())
            pair.one.attach(ours)
            pair.other.attach(theirs)
            await pair.one.present.wait()
            sending = group.create_task(write_all(pair.one.open(Pipe()), DATA * 5, 60_000))
            await pass_time(2.0)
            before = arrived
            for _ in range(10):
                rtts_s.append(await pair.one.echo(10.0))
                await pass_time(0.1)
            sending.cancel()
            pair.one.stop("over")
            pair.other.stop("over")
        return rtts_s, arrived - before

    rtts_s, arrived = run(open_internet(delay_ms=20), main)
    assert arrived > 0.8 * bytes_per_s
    most_s = 0.04 + queue_s + 3 * 16_384 / bytes_per_s
    *most, worst = sorted(rtt_s or math.inf for rtt_s in rtts_s)
    assert most[-1] < most_s
    assert worst < most_s + 0.04 + queue_s
