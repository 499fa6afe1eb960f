"""A scenario tried: one of its hosts measured on one backend, and held against what the scenario expects."""

from __future__ import annotations

from typing import Any

import msgspec

from nattools.engine.events import Emit, Event
from nattools.engine.options import MeasureOptions
from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.run import measure
from nattools.errors import CannotRun
from nattools.lab import expect
from nattools.lab.base import Backend
from nattools.lab.open import load_scenario, open_lab
from nattools.lab.scenario import Scenario
from nattools.model.report import Report
from nattools.model.serveruri import parse_server


class Case(msgspec.Struct, frozen=True):
    """What to try."""

    scenario: str
    host: str
    backend: Backend
    seed: int | None = None


class Trial(msgspec.Struct, frozen=True):
    """What came of it. `wrong`: the expectations that the report does not meet, a sentence each; `problem`:
    why there is no report."""

    case: Case
    report: Report | None
    wrong: tuple[str, ...] = ()
    problem: str = ""

    @property
    def met(self) -> bool:
        """Is the report there, and all as expected?"""
        return self.report is not None and not self.wrong


def silent(event: Event) -> None:
    """No progress."""


def hosts_to_try(scenario: Scenario) -> list[str]:
    """The hosts with expectations, or all hosts if none has any."""
    expected = [host for host in scenario.host if host in scenario.expect]
    return expected or list(scenario.host)


def expectations(scenario: Scenario, host: str) -> dict[str, Any]:
    """What a correct report of this host says; empty if the scenario does not say."""
    found: dict[str, Any] = scenario.expect.get(host, {})
    return found


def measure_options(scenario: Scenario, host: str, uris: tuple[str, ...]) -> MeasureOptions:
    """How the scenario wants to be measured: its `[options]`, the rest as usual."""
    wanted = dict(scenario.options)
    if "families" in wanted:
        wanted["families"] = tuple(wanted["families"])
    return MeasureOptions(
        command="diagnose",
        servers=tuple(parse_server(uri) for uri in uris),
        scenario=f"{scenario.name}:{host}",
        **wanted,
    )


def attempt(case: Case, emit: Emit = silent) -> Trial:
    """Bring the scenario up, measure, and compare. CannotRun becomes the trial's `problem`."""
    scenario = load_scenario(case.scenario)
    try:
        with open_lab(scenario, case.backend, case.seed) as lab:
            chosen = measure_options(scenario, case.host, lab.server_uris())
            report = lab.run(lambda: measure(lab.network(case.host), chosen, emit, MemoryJournal()))
    except CannotRun as error:
        remedy = f" {error.remedy}" if error.remedy else ""
        return Trial(case, None, problem=f"{error}.{remedy}")
    return Trial(case, report, tuple(expect.check(report, expectations(scenario, case.host))))
