"""Whom a punch over TCP lets in, and what the opener does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from punching import SECRET, pair
from simulated import pass_time, run

from nattools.lab.scenario import NatSpec
from nattools.lab.sim.lab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import Opener, TcpFailure, TcpStream
from nattools.protocols import stun
from nattools.traversal.checks import Checks
from nattools.traversal.simultaneous_open import CALLERS, StreamMeeting, StreamOutcome, simultaneous_open
from nattools.traversal.steps import Part

ALICE, BOB = Endpoint("11.101.0.2", 4000), Endpoint("11.102.0.2", 4000)
Caller = Callable[[TcpStream], Awaitable[None]]


def called_by(caller: Caller, *, leads: bool) -> StreamOutcome:
    """Alice waits for bob's calls; `caller` does what it likes with one."""

    async def main(lab: SimLab) -> StreamOutcome:
        meeting = StreamMeeting(SECRET, leads, ALICE.port, BOB)
        async with asyncio.TaskGroup() as group:
            ours = group.create_task(
                simultaneous_open(lab.network("alice"), meeting, Part(hold_s=9.0), lasts_s=6.0)
            )
            await pass_time(0.1)
            stream = await lab.network("bob").connect_tcp(ALICE, timeout_s=2)
            assert not isinstance(stream, TcpFailure)
            await caller(stream)
        return ours.result()

    return run(pair(None, None), main)


@pytest.mark.parametrize("leads", [True, False])
@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 200, b""])
def test_garbage(data: bytes, leads: bool) -> None:
    async def caller(stream: TcpStream) -> None:
        stream.write(data)
        stream.close()

    outcome = called_by(caller, leads=leads)
    assert not outcome.connected


@pytest.mark.parametrize("leads", [True, False])
def test_another_secret_and_silence(leads: bool) -> None:
    async def caller(stream: TcpStream) -> None:
        stranger = Checks(bytes(32), leads=not leads)
        stream.write(stranger.request(stun.new_transaction_id(), nominate=True))
        assert await stream.read() == b"" or leads

    outcome = called_by(caller, leads=leads)
    assert not outcome.connected
    assert outcome.counts.refused == 1
    assert outcome.reason == "A connection came about, but not with the peer."


def test_nobody_there() -> None:
    async def main(lab: SimLab) -> StreamOutcome:
        meeting = StreamMeeting(SECRET, True, 4000, BOB)
        return await simultaneous_open(lab.network("alice"), meeting, Part(passes=3), lasts_s=6.0)

    outcome = run(pair(None, None), main)
    assert (outcome.reason, outcome.counts.sent) == (
        "No attempt to connect came through (refused).",
        3,
    )


def test_both_have_the_same_stream() -> None:
    async def main(lab: SimLab) -> None:
        meetings = StreamMeeting(SECRET, True, 4000, BOB), StreamMeeting(SECRET, False, 4000, ALICE)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(simultaneous_open(lab.network(name), meeting, Part(passes=4), lasts_s=6.0))
                for name, meeting in zip(("alice", "bob"), meetings, strict=True)
            ]
        first, second = (task.result().stream for task in tasks)
        assert first is not None
        assert second is not None
        first.write(b"to the follower")
        second.write(b"to the leader")
        assert await second.read() == b"to the follower"
        assert await first.read() == b"to the leader"

    run(pair(None, None), main)


@pytest.mark.parametrize(("ttl", "refused"), [(2, False), (64, True)])
def test_the_opener_stays_on_its_side(ttl: int, refused: bool) -> None:
    """A router whose INPUT is open would refuse an ordinary SYN, and an opener comes back unharmed."""

    async def main(lab: SimLab) -> tuple[TcpStream | TcpFailure, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        result = await lab.network("alice").connect_tcp(
            Endpoint("11.2.0.2", 4000), timeout_s=0.9, opener=Opener(ttl, 0.03)
        )
        return result, loop.time() - began

    result, took = run(pair(NatSpec(), NatSpec(input="open")), main)
    assert isinstance(result, TcpFailure)
    assert result.outcome == ("refused" if refused else "timeout")
    assert (took < 0.5) == refused


def test_a_crowd_of_strangers_is_bounded_and_leaves() -> None:
    crowd: list[TcpStream] = []

    async def main(lab: SimLab) -> tuple[StreamOutcome, StreamOutcome]:
        async with asyncio.TaskGroup() as group:
            meeting = StreamMeeting(SECRET, True, ALICE.port, BOB)
            ours = group.create_task(
                simultaneous_open(lab.network("alice"), meeting, Part(hold_s=20.0), lasts_s=30.0)
            )
            await pass_time(0.1)
            for _ in range(3 * CALLERS):
                stream = await lab.network("stun").connect_tcp(ALICE, timeout_s=2)
                assert not isinstance(stream, TcpFailure)
                crowd.append(stream)
            await pass_time(0.1)
            assert sum(not stream.over for stream in crowd) <= CALLERS
            await pass_time(5.0)
            assert all(stream.over for stream in crowd)
            meeting = StreamMeeting(SECRET, False, BOB.port, ALICE)
            theirs = await simultaneous_open(lab.network("bob"), meeting, Part(), lasts_s=6.0)
        return ours.result(), theirs

    assert all(outcome.connected for outcome in run(pair(None, None), main))
