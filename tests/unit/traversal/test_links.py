"""What both kinds of links promise, each in the simulator with a round trip of 40 ms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest
from linked import both, paths, quic_links, read_all, read_exactly, streams, tls_links
from simulated import open_internet, pass_time, run

from nattools.lab.sim.simlab import SimLab
from nattools.traversal.links.link import Link

DATA = Random(4).randbytes(300_000)
TRIP_S = 0.04

Pair = tuple[Link, Link]
Maker = Callable[[SimLab], Awaitable[Pair]]


async def by_quic(lab: SimLab) -> Pair:
    return await quic_links(*await paths(lab.network("alice"), lab.network("bob")))


async def by_tls(lab: SimLab) -> Pair:
    return await tls_links(*await streams(lab.network("alice"), lab.network("bob")))


@pytest.fixture(params=[by_quic, by_tls])
def make(request: pytest.FixtureRequest) -> Maker:
    made: Maker = request.param
    return made


def linked(make: Maker, main: Callable[[Link, Link], Awaitable[None]], **spec: object) -> None:
    """Run `main` with a link's two ends, the leader's first."""

    async def with_links(lab: SimLab) -> None:
        await main(*await make(lab))

    run(open_internet(delay_ms=TRIP_S * 500, **spec), with_links)


async def send(link: Link, data: bytes) -> None:
    link.write(data)
    await link.drain()


def test_bytes_both_ways_at_once(make: Maker) -> None:
    async def main(ours: Link, theirs: Link) -> None:
        await send(ours, DATA)
        await send(theirs, DATA[::-1])
        assert await both(read_exactly(theirs, len(DATA)), read_exactly(ours, len(DATA))) == (
            DATA,
            DATA[::-1],
        )
        assert ours.ended is None
        assert theirs.ended is None

    linked(make, main)


@pytest.mark.parametrize("first", [0, 1])
def test_either_side_may_be_the_first_to_write(make: Maker, first: int) -> None:
    async def main(*links: Link) -> None:
        links[first].write(b"hello")
        assert await links[not first].read() == b"hello"

    linked(make, main)


def test_datagrams_keep_their_bounds(make: Maker) -> None:
    async def main(ours: Link, theirs: Link) -> None:
        got: list[bytes] = []
        theirs.on_datagram = got.append
        wanted = [b"", b"one", bytes(ours.max_datagram)]
        assert all([ours.send_datagram(data) for data in wanted])
        assert not ours.send_datagram(bytes(ours.max_datagram + 1))
        await pass_time(1)
        assert got == wanted

    linked(make, main)


def test_the_one_who_closes_delivers_what_he_wrote(make: Maker) -> None:
    async def main(ours: Link, theirs: Link) -> None:
        ours.write(DATA)
        _, got = await both(ours.close(), read_all(theirs))
        assert got == DATA
        assert theirs.ended == "the peer closed the connection"
        assert ours.ended == "closed on this side"
        await theirs.close()
        await ours.close()
        assert await ours.read() == b""

    linked(make, main)


def test_what_arrived_before_the_end_can_be_read_after_it(make: Maker) -> None:
    async def main(ours: Link, theirs: Link) -> None:
        ours.write(DATA)
        await ours.close()
        await pass_time(1)
        assert theirs.ended is None
        assert await read_all(theirs) == DATA
        assert theirs.ended == "the peer closed the connection"
        theirs.write(b"too late")
        await theirs.drain()
        assert not theirs.send_datagram(b"too late")

    linked(make, main)


def test_abort_ends_both_sides_at_once(make: Maker) -> None:
    async def main(ours: Link, theirs: Link) -> None:
        began = asyncio.get_running_loop().time()
        ours.abort()
        ours.abort()
        assert await theirs.read() == b""
        assert asyncio.get_running_loop().time() - began < TRIP_S
        assert (ours.ended, theirs.ended) == ("broken off on this side", "the peer broke it off")
        assert await ours.read() == b""
        await theirs.close()

    linked(make, main)


def test_an_idle_link_lives_and_a_dead_path_ends_it(make: Maker) -> None:
    async def main(lab: SimLab) -> None:
        ours, theirs = await make(lab)
        await pass_time(3600)
        ours.write(b"still there")
        assert await theirs.read() == b"still there"
        for name in ("alice", "bob"):
            lab.net.node(name).input = lambda packet: None
        began = asyncio.get_running_loop().time()
        assert await ours.read() == b""
        silence_s, grain_s = {"quic": (300, 20), "tls": (10, 4)}[ours.kind]
        assert ours.ended == f"nothing came from the peer for {silence_s} s"
        assert silence_s - grain_s < asyncio.get_running_loop().time() - began < silence_s + grain_s
        await ours.close()

    run(open_internet(delay_ms=TRIP_S * 500), main)


def test_everything_arrives_though_packets_are_lost(make: Maker) -> None:
    async def main(ours: Link, theirs: Link) -> None:
        ours.write(DATA)
        theirs.write(DATA)
        assert await both(read_exactly(theirs, len(DATA)), read_exactly(ours, len(DATA))) == (DATA, DATA)

    linked(make, main, loss=0.05, jitter_ms=5)


def test_both_may_close_at_once(make: Maker) -> None:
    async def main(ours: Link, theirs: Link) -> None:
        ours.write(b"goodbye")
        theirs.write(b"goodbye")
        began = asyncio.get_running_loop().time()
        await both(ours.close(), theirs.close())
        assert asyncio.get_running_loop().time() - began < 1
        assert ours.ended is not None or await ours.read() == b"goodbye"

    linked(make, main)
