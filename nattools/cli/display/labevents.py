"""`nattools lab run --events`: what happens in a scenario, as it happens, and what its machines see of it."""

from __future__ import annotations

import sys

from nattools.cli.display.outputs import write_json, write_out
from nattools.lab.backend import Backend
from nattools.lab.scenario import Scenario
from nattools.report.safetext import safe, untied, wrap
from nattools.report.terminal import terminal_columns
from nattools.trials.eventeffects import EventEffect, EventObserver, end_s, still_lab
from nattools.wording import terms

MOST = 200


def play_events(scenario: Scenario, backend: Backend, seed: int | None, *, as_json: bool) -> None:
    """Play them, a line for each and one for each thing that a machine sees of it, until each has happened
    and those that are repeated once more. `as_json`: as one document at the end."""
    if not scenario.event and not as_json:
        write_out("nothing happens in this scenario: it has no [[event]]\n")
        return
    until_s = end_s(scenario)
    with still_lab(scenario, backend, seed or 0) as lab:
        told, whole = lab.run(lambda: _tell_all(EventObserver(lab), until_s, as_json=as_json))
    if as_json:
        happened = [{"at_s": at_s, "what": text or None, "seen": news} for at_s, text, news in told]
        name = {"scenario": scenario.name, "backend": backend}
        write_json({**name, "happened": happened, "complete": whole})
    elif not whole:
        write_out(f"{'':>14}  and more, until {untied(terms.seconds(until_s))}\n")


async def _tell_all(
    observer: EventObserver, until_s: float, *, as_json: bool
) -> tuple[list[EventEffect], bool]:
    """The first `MOST` of all effects; is that all?"""
    told: list[EventEffect] = []
    async for effect in observer.effects(until_s):
        if len(told) == MOST:
            return told, False
        told.append(effect)
        if not as_json:
            _tell(effect)
    return told, True


def _tell(effect: EventEffect) -> None:
    first = untied(terms.seconds(effect.at_s)) if effect.text else "at first"
    lines = [*([effect.text] if effect.text else []), *effect.news]
    times = [first, *[""] * len(lines)]
    columns = max(20, terminal_columns(sys.stdout) - 18)
    for time, line in zip(times, lines, strict=False):
        first_line, *others = wrap(safe(line, 120), columns)
        write_out(f"{time:>14}  {first_line}\n" + "".join(f"{'':>16}  {other}\n" for other in others))
