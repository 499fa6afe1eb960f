"""When slow start ends: tables of rounds, each with the round trips measured in it."""

from __future__ import annotations

import pytest

from nattools.traversal.slowstart import CAUTION, ROUNDS, SAMPLES, SlowStart

STILL = [0.040] * SAMPLES
GROWN = [0.050] * SAMPLES


def after(*rounds: list[float]) -> SlowStart:
    """Rounds that begin a second apart, each with one packet and these round trips."""
    start = SlowStart()
    for number, rtts_s in enumerate(rounds):
        start.acknowledged(float(number), float(number) + 0.5)
        for rtt_s in rtts_s:
            start.measured(rtt_s)
    return start


@pytest.mark.parametrize(
    ("rounds", "divisor"),
    [
        ([STILL], 1),
        ([GROWN], 1),
        ([STILL, STILL], 1),
        ([STILL, GROWN], CAUTION),
        ([STILL, [0.0449] * SAMPLES], 1),
        ([STILL, [0.0451] * SAMPLES], CAUTION),
        ([[0.001] * SAMPLES, [0.0049] * SAMPLES], 1),
        ([[0.001] * SAMPLES, [0.0051] * SAMPLES], CAUTION),
        ([[0.400] * SAMPLES, [0.417] * SAMPLES], CAUTION),
        ([STILL, GROWN[1:]], 1),
        ([STILL, [*GROWN, 0.040]], 1),
        ([STILL, [0.040, *GROWN]], 1),
        ([STILL, GROWN, STILL], 1),
        ([STILL, GROWN, STILL, GROWN], CAUTION),
    ],
)
def test_the_window_grows_more_slowly_once_round_trips_grow(rounds: list[list[float]], divisor: int) -> None:
    start = after(*rounds)
    assert start.divisor == divisor
    assert not start.over


def test_it_is_over_after_some_cautious_rounds() -> None:
    assert not after(STILL, *[GROWN] * ROUNDS).over
    assert after(STILL, *[GROWN] * (ROUNDS + 1)).over


def test_cautious_rounds_count_anew() -> None:
    assert not after(STILL, *[GROWN] * (ROUNDS - 1), STILL, *[GROWN] * ROUNDS).over


def test_a_round_lasts_until_a_packet_of_it_is_acknowledged() -> None:
    start = SlowStart()
    start.acknowledged(0.0, 0.1)
    for _ in range(SAMPLES):
        start.acknowledged(0.05, 0.11)
        start.measured(0.040)
        start.measured(0.050)
    assert start.divisor == 1


def test_a_few_round_trips_tell_nothing() -> None:
    """Beside a transfer the other way there are but a few, and they grow."""
    assert after(*[[0.040 + 0.005 * number] * (SAMPLES - 1) for number in range(100)]).divisor == 1
