"""Pieces that came before their turn: all of them come out, and a bounded part is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nattools.traversal.links.earlypieces import MOST_PIECES, EarlyPieces

WHOLE = bytes(range(1, 65))
pieces = st.lists(st.tuples(st.integers(1, 63), st.integers(0, 20)), max_size=60)


def received(early: EarlyPieces, said: list[tuple[int, int]]) -> bytes:
    """What a receiver that expects the first byte has after these and then that one."""
    for offset, size in said:
        assert early.add(offset, WHOLE[offset : offset + size])
    got = bytearray(WHOLE[:1])
    for offset, data in early.due(1):
        assert offset <= len(got)
        got += data[len(got) - offset :]
    return bytes(got)


@given(pieces, st.integers(1, 64))
def test_whatever_the_order_all_up_to_the_first_hole_comes_out(
    said: list[tuple[int, int]], span: int
) -> None:
    known = {0} | {at for offset, size in said for at in range(offset, min(64, offset + size))}
    until = next((at for at in range(65) if at not in known), 64)
    early = EarlyPieces(span)
    assert received(early, said) == WHOLE[:until]
    assert sum(len(data) for _, data in early.due(99)) >= early.size == 0


def test_the_same_again_and_again() -> None:
    early = EarlyPieces(65_536)
    for number in range(10_000):
        assert early.add(1 + number % 7, bytes(16_384))
        assert early.size <= 3 * 65_536
    assert next(offset for offset, _ in early.due(1)) == 1


def test_nothing_again_and_again() -> None:
    early = EarlyPieces(65_536)
    for _ in range(100_000):
        assert early.add(9, b"")
    assert len(early) == 0


def test_a_hole_behind_each_byte() -> None:
    """It is noticed, at the latest when twice as many as an honest peer leaves have come."""
    early = EarlyPieces(1 << 22)
    taken = 0
    while early.add(2 * taken + 1, b"x"):
        taken += 1
        assert taken <= MOST_PIECES
    assert len(early) <= MOST_PIECES + 1


def test_a_byte_each_without_holes() -> None:
    early = EarlyPieces(1 << 22)
    for number in range(4 * MOST_PIECES):
        assert early.add(number + 1, b"x")
    assert b"".join(data for _, data in early.due(1)) == b"x" * 4 * MOST_PIECES
