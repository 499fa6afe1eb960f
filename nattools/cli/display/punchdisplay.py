"""What a person sees while a punch goes on, on standard error: the code, the plan, and what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TextIO

from nattools.cli.display.progress import ProgressLine
from nattools.engine.punch.options import AnnouncedPlan
from nattools.model.punch import Punch, Stage
from nattools.report.document import Cell, Document, Prose, Section
from nattools.report.safetext import safe, wrap
from nattools.report.sections.punch import any_direct, headline, plan_section, timeline_event
from nattools.report.terminal import MAX_COLUMNS, Line, is_live, lay_out, terminal_columns, write_lines
from nattools.wording import text_of

_INDENT = Cell("  ")
_SIZES = (8, 5, 9, 2)
"""Columns of a stage: when, whose, what, and whether it went well."""


class PunchDisplay:
    """Tells on `stream`, between the lines of `progress`. `told`: has a plan or a stage been shown?

    `options`: what the other machine's command line needs beside the code.
    """

    def __init__(self, stream: TextIO, progress: ProgressLine, options: tuple[str, ...] = ()) -> None:
        self.told = False
        self._planned = False
        self._stream = stream
        self._progress = progress
        self._options = options

    def code(self, text: str) -> None:
        """A code, for the other machine."""
        self._say(lambda columns: code_lines(text, self._options, columns))

    def command(self, words: tuple[str, ...], remark: str = "") -> None:
        """What to type on the other machine, and what there is to say of it."""
        self._say(lambda columns: _command_lines(words, remark, columns))

    def token(self, text: str) -> None:
        """A token, for the other machine."""
        whole = not is_live(self._stream)
        self._say(lambda columns: token_lines(text, self._options, None if whole else columns))

    def plan(self, announced: AnnouncedPlan) -> None:
        """What is going to be tried."""
        self.told = True
        self._planned = any_direct(announced.steps)
        self._say(lambda columns: _plan_lines(announced, columns))

    def stage(self, stage: Stage) -> None:
        """Something that happened. The plan has its own lines."""
        self.told = True
        if stage.stage == "plan" and stage.side == "here" and self._planned:
            return
        self._say(lambda columns: _stage_lines(stage, columns))

    def line(self, text: str) -> None:
        """A notice for the person."""
        self._say(lambda columns: ([_INDENT, Cell(each)] for each in wrap(safe(text), columns - 4)))

    def connected(self, punch: Punch, *, lasts: bool) -> None:
        """There is a connection, which may last until it is told to end."""
        text = f"{headline(punch)} Ctrl-C ends it." if lasts else headline(punch)
        self._say(lambda columns: ([_INDENT, Cell(each, "good")] for each in wrap(text, columns - 4)))

    def status(self, words: Callable[[], str]) -> None:
        """From now on show on a terminal what goes through the connection."""
        self._progress.status(words)

    def _say(self, lines: Callable[[int], Iterator[Line]]) -> None:
        self._progress.aside(lambda: write_lines(lines(terminal_columns(self._stream)), self._stream))


def _stage_lines(stage: Stage, columns: int) -> Iterator[Line]:
    """A stage as the timeline of the report shows it, in lines of at most `columns` columns."""
    event = timeline_event(stage)
    when = f"{event.at_s:.2f}" if abs(event.at_s) < 1e6 else "?"
    whose = Cell(event.lane, "quiet" if event.lane == "there" else "plain")
    heads = (Cell(f"{when:>{_SIZES[0]}}", "quiet"), whose, Cell(event.step), event.outcome)
    room = max(columns - sum(_SIZES) - 2 * len(_SIZES), 8)
    for number, text in enumerate(wrap(event.text.text, room)):
        shown = heads if number == 0 else (Cell(""),) * len(heads)
        padded = (Cell(f"{each.text:<{size}}  ", each.mood) for each, size in zip(shown, _SIZES, strict=True))
        yield [*padded, Cell(text, event.text.mood)]


def code_lines(code: str, options: tuple[str, ...], columns: int) -> Iterator[Line]:
    """The code by itself, and what to type on the other machine."""
    yield []
    yield [_INDENT, Cell("The code:  "), Cell(safe(code), "strong")]
    yield from _command_lines(("nattools", "punch", safe(code), *options), "", columns)


def _command_lines(words: tuple[str, ...], remark: str, columns: int) -> Iterator[Line]:
    """What to type on the other machine, and a remark on it."""
    yield []
    yield [_INDENT, Cell("On the other machine:")]
    for line in _command(words, columns - 6):
        yield [Cell("    "), Cell(line, "strong")]
    yield []
    if remark:
        yield from ([_INDENT, Cell(line)] for line in wrap(remark, columns - 4))
        yield []


def _command(words: tuple[str, ...], columns: int) -> Iterator[str]:
    """A command line as a shell takes it, continued where it is too long; an option keeps its value."""
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > columns - 2:
            yield f"{line} \\"
            line = f"  {word}"
        else:
            line = f"{line} {word}" if line else word
    yield line


def token_lines(token: str, options: tuple[str, ...], columns: int | None) -> Iterator[Line]:
    """The token from the first column on, so that it can be marked and copied; whole if `columns` is None."""
    width = columns or MAX_COLUMNS
    yield []
    command = " ".join(("nattools punch --manual", *options))
    for line in wrap(f"Your token; {safe(command)} on the other machine asks for it:", width - 4):
        yield [_INDENT, Cell(line)]
    yield []
    size = len(token) if columns is None else columns - 1
    for start in range(0, len(token), size):
        yield [Cell(token[start : start + size], "strong")]
    yield []


def _plan_lines(announced: AnnouncedPlan, columns: int) -> Iterator[Line]:
    sections = plan_section(announced.steps, announced.odds, columns)
    if sections:
        sections.append(Section("", (Prose(safe(text_of((announced.most,)))),)))
    if announced.remedies:
        sections.append(Section("", (Prose(safe(text_of(announced.remedies)), "Would help"),)))
    return lay_out(Document("", tuple(sections)), columns) if sections else iter(())
