"""A link's queue and its two states, packet by packet: how much passes, how late, and how losses come."""

from __future__ import annotations

import random
from itertools import groupby, pairwise
from statistics import mean

import pytest

from nattools.lab.impairment import BurstSpec, Impairment
from nattools.lab.linkqueue import LinkQueue, is_queued

PACKET = 1250  # bytes: 10 ms at 1 Mbit/s


def queue(*, up: bool = False, seed: int = 1, **impairment: object) -> LinkQueue:
    return LinkQueue(Impairment(**impairment), random.Random(seed), up=up)  # type: ignore[arg-type]


def lost(link: LinkQueue, every_s: float, count: int) -> list[bool]:
    return [link.carry(100, number * every_s) is None for number in range(count)]


def test_packets_leave_at_the_rate_and_wait_for_each_other() -> None:
    link = queue(rate_mbps=1)
    assert [link.carry(PACKET, 0.0) for _ in range(3)] == pytest.approx([0.01, 0.02, 0.03])
    assert link.carry(PACKET, 5.0) == pytest.approx(5.01)  # nothing before it


def test_the_delay_grows_to_the_queues_length_and_then_packets_are_dropped() -> None:
    link = queue(rate_mbps=1, queue_ms=50)
    left = [link.carry(PACKET, 0.0) for _ in range(20)]
    assert left[:6] == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
    assert left[6:] == [None] * 14
    assert link.carry(PACKET, 0.02) == pytest.approx(0.07)  # room again
    assert link.carry(PACKET, 0.02) == pytest.approx(0.08)
    assert link.carry(PACKET, 0.02) is None


def test_of_twice_the_rate_half_passes() -> None:
    link = queue(rate_mbps=8)  # a packet of 1000 bytes in 1 ms
    left = [link.carry(1000, number / 2000) for number in range(20_000)]  # for 10 s
    passed = [each for each in left if each is not None]
    assert len(passed) == pytest.approx(10_000, rel=0.02)
    assert all(later - earlier >= 0.000_999 for earlier, later in pairwise(passed))


def test_the_way_up_may_have_another_rate() -> None:
    assert queue(up=True, rate_mbps=10, rate_up_mbps=1).carry(PACKET, 0.0) == pytest.approx(0.01)
    assert queue(rate_mbps=10, rate_up_mbps=1).carry(PACKET, 0.0) == pytest.approx(0.001)
    assert queue(up=True, rate_mbps=10).carry(PACKET, 0.0) == pytest.approx(0.001)


def test_bursts_are_as_long_and_as_far_apart_as_said() -> None:
    link = queue(bursts=BurstSpec(good_s=2, bad_s=0.5))
    every_s = 0.01
    fates = lost(link, every_s, 400_000)  # about 1,600 bursts: the standard error of a mean is 2.5%
    runs = [(bad, sum(1 for _ in run) * every_s) for bad, run in groupby(fates)]
    assert mean(length for bad, length in runs if bad) == pytest.approx(0.5, rel=0.08)
    assert mean(length for bad, length in runs if not bad) == pytest.approx(2, rel=0.08)
    assert mean(fates) == pytest.approx(0.2, rel=0.08)


def test_with_bursts_losses_follow_losses() -> None:
    fates = lost(queue(bursts=BurstSpec(good_s=2, bad_s=0.5)), 0.01, 100_000)
    after_a_loss = [later for earlier, later in pairwise(fates) if earlier]
    assert mean(after_a_loss) > 0.95  # on average a burst takes 50 packets; without memory it were 0.2


def test_packets_far_apart_find_the_link_bad_as_often_as_its_share() -> None:
    fates = lost(queue(bursts=BurstSpec(good_s=3, bad_s=1)), 3600, 20_000)
    assert mean(fates) == pytest.approx(0.25, abs=0.013)  # four standard deviations


def test_in_the_bad_state_some_packets_may_pass() -> None:
    fates = lost(queue(bursts=BurstSpec(good_s=1, bad_s=1, bad_loss=0.5)), 3600, 20_000)
    assert mean(fates) == pytest.approx(0.25, abs=0.013)


def test_the_seed_decides() -> None:
    bursts = BurstSpec(good_s=1, bad_s=1)
    assert lost(queue(bursts=bursts), 0.1, 500) == lost(queue(bursts=bursts), 0.1, 500)
    assert lost(queue(bursts=bursts), 0.1, 500) != lost(queue(seed=2, bursts=bursts), 0.1, 500)


def test_a_plain_uplink_takes_no_queue() -> None:
    assert not is_queued(Impairment(delay_ms=10, loss=0.1))
    assert is_queued(Impairment(rate_mbps=1))
    assert is_queued(Impairment(bursts=BurstSpec(good_s=1, bad_s=1)))
