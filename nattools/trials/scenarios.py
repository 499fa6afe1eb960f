"""A scenario tried: one of its hosts measured on one backend, or two of them connected, and held against what
the scenario expects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from nattools.engine.lanscan import measure_lan
from nattools.engine.libp2pmeasurement import measure_libp2p
from nattools.engine.measureoptions import Emit, Event, MeasureOptions
from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.run import NothingAnswered, measure
from nattools.engine.tailnets import measure_tailnets
from nattools.errors import CannotRun
from nattools.lab import expect
from nattools.lab.backend import Backend, Lab, open_lab
from nattools.lab.scenario import Scenario
from nattools.lab.scenariofiles import available, load
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import Network
from nattools.report.safetext import safe
from nattools.trials.knocks import knock_pair
from nattools.trials.labsearches import with_searches
from nattools.trials.pairs import PairOptions, Reports, Told, connect_pair
from nattools.workers import in_processes


class Case(msgspec.Struct, frozen=True):
    """What to try: `host` is measured, or with a `peer`, the two are connected: by a punch, or with `knocks`
    by pwnat, where the host listens."""

    scenario: str
    host: str
    backend: Backend
    seed: int | None = None
    peer: str | None = None
    knocks: bool = False

    @property
    def subject(self) -> str:
        """The host, or the pair as a scenario names it."""
        pair = self.host if self.peer is None else f"{self.host}-{self.peer}"
        return f"{pair} (pwnat)" if self.knocks else pair


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

    def answer(self, *, with_report: bool) -> TrialAnswer:
        """As JSON has it."""
        case = self.case
        return TrialAnswer(
            scenario=case.scenario,
            host=case.host,
            backend=case.backend,
            peer=UNSET if case.peer is None else case.peer,
            met=self.met,
            wrong=self.wrong,
            problem=self.problem or None,
            report=self.report if with_report else UNSET,
        )


class TrialAnswer(msgspec.Struct, frozen=True):
    """A trial as `nattools lab` gives it to programs. `problem`: why there is no report."""

    scenario: str
    host: str
    backend: Backend
    peer: str | UnsetType
    met: bool
    wrong: tuple[str, ...]
    problem: str | None
    report: Report | UnsetType | None


_NOBODY = {"ended", "advice"}
"""Who expects something of these may expect that nobody answers."""
Watched = Callable[[Network], AbstractContextManager[Network]]


def no_progress(event: Event) -> None:
    """No progress."""


def hosts_to_try(scenario: Scenario) -> list[str]:
    """The hosts with expectations, or all hosts if nothing is expected of any."""
    expected = [host for host in scenario.host if host in scenario.expect]
    connected = [*pairs_to_try(scenario), *knocks_to_try(scenario)]
    return expected if expected or connected else list(scenario.host)


def pairs_to_try(scenario: Scenario) -> list[tuple[str, str]]:
    """The pairs of hosts of which something is expected."""
    return list(expect.pairs(scenario.expect, list(scenario.host)))


def knocks_to_try(scenario: Scenario) -> list[tuple[str, str]]:
    """The pairs that try pwnat: listeners and their callers."""
    return list(expect.pairs(scenario.expect, list(scenario.host), expect.PWNAT))


def cases_of(name: str, backend: Backend, seed: int | None) -> list[Case]:
    """All that a scenario expects something of."""
    scenario = load(name)
    hosts = [Case(name, host, backend, seed) for host in hosts_to_try(scenario)]
    pairs = [Case(name, host, backend, seed, peer) for host, peer in pairs_to_try(scenario)]
    knocks = [Case(name, host, backend, seed, peer, knocks=True) for host, peer in knocks_to_try(scenario)]
    return hosts + pairs + knocks


def expectations(scenario: Scenario, host: str) -> dict[str, Any]:
    """What a correct report of this host says; empty if the scenario does not say."""
    found: dict[str, Any] = scenario.expect.get(host, {})
    return found


def measure_options(lab: Lab, host: str) -> MeasureOptions:
    """How the scenario wants to be measured: its `[options]`, the rest as usual."""
    scenario = lab.scenario
    wanted = dict(scenario.options)
    wanted.pop("low_ports", None)  # it concerns punches
    wanted.pop("turn_user", None)  # it concerns relays
    wanted.pop("named_server", None)  # it concerns pwnat
    command = wanted.pop("command", "diagnose")
    if "peers" in wanted:
        wanted["peers"] = tuple(wanted["peers"])
    if "families" in wanted:
        wanted["families"] = tuple(wanted["families"])
    options = MeasureOptions(
        command=command,
        mtu=command == "ipv6",
        servers=tuple(parse_server(uri) for uri in lab.server_uris()),
        scenario=f"{scenario.name}:{host}",
        seed=lab.seed,
        **wanted,
    )
    return with_searches(options, lab)


def run_trial(case: Case, emit: Emit = no_progress, watched: Watched = nullcontext) -> Trial:
    """Bring the scenario up, measure, and compare. CannotRun becomes the trial's `problem`. What is measured
    is done on the `watched` network of the (first) host."""
    scenario = load(case.scenario)
    try:
        with open_lab(scenario, case.backend, case.seed) as lab:
            return (
                _connected(case, lab, watched)
                if case.peer is not None
                else _measured(case, lab, emit, watched)
            )
    except CannotRun as error:
        remedy = f" {error.remedy}" if error.remedy else ""
        return Trial(case, None, problem=f"{error}.{remedy}")


def _measured(case: Case, lab: Lab, emit: Emit, watched: Watched) -> Trial:
    scenario = lab.scenario
    chosen = measure_options(lab, case.host)

    async def work() -> Report:
        with watched(lab.network(case.host)) as network:
            if chosen.command == "libp2p":
                return await measure_libp2p(network, chosen, emit)
            if chosen.command == "lan":
                return await measure_lan(network, chosen, emit)
            if chosen.command == "tailscale":
                return await measure_tailnets(network, chosen, emit, MemoryJournal())
            return await measure(network, chosen, emit, MemoryJournal())

    wanted = expectations(scenario, case.host)
    try:
        report = lab.run(work)
    except NothingAnswered as nothing:
        if not _NOBODY.intersection(wanted):
            raise
        report = nothing.report
    return Trial(case, report, tuple(expect.check(report, wanted)))


def _connected(case: Case, lab: Lab, watched: Watched) -> Trial:
    scenario, hosts = lab.scenario, (case.host, case.peer or "")
    terms = PairOptions(
        low_ports=scenario.options.get("low_ports"),
        families=tuple(scenario.options.get("families", (4, 6))),
        scenario=scenario.name,
    )

    async def work() -> Reports:
        with watched(lab.network(case.host)) as network:
            if case.knocks:
                return await knock_pair(lab, *hosts, network)
            return await connect_pair(lab, *hosts, terms, network)

    reports = lab.run(work)
    kind = expect.PWNAT if case.knocks else expect.PAIR
    wanted = expect.pairs(scenario.expect, list(scenario.host), kind).get(hosts, {})
    return Trial(case, reports[0], tuple(expect.check_pair(dict(zip(hosts, reports, strict=True)), wanted)))


class ScenarioMatrix:
    """All cases of some scenarios (None: all that come with nattools) on some backends, each `repeat` times.

    A repeated trial has the next seed: chance differs between repetitions and not between runs.
    """

    def __init__(
        self, scenarios: list[str] | None, backends: list[Backend], repeat: int, seed: int | None
    ) -> None:
        self.backends = backends
        self.cases = [
            case
            for name in scenarios or available()
            for backend in backends
            for number in range(repeat)
            for case in cases_of(
                name, backend, (seed or 0) + number if repeat > 1 or seed is not None else None
            )
        ]

    def run(self, jobs: int, told: Told) -> list[Trial]:
        """Try all, `jobs` at a time; `told` hears how many are done of how many."""
        trials = []
        for trial in in_processes(run_trial, self.cases, jobs):
            trials.append(trial)
            told(len(trials), len(self.cases))
        return trials

    def table(self, trials: list[Trial]) -> str:
        """A row for each host of each scenario, a column for each backend, and what differs below."""
        results: dict[tuple[str, str], dict[Backend, list[Trial]]] = defaultdict(lambda: defaultdict(list))
        for trial in trials:
            results[trial.case.scenario, trial.case.subject][trial.case.backend].append(trial)
        width = max((len(f"{name}:{host}") for name, host in results), default=0)
        lines = [f"{'SCENARIO:HOST':{width}}  " + "  ".join(f"{each:12}" for each in self.backends).rstrip()]
        for (name, host), found in results.items():
            cells = "  ".join(f"{_cell(found[each]):12}" for each in self.backends)
            lines.append(f"{safe(f'{name}:{host}'):{width}}  {cells}".rstrip())
        lines += _differences(trials)
        met = sum(trial.met for trial in trials)
        lines.append(f"{met} of {len(trials)} as expected")
        return "".join(f"{line}\n" for line in lines)


def _cell(trials: list[Trial]) -> str:
    met = sum(trial.met for trial in trials)
    if met == len(trials):
        return "as expected" if met == 1 else f"{met} of {met}"
    if any(trial.problem for trial in trials):
        return "cannot run"
    return "DIFFERS" if len(trials) == 1 else f"{met} of {len(trials)}"


def _differences(trials: list[Trial]) -> list[str]:
    """Each difference once, with how often it was seen."""
    seen: dict[str, int] = defaultdict(int)
    for trial in trials:
        for sentence in trial.wrong or ([trial.problem] if trial.problem else []):
            seen[f"{trial.case.scenario}:{trial.case.subject} on {trial.case.backend}: {sentence}"] += 1
    return [safe(text) + (f" ({count} times)" if count > 1 else "") for text, count in seen.items()]
