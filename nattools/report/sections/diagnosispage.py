"""The page of a diagnosis: on a terminal of 24 lines and 80 columns it shows the answer, what to do, what is
odd, a line for each part of the network, and what is not known."""

from __future__ import annotations

from collections.abc import Sequence

from nattools.model.report import Report
from nattools.model.statement import Statement
from nattools.report.document import Block, Cell, Mood, Prose, Section, Table, View
from nattools.report.safetext import safe, width, wrap
from nattools.report.sections import games, nat, overview, summary

LINES = 23
"""Of a terminal's 24 lines the last is the shell's."""
MOST_ACTIONS = 3
MOST_WARNINGS = 20
_LABEL = 13
_MARGIN = 2
_BLANK = 3
_WIDEST = 120
_LEAST = 20
_KEPT = 2
_ERROR = 3
"""So many lines the command line's own message takes, which says what helps too."""


def page(report: Report, view: View) -> list[Section]:
    """The whole page; with more detail every action and the first 20 warnings, however long."""
    room = max(min(view.columns - _MARGIN, _WIDEST) - _LABEL, _LEAST)
    first = summary.summary(report, _answer(report))[0].blocks
    below = _below(report, view, room)
    lines = LINES if report.ended is None else LINES - _ERROR
    left = lines - _BLANK - _height(first, room) - _height(below, room)
    to_do, left = _to_do(report, view, room, left)
    odd = _warnings(report, view, room, left)
    return [Section("", (*first, *to_do, *odd)), Section("", below)]


def _answer(report: Report) -> list[Prose]:
    advice = report.advice
    if advice is None:
        measured = nat.transports(report.nat)
        text = nat.headline(measured[0][1]) if measured else "Nothing could be measured."
        return [Prose(text, mood="strong")]
    names, works = games.game_names_of(report), games.what_works(report)
    if report.ended is not None:
        return [Prose(safe(advice.headline), mood="strong"), Prose(safe(report.ended.why, 300), "Why")]
    return [
        Prose(safe(advice.headline), mood="strong"),
        *([Prose(safe(advice.best), "Best way")] if advice.best else []),
        *([Prose(str(names), "In games")] if names else []),
        *([Prose(works, "Works")] if works else []),
    ]


def _below(report: Report, view: View, room: int) -> tuple[Block, ...]:
    rows = tuple((Cell(label, "strong"), cell) for label, cell in overview.lines(report, room))
    unknown = _unknown(overview.not_measured(report), view, room)
    return (
        Table(("", ""), rows, (0, 1)),
        *([Prose(unknown, "Not known", "unsure")] if unknown else []),
        *summary.footer(report, View())[0].blocks,
    )


def _unknown(names: Sequence[str], view: View, room: int) -> str:
    """One sentence, two lines at most where what would settle it does not stand below."""
    if view.detail or names == [overview.ALL_OUTSIDE]:
        return f"{', '.join(names)}." if names else ""
    shown = list(names)
    while shown:
        rest = len(names) - len(shown)
        text = ", ".join(shown) + (f" and {rest} more" if rest else "") + ": -v says what would settle it."
        if len(wrap(text, room)) <= 2:
            return text
        shown.pop()
    return ""


def _to_do(report: Report, view: View, room: int, left: int) -> tuple[list[Prose], int]:
    """The actions, at least one, and how many lines are left: some of them are kept for warnings."""
    advice = report.advice
    actions = _coded(advice.to_do[:10], advice.actions, view) if advice else []
    kept = _KEPT if report.warnings else 0
    shown: list[str] = []
    for text in actions if view.detail else actions[:MOST_ACTIONS]:
        lines = len(wrap(text, room))
        if shown and not view.detail and lines > left - kept:
            break
        shown.append(text)
        left -= lines
    return _labelled("To do", shown, "plain"), left


def _coded(texts: Sequence[str], statements: Sequence[Statement], view: View) -> list[str]:
    """The texts, with more detail each with the code that `nattools explain` takes."""
    if not view.detail or len(statements) < len(texts):
        return [safe(text) for text in texts]
    return [f"{safe(text)} [{safe(each.code, 60)}]" for text, each in zip(texts, statements, strict=False)]


def _labelled(label: str, texts: Sequence[str], mood: Mood) -> list[Prose]:
    return [Prose(text, label if number == 0 else " ", mood) for number, text in enumerate(texts)]


def _warnings(report: Report, view: View, room: int, left: int) -> list[Prose]:
    """As many as there is room for, the first in any case, and how many more there are."""
    found = _coded(report.warnings[:MOST_WARNINGS], report.notices, view)
    rest = len(report.warnings)
    shown: list[str] = []
    for text in found:
        lines = len(wrap(text, room))
        if not view.detail and lines + (rest > 1) > left:
            break
        shown.append(text)
        left -= lines
        rest -= 1
    if rest and not shown:
        ending = f" ... (-v; {rest - 1} more)" if rest > 1 else " ... (-v)"
        shown.append(_cut(found[0], room, max(left, 1), ending))
    elif rest:
        where = ", in the report's JSON" if view.detail else ": -v"
        shown.append(f"And {rest} more{where}.")
    return _labelled("Beware", shown, "unsure")


def _cut(text: str, room: int, lines: int, ending: str) -> str:
    """So much of the text as so many lines hold, with a sign that there is more."""
    held = wrap(text, room)[:lines]
    words = held[-1].split(" ")
    while len(words) > 1 and width(" ".join(words) + ending) > room:
        words.pop()
    return " ".join([*held[:-1], *words]) + ending


def _height(blocks: Sequence[Block], room: int) -> int:
    """How many lines they take on a terminal."""
    lines = 0
    for block in blocks:
        if isinstance(block, Table):
            lines += sum(len(wrap(row[-1].text, room)) for row in block.rows)
        elif isinstance(block, Prose):
            lines += len(wrap(block.text, room if block.label else room + _LABEL))
    return lines
