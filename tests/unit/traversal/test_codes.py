"""Codes: their words, how they are read, and what is said when they cannot be."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import UsageError
from nattools.traversal.codes import FIRST_WORDS, SECOND_WORDS, Code, complete, new_code, parse_code

EXAMPLE = Code(7, ("crossover", "clockwork"))


def test_the_lists_hold_a_byte_each_and_no_word_twice() -> None:
    assert len(FIRST_WORDS) == len(SECOND_WORDS) == 256
    assert len({*FIRST_WORDS, *SECOND_WORDS}) == 512
    for words in (FIRST_WORDS, SECOND_WORDS):
        assert list(words) == sorted(words)
        assert len({word[:4] for word in words}) == 256, "four letters are enough to complete"
        assert all(word.isascii() and word.islower() and 3 <= len(word) <= 10 for word in words)


def test_no_slip_of_one_letter_makes_another_word() -> None:
    for one, other in combinations(sorted({*FIRST_WORDS, *SECOND_WORDS}), 2):
        assert not one_apart(one, other), (one, other)


def one_apart(one: str, other: str) -> bool:
    """Is one letter changed, left out or put in, or are two neighbours exchanged?"""
    if abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while one[start : start + 1] == other[start : start + 1] != "":
        start += 1
    a, b = one[start:], other[start:]
    return a[1:] == b[1:] or a == b[1:] or a[1:] == b or (a[:2] == b[1::-1] and a[2:] == b[2:])


def test_a_new_code_says_its_chance() -> None:
    code = new_code(entropy=lambda size: bytes(range(size)))
    assert code == Code(None, (FIRST_WORDS[0], SECOND_WORDS[1]))
    assert code.bits == 16
    assert str(Code(7, code.words)) == f"7-{FIRST_WORDS[0]}-{SECOND_WORDS[1]}"
    assert new_code(4).bits == 32
    assert new_code() != new_code() or new_code() != new_code()
    for words in (1, 9):
        with pytest.raises(UsageError, match="2 to 8 words"):
            new_code(words)


@pytest.mark.parametrize(
    "typed",
    [
        "7-crossover-clockwork",
        "  7-Crossover-CLOCKWORK\n",
        "7 crossover clockwork",
        "7\u2010crossover\u2011clockwork",
        "7\u2013crossover\u2014clockwork",
        "7\u2212crossover\u00adclockwork",
        "`7-crossover-clockwork`",
        "\u201c7--crossover - clockwork.\u201d",
        "7_crossover_clockwork",
        "\uff17-\uff43rossover-clockwork",
        "\u200b7-crossover\u200b-clockwork\ufeff",
        "007-crossover-clockwork",
    ],
)
def test_a_code_is_read_however_it_is_typed(typed: str) -> None:
    assert parse_code(typed) == EXAMPLE


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "there is no code"),
        (" - - ", "there is no code"),
        ("crossover-clockwork", "begins with a number"),
        ("7", "this has none"),
        ("7-crossover", "this has 1 word$"),
        ("7-crossover-clockwork-" + "acorn-" * 7, "this has 9 words"),
        ("0-crossover-clockwork", "between 1 and 999999"),
        ("1000000-crossover-clockwork", "between 1 and 999999"),
        ("9" * 50 + "-crossover-clockwork", "between 1 and 999999"),
        ("7-crosover-clockwork", "'crosover' is not a code word; did you mean crossover"),
        ("7-crossover-clokwork", "did you mean clockwork"),
        ("7-clockwork-crossover", "'clockwork' is a code word, but not at position 1: is the order right"),
        ("7-xxxxxx-clockwork", "'xxxxxx' is not a code word$"),
        ("7-" + "x" * 100 + "-clockwork", r"'xxxxxxxxxxxxxxxxxxxxx\.\.\.' is not a code word$"),
        ("7-crossover-clockwork" * 50, "this has 1050 characters"),
        ("\u0667-crossover-clockwork", "begins with a number"),
    ],
)
def test_what_is_no_code_is_explained(typed: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_code(typed)


def test_words_are_completed() -> None:
    assert complete("7-cros") == ["7-crossover-"]
    assert complete("7-crossover-clo") == ["7-crossover-clockwork", "7-crossover-cloudburst"]
    assert complete("7-crossover-CLOC") == ["7-crossover-clockwork"]
    assert len(complete("7-")) == 256
    assert len(complete("7-crossover-")) == 256
    for typed in ("", "7", "x-", "7-zzz", "7-" * 200, "7-" + "acorn-" * 8):
        assert complete(typed) == []


@given(st.text(max_size=80))
def test_any_text_is_a_code_or_a_usage_error(text: str) -> None:
    complete(text)
    try:
        code = parse_code(text)
    except UsageError:
        return
    assert parse_code(str(code)) == code


@given(st.integers(1, 999_999), st.binary(min_size=2, max_size=8))
def test_every_code_is_read_back(nameplate: int, chance: bytes) -> None:
    words = new_code(len(chance), entropy=lambda _: chance).words
    assert parse_code(str(Code(nameplate, words))) == Code(nameplate, words)
