"""ProgressLine: quiet for what is quick, one line for what is slow, a live line on a terminal."""

from __future__ import annotations

import heapq
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from terminals import Terminal

from nattools.cli.display import progress as module
from nattools.cli.display.progress import ProgressLine
from nattools.engine.measureoptions import Event


class Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock:
    """An event loop's clock and timers, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queue: list[tuple[float, int, Timer, Callable[..., None], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., None], *arguments: Any) -> Timer:
        timer = Timer()
        heapq.heappush(self.queue, (self.now + delay, len(self.queue), timer, callback, arguments))
        return timer

    def advance(self, until: float) -> None:
        while self.queue and self.queue[0][0] <= until:
            self.now, _, timer, callback, arguments = heapq.heappop(self.queue)
            if not timer.cancelled:
                callback(*arguments)
        self.now = until


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.asyncio, "get_running_loop", lambda: clock)
    return clock


def test_a_log_is_silent_about_what_is_quick(clock: Clock) -> None:
    log = io.StringIO()
    progress = ProgressLine(log, waiting=True)
    progress(Event("started", "mapping", "asking for the mapping"))
    clock.advance(0.9)
    progress(Event("finished", "mapping"))
    clock.advance(10)
    progress.close()
    assert log.getvalue() == ""


def test_a_log_has_one_line_for_what_is_slow(clock: Clock) -> None:
    log = io.StringIO()
    progress = ProgressLine(log, waiting=True)
    progress(Event("started", "lifetime", "leaving a mapping alone"))
    progress(Event("progress", "lifetime", "leaving a mapping\x1b alone", 0.25))
    clock.advance(30)
    progress(Event("finished", "lifetime"))
    progress.close()
    assert log.getvalue() == "nattools: waiting: leaving a mapping\\x1b alone (25%)\n"


def test_the_simulator_is_never_waited_for(clock: Clock) -> None:
    log = io.StringIO()
    progress = ProgressLine(log, waiting=False)
    progress(Event("started", "lifetime", "leaving a mapping alone"))
    clock.advance(600)
    progress.close()
    assert log.getvalue() == ""


def test_a_terminal_has_one_line_that_is_gone_at_the_end(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "50")
    terminal = Terminal()
    progress = ProgressLine(terminal, waiting=True)
    progress(Event("started", "mapping", "asking 11.201.0.2 and 11.202.0.2 for the mapping of one port"))
    clock.advance(2.1)
    progress(Event("started", "filtering", "filtering"))
    progress(Event("finished", "mapping"))
    progress(Event("finished", "filtering"))
    progress.close()
    clock.advance(10)
    drawn = terminal.getvalue()
    assert "0 of 1 done, 2 s: asking 11.201.0.2" in drawn
    assert "1 of 2 done, 2 s: filtering" in drawn
    shown = re.split(r"\x1b\[[0-9;?]*[A-Za-z]|\r", drawn)
    assert max(len(line) for line in shown) < 50
    assert on_screen(drawn) == [""]
    assert drawn.count(SHOW_CURSOR) == drawn.count(HIDE_CURSOR) * 2


HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def on_screen(drawn: str) -> list[str]:
    """The lines that a terminal shows at the end."""
    lines, row = [""], 0
    for control, text in re.findall(r"(\x1b\[[0-9;?]*[A-Za-z])|([^\x1b])", drawn):
        if text == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif control.endswith("A"):
            row -= int(control[2:-1] or 1)
        elif control == "\x1b[2K":
            lines[row] = ""
        elif text and text != "\r":
            lines[row] += text
    return [line for line in lines if line] or [""]


def test_a_line_fits_on_a_terminal_that_becomes_narrower(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or each new one would begin below what is left of the one before."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal()
    progress = ProgressLine(terminal, waiting=True)
    progress.status(lambda: "Connected " * 7)
    clock.advance(2)
    before = len(terminal.getvalue())
    monkeypatch.setenv("COLUMNS", "40")
    clock.advance(4)
    progress.close()
    shown = re.split(r"\x1b\[[0-9;?]*[A-Za-z]|\r", terminal.getvalue()[before:])
    assert 30 < max(len(line.strip("\n")) for line in shown) < 40
    assert on_screen(terminal.getvalue()) == [""]


def test_a_stream_that_breaks_stops_nothing(clock: Clock) -> None:
    log = io.StringIO()
    progress = ProgressLine(log, waiting=True)
    progress(Event("started", "mapping", "asking"))
    log.close()
    clock.advance(5)
    progress.close()


def test_what_all_waits_for_is_not_counted_and_a_status_takes_its_place(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal, asked = Terminal(), [0]

    def status() -> str:
        asked[0] += 1
        return f"Connected \x1b {asked[0]}"

    progress = ProgressLine(terminal, waiting=True)
    progress(Event("started", "mapping", "mapping"))
    clock.advance(2)
    progress(Event("started", "peer", "the other machine", alone=True))
    clock.advance(5)
    progress(Event("finished", "peer"))
    progress(Event("finished", "mapping"))
    progress.status(status)
    clock.advance(7)
    progress.close()
    clock.advance(20)
    drawn = terminal.getvalue()
    assert "Waiting 3 s for the other machine" in drawn
    assert "Connected \\x1b 5" in drawn
    assert asked[0] < 12, "it is not asked any more"


def test_a_log_has_no_status(clock: Clock) -> None:
    log = io.StringIO()
    progress = ProgressLine(log, waiting=True)
    progress.status(lambda: "Connected")
    progress.aside(lambda: None)
    clock.advance(60)
    progress.close()
    assert log.getvalue() == ""
