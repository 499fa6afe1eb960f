"""`--events`: what happens meanwhile as JSON lines on standard error, for programs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, TextIO

import msgspec

from nattools.cli.display.plainevents import in_ascii
from nattools.cli.display.progress import ProgressLine
from nattools.cli.display.punchdisplay import PunchDisplay
from nattools.engine.measureoptions import Event
from nattools.engine.punch.options import AnnouncedPlan
from nattools.model.punch import Punch, Stage
from nattools.wording import sentence, text_of

_CONNECTED = ("path", "transport", "family", "strategy", "local", "remote")
"""What is told of a connection, as the report has it."""


class EventLines(ProgressLine):
    """One JSON document on each line: `event` says what it is, `at_s` when, in seconds since the command
    began."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream, waiting=False)
        self._out = stream
        self._start = asyncio.get_running_loop().time()

    def __call__(self, event: Event) -> None:
        """A probe has started, moved on or finished."""
        self.tell("progress", state=event.kind, probe=event.probe, text=event.text, fraction=event.fraction)

    def tell(self, kind: str, **values: Any) -> None:
        """Write a line. A standard error that cannot be written to stops nothing."""
        at_s = round(asyncio.get_running_loop().time() - self._start, 3)
        line = msgspec.json.encode({"event": kind, "at_s": at_s, **values}).decode()
        try:
            self._out.write(in_ascii(line) + "\n")
            self._out.flush()
        except (OSError, ValueError):
            return

    def aside(self, write: Callable[[], None]) -> None:
        """Words for a person are left out: what they say is an event too."""

    def status(self, words: Callable[[], str]) -> None:
        """Nothing is shown again and again."""

    def close(self) -> None:
        """There is nothing to take away."""


class EventDisplay(PunchDisplay):
    """What happens during a punch, as events."""

    def __init__(self, lines: EventLines, options: tuple[str, ...] = ()) -> None:
        super().__init__(sys.stderr, lines, options)
        self._lines = lines
        self._others = options

    def code(self, text: str) -> None:
        """A code, and the command for the other machine."""
        self._lines.tell("code", code=text, command=["nattools", "punch", text, *self._others])

    def command(self, words: tuple[str, ...], remark: str = "") -> None:
        """What to type on the other machine."""
        self._lines.tell("command", command=list(words), text=remark)

    def token(self, text: str) -> None:
        """A token."""
        self._lines.tell("token", token=text)

    def plan(self, announced: AnnouncedPlan) -> None:
        """The steps as the report has them, and what they cost at most."""
        steps = msgspec.to_builtins(announced.steps)
        advice = text_of(announced.remedies)
        self._lines.tell(
            "plan", steps=steps, odds=announced.odds, text=sentence(announced.most), advice=advice
        )

    def stage(self, stage: Stage) -> None:
        """A line of the timeline, as the report has it."""
        values = msgspec.to_builtins(stage)
        values["stage_at_s"] = values.pop("at_s")
        self._lines.tell("stage", **values)

    def line(self, text: str) -> None:
        """A notice."""
        self._lines.tell("notice", text=text)

    def connected(self, punch: Punch, *, lasts: bool) -> None:
        """The connection stands."""
        path = {name: getattr(punch, name) for name in _CONNECTED}
        self._lines.tell("connected", **path, lasts=lasts)


def display_on(progress: ProgressLine, options: tuple[str, ...] = ()) -> PunchDisplay:
    """What shows a punch there: events, or words for a person."""
    if isinstance(progress, EventLines):
        return EventDisplay(progress, options)
    return PunchDisplay(sys.stderr, progress, options)
