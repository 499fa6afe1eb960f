"""Whom a punch over TCP lets in, and what the opener does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from punching import pair
from simulated import pass_time, run

from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.statement import statement
from nattools.net.base import LowTtlSyn, TcpFailure, TcpStream
from nattools.protocols import ice, stun
from nattools.protocols.ice.checkmessages import Check, build_check
from nattools.traversal.plan.steps import SendSchedule, Step
from nattools.traversal.simultaneousopen import CALLERS, StreamMeeting, StreamOutcome, simultaneous_open

OWN, PEER = (ice.Agent("controlling").credentials for _ in range(2))
ALICE, BOB = Endpoint("11.101.0.2", 4000), Endpoint("11.102.0.2", 4000)
Caller = Callable[[TcpStream], Awaitable[None]]


def met(leads: bool) -> StreamMeeting:
    """Alice leads, bob follows, or the other way round; each told of port 4000 of the other."""
    return StreamMeeting(leads=leads, own=OWN, peer=PEER, local=ALICE, remote=BOB)


def met_by_bob(leads: bool) -> StreamMeeting:
    return StreamMeeting(leads=leads, own=PEER, peer=OWN, local=BOB, remote=ALICE)


def step(schedule: SendSchedule, seconds: float = 6.0) -> Step:
    """The same for both sides."""
    return Step(
        strategy="simultaneous-open",
        transport="tcp",
        reason=statement("step-tcp-both-open"),
        odds=1.0,
        schedules=(schedule, schedule),
        seconds=seconds,
    )


def called_by(caller: Caller, *, leads: bool) -> StreamOutcome:
    """Alice waits for bob's calls; `caller` does what it likes with one."""

    async def main(lab: SimLab) -> StreamOutcome:
        async with asyncio.TaskGroup() as group:
            ours = group.create_task(
                simultaneous_open(lab.network("alice"), met(leads), step(SendSchedule(hold_s=9.0)))
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
        stranger = ice.Agent("controlling").credentials
        check = Check("controlled" if leads else "controlling", 1, 1, True, None, "")
        stream.write(build_check(stun.new_transaction_id(), check, PEER.ufrag, stranger))
        assert await stream.read() == b"" or leads

    outcome = called_by(caller, leads=leads)
    assert not outcome.connected
    assert outcome.counts.refused == 1
    assert outcome.reason == statement("stream-to-another")


def test_nobody_there() -> None:
    async def main(lab: SimLab) -> StreamOutcome:
        return await simultaneous_open(lab.network("alice"), met(True), step(SendSchedule(passes=3)))

    outcome = run(pair(None, None), main)
    assert (outcome.reason, outcome.counts.sent) == (
        statement("no-stream", outcomes=("refused",)),
        3,
    )


def test_both_have_the_same_stream() -> None:
    async def main(lab: SimLab) -> None:
        meetings = met(True), met_by_bob(False)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(simultaneous_open(lab.network(name), meeting, step(SendSchedule(passes=4))))
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
            Endpoint("11.2.0.2", 4000), timeout_s=0.9, opener=LowTtlSyn(ttl, 0.03)
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
            ours = group.create_task(
                simultaneous_open(lab.network("alice"), met(True), step(SendSchedule(hold_s=20.0), 30.0))
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
            theirs = await simultaneous_open(lab.network("bob"), met_by_bob(False), step(SendSchedule()))
        return ours.result(), theirs

    assert all(outcome.connected for outcome in run(pair(None, None), main))
