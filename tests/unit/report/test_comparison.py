"""Comparisons of reports made by hand: what counts, what is noise, and how it is shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace
from report_samples import home_router

from nattools.model.nat import Nat
from nattools.model.observation import Binding
from nattools.model.report import Report
from nattools.model.statement import statement
from nattools.report.comparison import compare, comparison_json, render_comparison

FILES = ("a.json", "b.json")


def with_nat(**values: Any) -> Report:
    report = home_router()
    assert report.nat.udp4 is not None
    return replace(report, nat=replace(report.nat, udp4=replace(report.nat.udp4, **values)))


def asked(number: int, *, lost: int, rtt_s: float) -> Report:
    """A report of so many answered questions, `lost` of which needed a second packet."""
    seen = tuple(
        Binding(
            id=each,
            purpose="mapping",
            transport="udp",
            family=4,
            local="10.0.0.2:1",
            asked="11.201.0.2:3478",
            outcome="answered",
            sent=2 if each < lost else 1,
            received=1,
            rtt_s=rtt_s + each / 1e6,
        )
        for each in range(number)
    )
    return replace(home_router(), observations=seen)


def whats(before: Report, after: Report) -> list[str]:
    return [each.what for each in compare(before, after).changes]


def test_a_report_is_the_same_as_itself() -> None:
    found = compare(home_router(), home_router())
    assert found.same
    assert found.unknown == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"external": ("11.1.0.2",)}, {"external": ("11.9.0.2",)}, ["nat.udp4.external"]),
        ({"external": ("11.1.0.2", "11.1.0.3")}, {"external": ("11.9.0.4",)}, ["nat.udp4.external"]),
        ({"external": ("11.1.0.2", "11.1.0.3")}, {"external": ("11.1.0.9",), "pooling": "arbitrary"}, []),
        ({"binding_lifetime_bounds_s": (28, 32)}, {"binding_lifetime_bounds_s": (30, 34)}, []),
        (
            {"binding_lifetime_bounds_s": (28, 32)},
            {"binding_lifetime_bounds_s": (300, None)},
            ["nat.udp4.binding_lifetime_s"],
        ),
        ({"mapping": "unknown"}, {"mapping": "address-dependent"}, []),
        ({"hairpinning": True}, {"hairpinning": False}, ["nat.udp4.hairpinning"]),
    ],
)  # fmt: skip
def test_of_a_nat(before: dict[str, Any], after: dict[str, Any], expected: list[str]) -> None:
    assert whats(with_nat(**before), with_nat(**after)) == expected


def test_what_one_of_them_does_not_know_is_said_and_is_no_change() -> None:
    found = compare(with_nat(hairpinning=None), with_nat(hairpinning=False))
    assert found.same
    assert [each.code for each in found.unknown] == ["diff-known-now"]
    found = compare(with_nat(hairpinning=False), with_nat(hairpinning=None))
    assert [each.code for each in found.unknown] == ["diff-unknown-now"]


def test_loss_counts_when_chance_would_not_do_it() -> None:
    few, many = asked(100, lost=2, rtt_s=0.02), asked(100, lost=30, rtt_s=0.02)
    assert whats(few, many) == ["nat.udp4.loss"]
    assert whats(few, asked(100, lost=6, rtt_s=0.02)) == []
    assert compare(many, few).meaning.code == "diff-faster"


def test_round_trips_count_when_they_hardly_overlap() -> None:
    assert whats(asked(20, lost=0, rtt_s=0.02), asked(20, lost=0, rtt_s=0.08)) == ["nat.udp4.rtt_ms"]
    assert whats(asked(20, lost=0, rtt_s=0.02), asked(20, lost=0, rtt_s=0.03)) == []


def test_warnings_that_come_and_go() -> None:
    warned = replace(home_router(), notices=(statement("through-nat64"),))
    calm = replace(home_router(), notices=())
    assert [each.says.code for each in compare(calm, warned).changes] == ["diff-warned"]
    assert [each.says.code for each in compare(warned, calm).changes] == ["diff-warned-no-more"]
    passing = replace(home_router(), notices=(statement("time-over"),))
    assert compare(calm, passing).same


def test_nothing_that_a_report_holds_reaches_the_terminal_as_it_is() -> None:
    evil = with_nat(external=("\x1b[31m11.9.0.2\x07",))
    found = compare(home_router(), evil)
    text = render_comparison(found, ("\x1b]0;", "b"), (home_router(), evil), 80, all_of_it=True)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\x1b" not in comparison_json(found, FILES)


def test_no_line_is_too_long_and_programs_get_all_of_it() -> None:
    found = compare(
        home_router(), replace(home_router(), nat=replace(home_router().nat, udp4=Nat(mapping="none")))
    )
    text = render_comparison(found, FILES, (home_router(), home_router()), 60, all_of_it=True)
    assert max(map(len, text.splitlines())) <= 60
    answer = json.loads(comparison_json(found, FILES))
    assert answer["same"] is False
    assert len(answer["changes"]) == len(found.changes)
    assert {"area", "what", "before", "after", "better", "code", "text"} == set(answer["changes"][0])
