"""Deadlines and copies follow from the measured path."""

from __future__ import annotations

import itertools

from nattools.model.confidence import CERTAIN_ERROR, chance_of_silence, copies_needed, loss_upper_bound
from nattools.probes.estimate import FEWEST_COPIES, MOST_COPIES, PathEstimate
from nattools.probes.lifetime import MARGIN, ORDINARY_S, idle_times


def test_nothing_known_means_any_loss_is_possible() -> None:
    assert loss_upper_bound(0, 0) == 1.0
    assert FEWEST_COPIES < PathEstimate().copies() < MOST_COPIES


def test_tcp_tells_the_time_and_nothing_of_the_loss() -> None:
    estimate = PathEstimate()
    estimate.add_tcp_rtt(0.08)
    assert estimate.rtt_s == 0.08
    assert (estimate.sent, estimate.lost) == (0, 0)


def test_a_clean_path_needs_few_copies_and_a_lossy_one_more() -> None:
    clean, lossy = PathEstimate(), PathEstimate()
    for _ in range(30):
        clean.answered(0.01)
    for _ in range(24):
        lossy.answered(0.01)
    lossy.missed(6)
    assert FEWEST_COPIES <= clean.copies() < lossy.copies() < MOST_COPIES


def test_the_copies_asked_for_make_chance_unlikely_enough_to_count() -> None:
    for sent, lost in ((16, 0), (20, 4), (100, 19)):
        bound = loss_upper_bound(sent, lost)
        assert lost / sent < bound < 1
        assert chance_of_silence(copies_needed(bound), bound) < CERTAIN_ERROR


def test_a_slow_path_is_waited_for() -> None:
    fast, slow = PathEstimate(), PathEstimate()
    fast.answered(0.001)
    slow.answered(0.6)
    assert slow.last_wait_s > fast.last_wait_s + 1.0
    assert slow.retry_s > 0.6


def test_idle_times_stand_on_both_sides_of_every_ordinary_lifetime_without_wide_gaps() -> None:
    times = idle_times(600)
    assert times == sorted(times)
    assert max(later / earlier for earlier, later in itertools.pairwise(times)) <= 1.3 + 1e-6
    for lifetime in ORDINARY_S:
        below = max(time for time in times if time < lifetime)
        above = min(time for time in times if time > lifetime)
        assert above / below <= (1 + MARGIN) / (1 - MARGIN) + 1e-6


def test_idle_times_end_with_the_longest_asked_for() -> None:
    assert max(idle_times(60)) <= 60 * (1 + MARGIN)
    assert len(idle_times(60)) < len(idle_times(600)) < 60


def test_a_connection_that_sent_again_tells_no_round_trip() -> None:
    """Where UDP has told it; else nothing better is known."""
    estimate = PathEstimate()
    estimate.answered(0.03)
    estimate.add_tcp_rtt(7.03)
    assert estimate.rtt_s == 0.03
    estimate.add_tcp_rtt(0.4)
    assert estimate.rtt_s == 0.4
    silent = PathEstimate()
    silent.add_tcp_rtt(1.2)
    assert silent.rtt_s == 1.2
