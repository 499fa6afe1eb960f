"""What is being waited for, on standard error: one line that changes on a terminal, else a line for each
probe that takes longer than a second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from nattools.engine.measureoptions import Event
from nattools.report.safetext import safe
from nattools.report.terminal import is_live, terminal_columns

if TYPE_CHECKING:
    from rich.live import Live

logger = logging.getLogger(__name__)

PATIENCE_S = 1.0
TICK_S = 0.25
SPINNER = "line"


class ProgressLine:
    """Call it with events from within the event loop; close it when the measurement is over.

    `waiting`: time passes for the person at the keyboard too. In the simulator it does not: then nothing is
    ever waited for, and the loop's timers would only be in the way of its clock.
    """

    def __init__(self, stream: TextIO, *, waiting: bool) -> None:
        self._stream = stream
        self._moving = is_live(stream)
        self._live: Live | None = None
        self._waiting = waiting
        self._running: dict[str, Event] = {}
        self._status: Callable[[], str] | None = None
        self._finished = 0
        self._began: float | None = None
        self._since: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __call__(self, event: Event) -> None:
        """Take note of an event, and show it if it is time to."""
        if event.kind == "finished":
            if self._running.pop(event.probe, None) is not None:
                self._finished += 1
            self._forget(event.probe)
        else:
            if event.probe not in self._running:
                self._await(event.probe)
            self._running[event.probe] = event
        self._draw()

    def aside(self, write: Callable[[], None]) -> None:
        """Let something be written to the same stream, above what is waited for. It is a courtesy too."""
        self._erase()
        self._try(write)
        if self._running or self._status is not None:
            self._draw()

    def status(self, words: Callable[[], str]) -> None:
        """From now on show these words on a terminal, made anew again and again, in place of what is waited
        for."""
        self._status = words
        if self._moving and self._waiting and "" not in self._timers:
            self._tick()

    def close(self) -> None:
        """Leave nothing on the line, and no timer."""
        for probe in list(self._timers):
            self._forget(probe)
        self._running.clear()
        self._status = None
        self._erase()

    def _await(self, probe: str) -> None:
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        self._since[probe] = loop.time()
        if self._began is None:
            self._began = loop.time()
        if not self._moving:
            self._timers[probe] = loop.call_later(PATIENCE_S, self._announce, probe)
        elif "" not in self._timers:
            self._timers[""] = loop.call_later(TICK_S, self._tick)

    def _forget(self, probe: str) -> None:
        timer = self._timers.pop(probe, None)
        if timer is not None:
            timer.cancel()

    def _announce(self, probe: str) -> None:
        event = self._running.get(probe)
        if event is not None:
            self._try(lambda: self._stream.write(f"nattools: waiting: {_words(event)}\n"))

    def _tick(self) -> None:
        self._draw()
        self._timers[""] = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _draw(self) -> None:
        if not self._moving:
            return
        line = self._line()
        if line is None:
            self._erase()
        else:
            self._try(lambda: self._show(line))

    def _line(self) -> str | None:
        if self._status is not None:
            return safe(self._status(), 200)
        if not self._running:
            return None
        event = next(reversed(self._running.values()))
        if event.alone:
            return f"Waiting{self._elapsed(event.probe)} for {_words(event)}"
        total = self._finished + len(self._running)
        elapsed = self._elapsed() and f",{self._elapsed()}"
        return f"{self._finished} of {total} done{elapsed}: {_words(event)}"

    def _show(self, line: str) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        shown = Table.grid(padding=(0, 1, 0, 0))
        shown.add_column()
        shown.add_column(no_wrap=True, overflow="ellipsis")
        shown.add_row(Spinner(SPINNER), Text(line))
        # one column stays free: some terminals begin a new line once the last one is written to
        columns = terminal_columns(self._stream) - 1
        if self._live is not None:
            self._live.console.width = columns
            self._live.update(shown, refresh=True)
            return
        loop = asyncio.get_running_loop()
        console = Console(file=self._stream, width=columns, height=1, force_terminal=True, get_time=loop.time)
        self._live = Live(
            shown,
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)
        console.show_cursor(True)  # nothing gives it back if this process is killed

    def _erase(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            self._try(live.stop)

    def _elapsed(self, probe: str | None = None) -> str:
        began = self._began if probe is None else self._since.get(probe)
        if began is None:
            return ""
        return f" {asyncio.get_running_loop().time() - began:.0f} s"

    def _try(self, write: Callable[[], object]) -> None:
        """ProgressLine is a courtesy: a standard error that cannot be written to stops nothing."""
        try:
            write()
            self._stream.flush()
        except (OSError, ValueError):
            logger.debug("progress cannot be written", exc_info=True)
            self._moving = False


def _words(event: Event) -> str:
    text = safe(event.text or event.probe, 200)
    return text if event.fraction is None else f"{text} ({event.fraction:.0%})"
