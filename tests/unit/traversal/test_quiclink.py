"""QUIC links in the simulator: what becomes of them when the path or the peer is not as it should be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

import pytest
from linked import (
    OTHER_SECRET,
    SECRET,
    WatchedPath,
    as_it_is,
    both,
    lost,
    paths,
    quic_links,
    read_exactly,
)
from simulated import open_internet, pass_time, run

from nattools.lab.sim import SimLab
from nattools.traversal.link import Link
from nattools.traversal.quiclink import QuicLink, quic_link

DATA = Random(7).randbytes(200_000)
UNPROVEN = "the peer did not prove that it knows the secret"


def on_paths(main: Callable[[WatchedPath, WatchedPath], Awaitable[None]], **spec: float) -> None:
    """Run `main` with two ends of a path with a round trip of 40 ms."""

    async def with_paths(lab: SimLab) -> None:
        await main(*await paths(lab.network("alice"), lab.network("bob")))

    run(open_internet(delay_ms=20, **spec), with_paths)


def quic_linked(main: Callable[[QuicLink, QuicLink], Awaitable[None]]) -> None:
    async def with_links(one: WatchedPath, other: WatchedPath) -> None:
        await main(*await quic_links(one, other))

    on_paths(with_links)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_the_handshake_takes_one_and_a_half_round_trips() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        await quic_links(one, other)
        assert now() <= 0.0601

    on_paths(main)


@pytest.mark.parametrize("leads", [True, False])
def test_without_a_peer_it_says_so(leads: bool) -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        assert await quic_link(one, SECRET, leads=leads, timeout_s=5) == "no answer over QUIC in 5 s"
        assert now() == pytest.approx(5)
        assert not one.closed

    on_paths(main)


def test_a_wrong_secret_is_refused_on_both_sides() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, theirs = await both(
            quic_link(one, SECRET, leads=True, timeout_s=5),
            quic_link(other, OTHER_SECRET, leads=False, timeout_s=5),
        )
        assert isinstance(ours, str)
        assert isinstance(theirs, str)
        assert ours.startswith(UNPROVEN)
        assert theirs.startswith(UNPROVEN)
        # the path can be used again
        await quic_links(one, other)

    on_paths(main)


def test_drain_waits_for_a_slow_reader_and_memory_is_bounded() -> None:
    async def main(ours: Link, theirs: Link) -> None:
        written = 0

        async def write_for_ever() -> None:
            nonlocal written
            while ours.ended is None:
                ours.write(bytes(65536))
                written += 65536
                await ours.drain()

        async with asyncio.TaskGroup() as group:
            writer = group.create_task(write_for_ever())
            await pass_time(60)
            stuck = written
            assert stuck <= 10 << 20
            await pass_time(60)
            assert written == stuck
            await read_exactly(theirs, 9 << 20)
            await pass_time(60)
            assert stuck < written <= stuck + (10 << 20)
            writer.cancel()
        ours.abort()

    quic_linked(main)


def test_it_goes_on_after_forty_seconds_of_total_loss() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, theirs = await quic_links(one, other)
        ours.write(DATA)
        half = await read_exactly(theirs, len(DATA) // 2)
        one.fate = other.fate = lost
        ours.write(DATA)
        await pass_time(40)
        assert ours.ended is None
        one.fate = other.fate = as_it_is
        began = now()
        rest = await read_exactly(theirs, 2 * len(DATA) - len(half))
        assert half + rest == DATA * 2
        assert now() - began < 4

    on_paths(main)


def test_a_new_path_is_used_at_once() -> None:
    async def main(lab: SimLab) -> None:
        one, other = await paths(lab.network("alice"), lab.network("bob"))
        ours, theirs = await quic_links(one, other)
        one.fate = other.fate = lost
        ours.write(DATA)
        await pass_time(10)
        one.fate = other.fate = as_it_is
        assert one.on_change is not None
        one.on_change()
        began = now()
        assert await theirs.read()
        assert now() - began < 0.07  # a probe, its confirmation, and what was lost before
        assert await read_exactly(theirs, 1) != b""

    run(open_internet(delay_ms=20), main)


def test_replayed_packets_change_nothing() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        one.fate = other.fate = lambda data: [data, data, *one.sent[-3:]] if len(one.sent) < 2000 else [data]
        ours, theirs = await quic_links(one, other)
        ours.write(DATA)
        assert await read_exactly(theirs, len(DATA)) == DATA
        theirs.write(DATA)
        assert await read_exactly(ours, len(DATA)) == DATA
        assert ours.ended is theirs.ended is None

    on_paths(main)


def test_altered_packets_and_garbage_change_nothing() -> None:
    draw = Random(5)

    def tampered(data: bytes) -> list[bytes]:
        altered = bytearray(data)
        altered[draw.randrange(len(altered))] ^= 1 << draw.randrange(8)
        garbage = bytes([0x40 | draw.randrange(64)]) + draw.randbytes(draw.randrange(1300))
        return [bytes(altered), garbage, data, data[: draw.randrange(1, len(data))]]

    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, theirs = await quic_links(one, other)
        one.fate = other.fate = tampered
        ours.write(DATA)
        theirs.write(DATA)
        assert await both(read_exactly(theirs, len(DATA)), read_exactly(ours, len(DATA))) == (DATA, DATA)

    on_paths(main)
