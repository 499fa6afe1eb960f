"""A scenario tried: one of its hosts measured on one backend, or two of them connected, and held against what
the scenario expects."""

from __future__ import annotations

from typing import Any

import msgspec

from nattools.cli.pairtrial import Terms, connect
from nattools.engine.options import Emit, Event, MeasureOptions
from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.run import measure
from nattools.errors import CannotRun
from nattools.lab import expect
from nattools.lab.base import Backend, Lab
from nattools.lab.open import load_scenario, open_lab
from nattools.lab.scenario import Scenario
from nattools.model.report import Report
from nattools.model.serveruri import parse_server


class Case(msgspec.Struct, frozen=True):
    """What to try: `host` is measured, or with a `peer`, the two are connected."""

    scenario: str
    host: str
    backend: Backend
    seed: int | None = None
    peer: str | None = None

    @property
    def subject(self) -> str:
        """The host, or the pair as a scenario names it."""
        return self.host if self.peer is None else f"{self.host}-{self.peer}"


class Trial(msgspec.Struct, frozen=True):
    """What came of it; of a pair, `report` is that of its first host. `wrong`: the expectations that are not
    met, a sentence each; `problem`: why there is no report."""

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
    """The hosts with expectations, or all hosts if nothing is expected of any."""
    expected = [host for host in scenario.host if host in scenario.expect]
    return expected if expected or pairs_to_try(scenario) else list(scenario.host)


def pairs_to_try(scenario: Scenario) -> list[tuple[str, str]]:
    """The pairs of hosts of which something is expected."""
    return list(expect.pairs(scenario.expect, list(scenario.host)))


def cases_of(name: str, backend: Backend, seed: int | None) -> list[Case]:
    """All that a scenario expects something of."""
    scenario = load_scenario(name)
    hosts = [Case(name, host, backend, seed) for host in hosts_to_try(scenario)]
    return hosts + [Case(name, host, backend, seed, peer) for host, peer in pairs_to_try(scenario)]


def expectations(scenario: Scenario, host: str) -> dict[str, Any]:
    """What a correct report of this host says; empty if the scenario does not say."""
    found: dict[str, Any] = scenario.expect.get(host, {})
    return found


def measure_options(scenario: Scenario, host: str, uris: tuple[str, ...]) -> MeasureOptions:
    """How the scenario wants to be measured: its `[options]`, the rest as usual."""
    wanted = dict(scenario.options)
    wanted.pop("low_ports", None)  # it concerns punches
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
            return _connected(case, lab) if case.peer is not None else _measured(case, lab, emit)
    except CannotRun as error:
        remedy = f" {error.remedy}" if error.remedy else ""
        return Trial(case, None, problem=f"{error}.{remedy}")


def _measured(case: Case, lab: Lab, emit: Emit) -> Trial:
    scenario = lab.scenario
    chosen = measure_options(scenario, case.host, lab.server_uris())
    report = lab.run(lambda: measure(lab.network(case.host), chosen, emit, MemoryJournal()))
    return Trial(case, report, tuple(expect.check(report, expectations(scenario, case.host))))


def _connected(case: Case, lab: Lab) -> Trial:
    scenario, hosts = lab.scenario, (case.host, case.peer or "")
    terms = Terms(
        low_ports=scenario.options.get("low_ports"),
        families=tuple(scenario.options.get("families", (4, 6))),
        scenario=scenario.name,
    )
    reports = lab.run(lambda: connect(lab, *hosts, terms))
    wanted = expect.pairs(scenario.expect, list(scenario.host)).get(hosts, {})
    return Trial(case, reports[0], tuple(expect.check_pair(dict(zip(hosts, reports, strict=True)), wanted)))
