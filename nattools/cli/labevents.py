"""`nattools lab run --events`: what happens in a scenario, as it happens, and what its machines see of it."""

from __future__ import annotations

from nattools.cli.outputs import write_out
from nattools.lab.backend import Backend
from nattools.lab.scenario import Scenario
from nattools.report.safetext import safe, untied
from nattools.trials.happenings import Happening, Onlooker, end_s, still_lab
from nattools.wording import terms

MOST = 200


def play_events(scenario: Scenario, backend: Backend, seed: int | None) -> None:
    """Play them, a line for each and one for each thing that a machine sees of it, until each has happened
    and those that are repeated once more."""
    if not scenario.event:
        write_out("nothing happens in this scenario: it has no [[event]]\n")
        return
    with still_lab(scenario, backend, seed or 0) as lab:
        lab.run(lambda: _tell_all(Onlooker(lab), end_s(scenario)))


async def _tell_all(onlooker: Onlooker, until_s: float) -> None:
    told = 0
    async for happening in onlooker.happenings(until_s):
        if told == MOST:
            write_out(f"{'':>14}  and more, until {untied(terms.seconds(until_s))}\n")
            return
        told += 1
        _tell(happening)


def _tell(happening: Happening) -> None:
    first = untied(terms.seconds(happening.at_s)) if happening.text else "at first"
    lines = [*([happening.text] if happening.text else []), *happening.news]
    times = [first, *[""] * len(lines)]
    write_out("".join(f"{time:>14}  {safe(line, 120)}\n" for time, line in zip(times, lines, strict=False)))
