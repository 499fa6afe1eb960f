"""The simulator's TCP byte stream: whatever happens to segments, the bytes arrive whole and in order."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from nattools.lab.sim.tcpqueues import MASK, ReceiveQueue, SendQueue, near


@given(st.integers(0, 1 << 40), st.integers(-(1 << 30), 1 << 30))
def test_near_finds_the_number_again(reference: int, distance: int) -> None:
    assert near(reference, (reference + distance) & MASK) == reference + distance


@given(st.binary(max_size=400), st.integers(0, MASK), st.integers(1, 60), st.integers(1, 200), st.integers())
def test_segments_lost_repeated_and_reordered_give_the_same_bytes(
    data: bytes, first: int, size: int, window: int, seed: int
) -> None:
    rng = random.Random(seed)
    sender, receiver = SendQueue(first), ReceiveQueue(first)
    sender.append(data)
    sender.closed = True
    for _ in range(10_000):
        if sender.finished:
            break
        sender.rewind()
        segments = []
        while (segment := sender.segment(rng.randint(1, size), window)) is not None:
            segments += [segment] * rng.choice((0, 1, 1, 2))
        rng.shuffle(segments)
        for number, payload, fin in segments:
            receiver.accept(near(receiver.expected, number & MASK), payload, fin)
        sender.acknowledge(near(sender.una, receiver.expected & MASK))
    assert sender.finished
    assert receiver.ended
    assert bytes(receiver.ready) == data
    assert sender.in_flight == 0


@given(st.lists(st.tuples(st.integers(-50, 300), st.binary(max_size=60), st.booleans()), max_size=40))
def test_the_receiver_survives_anything(segments: list[tuple[int, bytes, bool]]) -> None:
    receiver = ReceiveQueue(0)
    for number, payload, fin in segments:
        before = bytes(receiver.ready), receiver.expected
        went_on = receiver.accept(number, payload, fin)
        assert receiver.ready.startswith(before[0])
        assert receiver.expected >= before[1]
        assert went_on == (receiver.expected != before[1])
