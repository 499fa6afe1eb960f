"""How sure silence makes."""

from __future__ import annotations

import pytest

from nattools.model.confidence import PROBE_ERROR, chance_of_silence, copies_needed, loss_upper_bound


def test_nothing_sent_tells_nothing() -> None:
    assert loss_upper_bound(0, 0) == 1.0
    assert chance_of_silence(0, 0.1) == 1.0


@pytest.mark.parametrize(("bound", "copies"), [(0.0, 1), (-1.0, 1), (1.0, 1_000_000), (0.9995, 1_000_000)])
def test_copies_where_nothing_or_all_is_lost(bound: float, copies: int) -> None:
    assert copies_needed(bound) == copies


@pytest.mark.parametrize("bound", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_so_many_copies_are_enough_and_one_less_is_not(bound: float) -> None:
    copies = copies_needed(bound)
    assert chance_of_silence(copies, bound) <= PROBE_ERROR * (1 + 1e-9)
    assert copies == 1 or chance_of_silence(copies - 1, bound) > PROBE_ERROR
