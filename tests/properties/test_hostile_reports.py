"""A saved report may hold any text, wherever a report holds text: no format lets it do anything but be read.

The reports are those of real commands; every text that the loader takes another one for is replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from htmlpages import check_page
from hypothesis import example, given, settings
from hypothesis import strategies as st
from report_samples import connected, home_router, not_connected, punched

from nattools.errors import UsageError
from nattools.lab.scenariofiles import load as load_scenario
from nattools.model.report import Report
from nattools.report.html import render_html
from nattools.report.markdown import render_markdown
from nattools.report.safetext import width
from nattools.report.savedreport import load, render_json
from nattools.report.terminal import answer_line, render_text
from nattools.trials.scenarios import Case, run_trial

ATTACKS = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m",
    "\u202egnp.exe\u2066",
    "</title></style></svg></details><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)><a href="//e.example">',
    "'); DROP TABLE reports;--",
    "](javascript:alert(1)) ![x](http://e.example/x.png) @all #1 `|` <b>",
    "\n\n# heading\n| a | b |\n",
    "A" * 5000,
    "\ud800"[:0] + "\x00\ufffe\u2028",
    "{external:or}{0.__class__}%s",
)
SCENARIOS = ("mapping-all", "captive-portal", "two-uplinks", "no-names", "cgnat")
Path = tuple[str | int, ...]


@cache
def documents() -> tuple[Any, ...]:
    reports = [home_router(), punched(connected()), punched(not_connected())]
    for name in SCENARIOS:
        found = run_trial(Case(name, next(iter(load_scenario(name).host)), "sim")).report
        assert found is not None
        reports.append(found)
    return tuple(json.loads(render_json(each)) for each in reports)


def texts(node: Any, path: Path = ()) -> Iterator[Path]:
    """Where there is text, names of values included."""
    if isinstance(node, str):
        yield path
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from texts(value, (*path, key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from texts(value, (*path, number))


def put(document: Any, path: Path, value: str) -> Any:
    """A copy with another text there."""
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = put(document[path[0]], path[1:], value)  # type: ignore[call-overload, index]
    return copy


def shape(path: Path) -> Path:
    """The same place in every entry of a list: what the loader takes there is the same."""
    return tuple("*" if isinstance(step, int) else step for step in path)


@cache
def free(number: int) -> tuple[Path, ...]:
    """The places where the loader takes any text; tried once for all entries of a list."""
    document, known, found = documents()[number], {}, []
    for path in texts(document):
        kind = (shape(path), document["observations"][path[1]]["kind"] if path[0] == "observations" else "")
        if kind not in known:
            try:
                load(json.dumps(put(document, path, "anything")).encode())
                known[kind] = True
            except UsageError:
                known[kind] = False
        if known[kind]:
            found.append(path)
    return tuple(found)


def hostile(number: int, text: str) -> Report:
    """The report with that text wherever there may be any."""
    document = json.loads(json.dumps(documents()[number]))
    for path in free(number):
        place = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = text
    return load(json.dumps(document).encode())


def check_everything(report: Report, text: str) -> None:
    check_page(page := render_html(report))
    assert is_plain(page)
    markdown = render_markdown(report)
    assert is_plain(markdown)
    check_markdown(markdown)
    for detail in (0, 1, 2):
        drawn = render_text(report, detail=detail)  # type: ignore[arg-type]
        assert is_plain(drawn)
        assert max(map(width, drawn.splitlines())) <= 80
    assert is_plain(answer_line(report))
    assert "\n" not in answer_line(report)
    assert load(render_json(report).encode()) == report


def is_plain(text: str) -> bool:
    """Nothing that a terminal would obey, or that turns the direction of writing."""
    return all(character.isprintable() or character in "\n\u200b" for character in text)


def check_markdown(text: str) -> None:
    """No element but our own, no link, no picture, no mention; tables stay tables."""
    assert set(re.findall(r"<[^>\n]*>", text)) <= {"<details>", "</details>", "<summary>", "</summary>"}
    assert not re.search(r"(?<!\\)\]\(", text)
    assert not re.search(r"@(?!\u200b)\w", text)
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


@pytest.mark.parametrize("number", range(3 + len(SCENARIOS)))
@pytest.mark.parametrize("attack", ATTACKS)
def test_known_attacks_are_only_read(number: int, attack: str) -> None:
    check_everything(hostile(number, attack), attack)


@given(number=st.integers(0, 2 + len(SCENARIOS)), text=st.text(max_size=60))
@example(number=0, text="|")
@example(number=0, text="\u0ec8")
@settings(max_examples=60, deadline=None)
def test_any_text_is_only_read(number: int, text: str) -> None:
    check_everything(hostile(number, text), text)


def test_there_are_many_places_for_text() -> None:
    assert all(len(free(number)) > 40 for number in range(3 + len(SCENARIOS)))
