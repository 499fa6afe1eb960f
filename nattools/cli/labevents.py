"""`nattools lab run --events`: what happens in a scenario, as it happens."""

from __future__ import annotations

import asyncio

from nattools.cli.outputs import write_out
from nattools.errors import CannotRun
from nattools.lab.backend import Backend
from nattools.lab.scenario import Scenario
from nattools.lab.scenarioevents import ScheduledEvent
from nattools.lab.sim.simlab import SimLab
from nattools.report.safetext import safe, untied
from nattools.wording import terms

MOST = 200


def play_events(scenario: Scenario, backend: Backend, seed: int | None) -> None:
    """Play them on the simulator, a line for each, until each has happened and those that are repeated
    once more. CannotRun: network namespaces play none."""
    if backend != "sim":
        raise CannotRun("network namespaces play no events", "The simulator plays them: --backend sim.")
    if not scenario.event:
        write_out("nothing happens in this scenario: it has no [[event]]\n")
        return
    told = 0

    def happened(moment: ScheduledEvent) -> None:
        nonlocal told
        told += 1
        if told <= MOST:
            write_out(f"{untied(terms.seconds(moment.at_s)):>14}  {safe(moment.text, 120)}\n")

    with SimLab(scenario, seed=seed or 0) as lab:
        lab.happened = happened
        lab.run(lambda: asyncio.sleep(_end(scenario)))
    if told > MOST:
        write_out(f"{'':>14}  and {told - MOST:,} more\n")


def _end(scenario: Scenario) -> float:
    """When all of them have happened, those that are repeated at least once more."""
    return max(each.at_s + (each.every_s or 0.0) + each.down_s for each in scenario.event) + 1.0
