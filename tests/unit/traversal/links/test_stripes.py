"""How many connections a link sends over, by itself and in the simulator."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from linked import both, narrow_paths, quic_links, read_exactly
from simulated import open_internet, run

from nattools.lab.sim.simlab import SimLab
from nattools.traversal.links.stripes import LEAST_BYTES, MOST, StripeCount, StripeRounds

RTT_S = 0.04


def after(rounds: Iterable[tuple[float, float, bool]]) -> int:
    """Rounds of a rate, a round trip, and whether there was always more to send."""
    count = StripeCount()
    count.round_over(0.0, RTT_S, busy=False)
    for bytes_per_s, rtt_s, busy in rounds:
        count.round_over(bytes_per_s, rtt_s, busy=busy)
    return count.wanted


def test_more_are_used_where_the_rate_stays_and_no_queue_stands() -> None:
    assert after([(1e6, RTT_S, True)] * 12) > 3
    assert after([(1e6, RTT_S, True)] * 200) == MOST


def test_one_is_enough_while_its_rate_still_grows() -> None:
    assert after((1e5 * 1.5**number, RTT_S, True) for number in range(30)) == 1


@pytest.mark.parametrize("rtt_s", [RTT_S, 2 * RTT_S])
def test_one_is_enough_for_who_has_little_to_send(rtt_s: float) -> None:
    assert after([(1e6, rtt_s, False)] * 50) == 1


def test_a_queue_takes_back_what_was_added() -> None:
    lossy, queued = [(1e6, RTT_S, True)] * 30, [(1e6, 1.5 * RTT_S, True)] * 60
    assert after(lossy) > 4
    assert after([*lossy, *queued]) == 1


def test_a_queue_now_and_then_is_one_too() -> None:
    """Another transfer fills it and lets it run empty."""
    assert after((1e6, RTT_S * (1.3 if number % 4 == 0 else 1.0), True) for number in range(100)) <= 3


def test_on_a_short_path_one_recovers_fast_enough() -> None:
    count = StripeCount()
    for _ in range(50):
        count.round_over(1e6, 0.001, busy=True)
    assert count.wanted == 1


def test_another_path_is_measured_anew() -> None:
    count = StripeCount()
    for rtt_s in (RTT_S, 2 * RTT_S):
        count.new_path()
        before = count.wanted
        for _ in range(12):
            count.round_over(1e6, rtt_s, busy=True)
        assert count.wanted > before


def test_random_losses_leave_most_of_a_path_in_use() -> None:
    """One connection carries 4 Mbit/s of these 20: one packet in 100 is lost, the round trip takes 40 ms."""
    data = Random(7).randbytes(5_000_000)

    async def main(lab: SimLab) -> float:
        ends = await narrow_paths(lab.network("alice"), lab.network("bob"), 2.5e6, 0.05)
        ours, theirs = await quic_links(*ends)
        began = lab.loop.time()

        async def write() -> bytes:
            for start in range(0, len(data), 16_000):
                ours.write(data[start : start + 16_000])
                await ours.drain()
            return b""

        _, got = await both(write(), read_exactly(theirs, len(data)))
        assert got == data
        return len(data) * 8e-6 / (lab.loop.time() - began)

    assert run(open_internet(delay_ms=20, loss=0.01), main) > 9.0


def test_a_queue_in_the_other_direction_does_not_hold_back_who_begins_to_send() -> None:
    rounds, now, sent = StripeRounds(0.0), 0.0, 0

    def passed(count: int, bytes_each: int, rtt_s: float) -> None:
        nonlocal sent, now
        for _ in range(count):
            rounds.round_trip(rtt_s)
            rounds.flushed(now, busy=True)
            now, sent = now + 0.1, sent + bytes_each
            rounds.over(now, sent)

    passed(1, 5 * LEAST_BYTES, RTT_S)
    passed(50, LEAST_BYTES // 10, 2 * RTT_S)  # acknowledgments and echoes, while the peer fills the path
    passed(5, 5 * LEAST_BYTES, RTT_S)
    assert rounds.count.wanted > 1
