"""`nattools explain`: what a code of a report means, how it was found, and what to do."""

from __future__ import annotations

import sys
from itertools import groupby
from typing import Annotated

import typer

from nattools.cli.display.outputs import write_json
from nattools.cli.options import completion, sharedoptions
from nattools.errors import UsageError
from nattools.model.supportcode import read_support_code
from nattools.report.document import Cell, Document, Prose, Section, Table
from nattools.report.safetext import safe
from nattools.report.terminal import lay_out, terminal_columns, write_lines
from nattools.wording.explanations import TOPICS, Explanation, all_codes, explain, near_codes

Code = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CODE]",
        help="As in a report's JSON, or in brackets with -v; a technique's id; a router's refusal: UPnP 718.",
        show_default=False,
        autocompletion=completion.codes,
    ),
]


def command(code: Code = None, as_json: sharedoptions.Json = False) -> int:
    """What a code of a report means, how it was found, and what to do; without a code, all that there are."""
    wanted = " ".join(code or [])
    if not wanted:
        _list_all(as_json)
        return 0
    found = explain(wanted)
    if found is None:
        near = near_codes(wanted)
        hint = f"did you mean {' or '.join(near)}?" if near else "nattools explain lists them all"
        if _is_support_code(wanted):
            hint = f"it is a support code of nattools ipv6: nattools report show --code {safe(wanted, 20)}"
        raise UsageError(f"there is no code {safe(wanted, 60)!r}; {hint}")
    if as_json:
        write_json(_answer(found))
    else:
        _show(Document("", (_section(found), *_where(found))))
    return 0


def _is_support_code(text: str) -> bool:
    try:
        read_support_code(text)
    except ValueError:
        return False
    return True


def _answer(found: Explanation) -> dict[str, object]:
    topic = found.topic
    return {
        "code": found.code,
        "sentence": found.sentence,
        "topic": topic.name,
        "title": topic.title,
        "meaning": topic.meaning,
        "found": topic.found,
        "do": found.remedy or topic.do,
        "products": dict(topic.products),
    }


def _section(found: Explanation) -> Section:
    topic = found.topic
    return Section(
        "",
        (
            Prose(found.code, mood="strong"),
            Prose(found.sentence, "Says"),
            Prose(f"{topic.title}{'' if topic.title.endswith('?') else '.'} {topic.meaning}", "Means"),
            Prose(topic.found, "Found by"),
            Prose(found.remedy or topic.do, "To do"),
        ),
    )


def _where(found: Explanation) -> list[Section]:
    rows = tuple((Cell(name, "strong"), Cell(how)) for name, how in found.topic.products.items())
    return [Section("Where", (Table(("where", "how"), rows, (0, 1)),))] if rows else []


def _topic_name(code: str) -> str:
    """The topic that it is listed under."""
    found = explain(code)
    return found.topic.name if found is not None else ""


def _list_all(as_json: bool) -> None:
    """All codes, by topic."""
    codes = all_codes()
    if as_json:
        write_json(
            [{"code": code, "sentence": text, "topic": _topic_name(code)} for code, text in codes.items()]
        )
        return
    order = {topic.name: number for number, topic in enumerate(TOPICS)}
    titles = {topic.name: topic.title for topic in TOPICS}
    sections = []
    for name, group in groupby(sorted(codes, key=lambda code: order[_topic_name(code)]), _topic_name):
        rows = tuple((Cell(code, "strong"), Cell(codes[code], "quiet")) for code in group)
        sections.append(Section(titles[name], (Table(("", ""), rows, (0, 1)),)))
    _show(Document("", tuple(sections)))


def _show(document: Document) -> None:
    write_lines(lay_out(document, terminal_columns(sys.stdout)), sys.stdout)
    sys.stdout.flush()
