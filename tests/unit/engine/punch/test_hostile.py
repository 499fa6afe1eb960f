"""A peer that has the code and means ill, in the simulator: it is refused and named, nothing breaks, and
nobody else gets more than the plan has announced."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hostile import NEIGHBOUR, VICTIM, Foe, Seen, against, introduction

from nattools.engine.punch import signals as m
from nattools.model.nat import Nat, NatByTransport
from nattools.model.punch import Stage
from nattools.protocols.mailbox import MAX_PAYLOAD

VICTIM_AT = "11.3.0.2"
GARBAGE = [
    b"",
    b"\0" * 9000,
    b"[" * 11_000,
    b"null",
    b'{"type":"introduction"}',
    b'{"type":"new"}',
    b"\xff\xfe",
]


def refused(seen: Seen) -> None:
    assert not seen.connected
    assert seen.report is not None
    assert seen.arrived[NEIGHBOUR] == 0


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda data: repr(data[:12]))
def test_garbage_instead_of_an_introduction(garbage: bytes) -> None:
    async def foe(foe: Foe) -> None:
        foe.say(garbage)
        await foe.until(m.RemoteTimeline)

    seen = against(foe)
    refused(seen)
    assert "does not know" in seen.why
    assert seen.packets == 0


def test_our_own_words_turned_back() -> None:
    async def foe(foe: Foe) -> None:
        own = await foe.until(m.Introduction)
        assert own is not None
        foe.say(own)
        await foe.until(m.RemoteTimeline)

    seen = against(foe)
    refused(seen)
    assert "mirror" in seen.why


def absurd(**said: Any) -> NatByTransport:
    nat = Nat(reachable=True, present=True, mapping="address-and-port-dependent", **said)
    return NatByTransport(udp4=nat, tcp4=nat)


@pytest.mark.parametrize(
    "nat",
    [
        absurd(port_allocation="sequential", port_step=10**30),
        absurd(port_allocation="sequential", port_step=-(10**30)),
        absurd(port_allocation="random", port_range=(-(10**9), 10**9), port_block=True),
        absurd(port_allocation="random", port_range=(5, 4), port_block=True),
        absurd(port_allocation="random", port_range=(1, 4096), port_block=True, distance_hops=-5),
        absurd(port_allocation="random", distance_hops=10**9, rtt_ms=1e300),
        absurd(port_allocation="random", rtt_ms=-1e300),
        NatByTransport(),
    ],
)
def test_absurd_behaviour(nat: NatByTransport) -> None:
    """However it says that its ports move: no more packets than announced, and those at once."""

    async def foe(foe: Foe) -> None:
        foe.say(introduction(nat=nat))
        for step in range(4):
            foe.say(m.StepReady(attempt=0, step=step, told=f"{VICTIM_AT}:5000"))
        await foe.until(m.RemoteTimeline)

    seen = against(foe)
    refused(seen)
    assert seen.announced < 5000
    assert sum(seen.arrived.values()) <= seen.announced
    assert seen.took_s < 60.0


BYSTANDERS = ["127.0.0.1", "0.0.0.0", "224.0.0.251", "255.255.255.255", "10.0.1.3", "10.0.1.1", "192.168.1.1"]


@pytest.mark.parametrize("host", BYSTANDERS)
def test_a_step_at_somebody_near_us(host: str) -> None:
    """Thousands of packets at our own machine, at our router, or at all on our network."""

    async def foe(foe: Foe) -> None:
        foe.say(introduction("symmetric-random"))
        for step in range(2):
            foe.say(m.StepReady(attempt=0, step=step, told=f"{host}:1900"))
        await foe.until(m.RemoteTimeline)

    seen = against(foe)
    refused(seen)
    assert host in seen.why
    assert seen.packets == 0


@pytest.mark.parametrize(
    "told", ["", "[::1]:9", "[2001:db8::1]:9", "11.3.0.2", "11.3.0.2:0", "a.b:1", "9" * 500]
)
def test_a_step_at_what_is_no_place(told: str) -> None:
    async def foe(foe: Foe) -> None:
        foe.say(introduction("symmetric-random"))
        foe.say(m.StepReady(attempt=0, step=0, told=told))
        await foe.until(m.RemoteTimeline)

    seen = against(foe)
    refused(seen)
    assert seen.packets == 0


def candidate(host: str, port: int, kind: str = "host") -> str:
    return f"candidate:1 1 udp 2130706431 {host} {port} typ {kind}"


def test_candidates_that_are_none() -> None:
    texts = ["", " typ srflx", "x typ srflx", "candidate:", "a" * 512, candidate("300.1.1.1", 5), "\x1b[2J"]
    texts += [candidate(host, 5000, "srflx") for host in BYSTANDERS]

    async def foe(foe: Foe) -> None:
        foe.say(introduction(candidates=tuple(texts)))
        for text in texts * 20:
            foe.say(m.LateCandidate(attempt=0, candidate=text))
        await foe.until(m.RemoteTimeline)

    seen = against(foe)
    refused(seen)
    assert seen.packets == 0


def test_a_thousand_candidates_at_one_victim() -> None:
    async def foe(foe: Foe) -> None:
        foe.say(introduction(candidates=tuple(candidate(VICTIM_AT, 1000 + each) for each in range(48))))
        number = 0
        while number < 1000:
            if not foe.say(m.LateCandidate(attempt=0, candidate=candidate(VICTIM_AT, 2000 + number))):
                await asyncio.sleep(0.05)
            number += 1
        await foe.until(m.RemoteTimeline)

    seen = against(foe)
    refused(seen)
    assert seen.arrived[VICTIM] / seen.took_s < 60
    assert seen.arrived[VICTIM] <= 1000


def test_more_candidates_than_may_be_is_refused_at_once() -> None:
    async def foe(foe: Foe) -> None:
        text = candidate(VICTIM_AT, 1)
        foe.say(b'{"type":"introduction","nonce":1,"nat":{},"ufrag":"abcd","password":"' + b"a" * 22
                + b'","candidates":' + msgspec.json.encode([text] * 150) + b"}")  # fmt: skip
        await foe.until(m.RemoteTimeline)

    seen = against(foe)
    refused(seen)
    assert "does not know" in seen.why
    assert seen.packets == 0


def test_it_begins_anew_for_ever() -> None:
    async def foe(foe: Foe) -> None:
        for attempt in range(1, 1000):
            foe.say(m.AttemptBegun(attempt=attempt))
            if await foe.until(m.Introduction) is None:
                return

    seen = against(foe)
    refused(seen)
    assert "keeps starting over" in seen.why
    assert seen.packets == 0
    assert seen.took_s < 30.0


def test_it_floods_with_all_that_there_is_to_say() -> None:
    stages = tuple(Stage(at_s=1e300, side="here", stage="plan", text="x" * 60) for _ in range(60))

    async def foe(foe: Foe) -> None:
        foe.say(introduction())
        for number in range(2000):
            each: list[m.Message] = [
                m.StepReady(attempt=number, step=number % 100, told="11.3.0.2:1"),
                m.LateCandidate(attempt=number, candidate="x"),
                m.RemoteTimeline(attempt=0, stages=stages),
            ]
            if not foe.say(each[number % 3]):
                await asyncio.sleep(0.05)

    seen = against(foe)
    refused(seen)


def test_a_peer_that_never_says_who_it_is() -> None:
    async def foe(foe: Foe) -> None:
        await asyncio.sleep(200.0)

    seen = against(foe)
    refused(seen)
    assert "did not introduce itself" in seen.why
    assert seen.packets == 0


def test_our_own_story_is_never_too_long_to_be_told() -> None:
    stage = Stage(at_s=123456.789, side="here", stage="attempt", text='"' * 300)
    story = m.remote_timeline(7, (stage,) * 400)
    assert len(m.encode(story)) <= MAX_PAYLOAD
    assert len(story.stages) > 10
    assert m.decode(m.encode(story)) == story


@pytest.mark.parametrize("introduced", [False, True])
def test_a_peer_that_is_killed_has_left_within_seconds(introduced: bool) -> None:
    """Its kernel closes its connection to the mailbox, and it never comes back."""

    async def foe(foe: Foe) -> None:
        await foe.until(m.Introduction)
        if introduced:
            foe.say(introduction("symmetric-random"))
            await asyncio.sleep(1.0)
        socket = foe.meeting._socket
        assert socket is not None
        socket.stream.abort()
        await asyncio.sleep(0.1)
        foe.lab.cut("bob")
        await asyncio.Event().wait()

    seen = against(foe)
    refused(seen)
    assert "left the mailbox" in seen.why
    assert seen.took_s < 25.0
