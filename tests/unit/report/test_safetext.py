from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.report.safetext import safe, untied, width, wrap
from nattools.wording.terms import evidence, number, percent, seconds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\tb\nc\r\nd", "a b c  d"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202eabc", "\\u202eabc"),
        ("\U000e0001", "\\U000e0001"),
        ("M\u00fcller \u6771\u4eac", "M\u00fcller \u6771\u4eac"),
    ],
)
def test_safe(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_long_text_is_cut_and_says_so() -> None:
    assert safe("x" * 1000, 10) == "x" * 10 + " ... (990 more characters)"


@given(st.text(st.characters()))
def test_everything_becomes_printable(text: str) -> None:
    assert safe(text).isprintable()


@given(st.text(), st.integers(2, 40))
def test_no_line_is_too_wide_and_no_word_is_lost(text: str, columns: int) -> None:
    lines = wrap(safe(text), columns)
    assert all(width(line) <= columns for line in lines)
    assert "".join("".join(lines).split()) == "".join(safe(text).split())


def test_a_number_stays_with_its_unit() -> None:
    assert wrap(f"hole punching in {seconds(1.2)}", 19) == ["hole punching in", "1.2 s"]


def test_wide_characters_take_two_columns() -> None:
    assert width("\u6771\u4eac") == 4
    assert wrap("\u6771\u4eac\u6771", 4) == ["\u6771\u4eac", "\u6771"]


def test_a_word_that_is_too_long_is_broken_behind_a_hyphen() -> None:
    assert wrap("Filtering is address-and-port-dependent. #50", 26) == [
        "Filtering is",
        "address-and-port-",
        "dependent. #50",
    ]
    assert wrap("-" * 100_000, 2) == ["--"] * 50_000


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.035, "35 ms"),
        (1.234, "1.2 s"),
        (30, "30 s"),
        (300, "5 min"),
        (305, "5 min 5 s"),
        (7440, "2 h 4 min"),
        (-1, "-1 s"),
        (1e300, "1e+300 s"),
    ],
)
def test_seconds(value: float, shown: str) -> None:
    assert untied(seconds(value)) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0%"), (0.001, "under 1%"), (0.98, "98%"), (0.999, "over 99%"), (1, "100%")]
)
def test_percent_never_rounds_up_to_certainty(value: float, shown: str) -> None:
    assert percent(value) == shown


def test_number_and_evidence() -> None:
    assert number(2.0) == "2"
    assert evidence((1, 2)) == "#1 #2"
    assert evidence(tuple(range(20))).endswith("#4 and 15 more")
