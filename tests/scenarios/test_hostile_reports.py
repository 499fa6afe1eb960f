"""Whatever stands in a saved report of any command, its pages are valid, and no text of it becomes more than
text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from htmlpages import check_page

from nattools.cli.app import run
from nattools.errors import UsageError
from nattools.model.report import Report
from nattools.report.html import render_html
from nattools.report.markdown import render_markdown
from nattools.report.savedreport import load
from nattools.report.terminal import render_text

ATTACK = '\x1b[2J</title><script>alert("1")</script>\u202e&{0}{x}' + "w" * 700
HUGE = 1e308
MOST_OBSERVATIONS = 20
LEAST_PLACES = 30
COMMANDS = (
    ("diagnose", "mapping-all"),
    ("diagnose", "all-blocked"),
    ("ipv6", "ipv6-black-hole"),
    ("lan", "lan-open"),
    ("libp2p", "libp2p-symmetric"),
    ("relay", "relay-near"),
    ("tailscale", "tailnet"),
)


def put(node: Any, path: str, places: set[str], key: str, value: object) -> Any:
    """The same document with `value` wherever a text or number of its type stands under that key; the places
    are collected."""
    if isinstance(node, dict):
        return {name: put(each, name, places, key, value) for name, each in node.items()}
    if isinstance(node, list):
        return [put(each, path, places, key, value) for each in node]
    if isinstance(node, bool) or not isinstance(node, str if isinstance(value, str) else int | float):
        return node
    places.add(path)
    return value if path == key else node


def tampered(document: Any, value: object) -> Iterator[Report]:
    """A report for each key that may hold the value."""
    keys: set[str] = set()
    put(document, "", keys, "", value)
    for key in sorted(keys):
        try:
            yield load(json.dumps(put(document, "", set(), key, value)).encode())
        except UsageError:
            continue  # a term of a fixed list, or a count


def terminal(report: Report) -> str:
    return render_text(report, detail=2)


@pytest.mark.parametrize(("command", "scenario"), COMMANDS)
def test_no_text_of_a_report_is_more_than_text(
    command: str, scenario: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run([command, "--lab", scenario, "--json"])
    document = json.loads(capsys.readouterr().out)
    document["observations"] = document["observations"][:MOST_OBSERVATIONS]
    renderers: tuple[Callable[[Report], str], ...] = (terminal, render_markdown, render_html)
    places = 0
    for value in (ATTACK, HUGE, -HUGE):
        for report in tampered(document, value):
            places += 1
            shown = [render(report) for render in renderers]
            assert not any(mark in text for text in shown for mark in ("\x1b", "\u202e"))
            assert not any("<script" in text for text in shown[1:])
            check_page(shown[2])
    assert places >= LEAST_PLACES
