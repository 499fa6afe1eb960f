"""What a peer that has the code does to one stream of a tunnel, and what the others have meanwhile. Bytes are
counted on links in memory, and seconds are the loop's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from links import Pair, run_pair
from simulated import pass_time
from streamends import echo

from nattools.protocols.tunnel import MAX_STREAMS, Pipe, TcpTo
from nattools.protocols.tunnel import frames as f
from nattools.protocols.tunnel.streams import INITIAL_LIMIT
from nattools.traversal.tunnel import Tunnel, TunnelStream

HONEST = 2_000_000
RATE = 20e6
"""Bytes a second that the link carries each way."""
EVIL = TcpTo("localhost", 9)
"""What the streams of an attack are for; honest ones are pipes."""


async def never_read(stream: TunnelStream) -> None:
    await stream.finished()


async def write_on(stream: TunnelStream) -> None:
    """As much as it takes, for as long as it lives."""
    while not stream.over:
        stream.write(bytes(65_536))
        await stream.drain()


async def carried_s(tunnel: Tunnel) -> float:
    """How long an honest stream takes for its bytes, there and back."""
    loop = asyncio.get_running_loop()
    began, stream = loop.time(), tunnel.open(Pipe())

    async def write() -> None:
        for _ in range(HONEST // 50_000):
            stream.write(b"h" * 50_000)
            await stream.drain()
        stream.end()

    got = 0
    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        while data := await stream.read():
            got += len(data)
    assert got == HONEST
    assert await stream.finished() is None
    return loop.time() - began


def grants_one_by_one(pair: Pair) -> list[TunnelStream]:
    """The peer lets in a byte more of one stream each millisecond: every one takes a frame each way."""
    session, stream = pair.other._session, pair.one.open(EVIL)
    give_credit = session._give_credit
    session._give_credit = lambda each, **how: None if each.id == stream.id else give_credit(each, **how)

    async def grant() -> None:
        await asyncio.sleep(1.0)  # it has heard of the stream
        for limit in range(INITIAL_LIMIT + 1, INITIAL_LIMIT + 100_000):
            session._streams[stream.id].incoming.limit = limit
            session._say(f.Credit(stream.id, 0, limit))
            pair.other._flush()
            await asyncio.sleep(0.001)

    pair.other.spawn(grant())
    return [stream]


def unread_there(pair: Pair) -> list[TunnelStream]:
    """As many forwarded connections as there may be, but one, to a program that reads nothing."""
    return [pair.one.open(EVIL) for _ in range(MAX_STREAMS - 1)]


def unread_here(pair: Pair) -> list[TunnelStream]:
    """The same the other way: what the peer sends is read by nobody here."""
    return [pair.other.open(EVIL) for _ in range(MAX_STREAMS)]


@pytest.mark.parametrize(
    ("attack", "takes_s"), [(grants_one_by_one, 0.5), (unread_there, 3.0), (unread_here, 3.0)]
)
def test_the_streams_of_others_go_on(attack: Callable[[Pair], list[TunnelStream]], takes_s: float) -> None:
    """Where all that may be unread is on the way, an honest stream has less on the way at a time, no more."""

    async def main(pair: Pair) -> tuple[float, float]:
        pair.join(bytes_per_s=RATE)
        for tunnel in (pair.one, pair.other):
            tunnel.serve(Pipe, echo)
            tunnel.serve(TcpTo, never_read)
            await tunnel.present.wait()
        alone_s = await carried_s(pair.one)
        evil = attack(pair)
        for stream in evil:
            (pair.one if stream in pair.one._streams.values() else pair.other).spawn(write_on(stream))
        await pass_time(10.0)
        beside_s = await carried_s(pair.one)
        assert not any(stream.over for stream in evil), "the attack went on"
        return alone_s, beside_s

    alone_s, beside_s = run_pair(main, joined=False)
    assert alone_s < 0.5
    assert beside_s < takes_s


@pytest.mark.parametrize("ends_here", [False, True])
def test_streams_that_stay_half_open_take_nothing_from_others(ends_here: bool) -> None:
    """The peer ends its half of as many streams as there may be; this side's program, or the peer's, never
    does. They stay, as half-closed connections may, and an honest stream has most of what there is."""

    async def main(pair: Pair) -> tuple[int, float]:
        pair.join(bytes_per_s=RATE)
        for tunnel in (pair.one, pair.other):
            tunnel.serve(Pipe, echo)
            tunnel.serve(TcpTo, never_read)
            await tunnel.present.wait()
        halves = [pair.other.open(EVIL) for _ in range(MAX_STREAMS)]
        for stream in halves:
            stream.write(b"x")
            stream.end()
        await pass_time(10.0)
        if ends_here:
            for stream in list(pair.one._streams.values()):
                stream.end()
        sent = pair.one.sent + pair.other.sent
        await pass_time(600.0)
        quiet = pair.one.sent + pair.other.sent - sent
        assert all(stream.over is ends_here for stream in halves)
        return quiet, await carried_s(pair.one)

    quiet, beside_s = run_pair(main, joined=False)
    assert quiet < 100_000, "they cost no more than the link itself"
    assert beside_s < 1.0
