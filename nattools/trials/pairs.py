"""Two hosts of a lab connected, and every pair of some kinds of networks, with the report of the results."""

from __future__ import annotations

import asyncio
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from time import perf_counter

from nattools import __version__
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.punch import punch_both
from nattools.errors import CannotRun
from nattools.lab.backend import Backend, Lab, open_lab
from nattools.lab.natkinds import MOST_PAIRS, Pair, pairs_of, scenario_of_kinds
from nattools.model.endpoint import Family
from nattools.model.host import Host
from nattools.model.punch import Matrix, PairResult, Punch
from nattools.model.report import Report, Tool
from nattools.model.serveruri import parse_server
from nattools.net.base import Network
from nattools.trials.labrelays import accesses_of_lab
from nattools.workers import in_processes

Told = Callable[[int, int], None]
"""Is told how many of how many are done."""
Reports = tuple[Report, Report]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOptions:
    """What a punch in a lab may use. `low_ports` None: ports below 1024 if this process may bind them.
    `scenario`: the name to note in the reports. `relay`: the server of a matrix relays."""

    low_ports: bool | None = None
    families: tuple[Family, ...] = (4,)
    scenario: str = ""
    relay: bool = False


async def connect_pair(
    lab: Lab, first: str, second: str, terms: PairOptions, network: Network | None = None
) -> Reports:
    """Both hosts' reports, the first by its `network`. Errors are those of `engine.punch.punch`."""
    networks = network or lab.network(first), lab.network(second)
    one, other = (_options(lab, host, terms) for host in (first, second))
    return await punch_both((networks[0], one, Watcher()), (networks[1], other, Watcher()))


def _options(lab: Lab, host: str, terms: PairOptions) -> PunchOptions:
    measuring = MeasureOptions(
        command="punch",
        servers=tuple(parse_server(uri) for uri in lab.server_uris()),
        families=terms.families,
        scenario=f"{terms.scenario}:{host}" if terms.scenario else None,
        seed=lab.seed,
    )
    relays = accesses_of_lab(lab)
    return PunchOptions(measuring=measuring, low_ports=terms.low_ports, echoes=0, relays=relays)


@dataclass(frozen=True, slots=True)
class PairTrial:
    """One run of a pair: what both sides say of it, or why there is nothing to say."""

    pair: Pair
    sides: tuple[Punch, Punch] | None
    problem: str = ""
    may_relay: bool = False

    @property
    def connected(self) -> bool:
        """Do both sides say so?"""
        return self.sides is not None and all(side.connected for side in self.sides)

    @property
    def relayed(self) -> bool:
        """Do they need the relay?"""
        return self.connected and self.sides is not None and self.sides[0].path == "relayed"

    @property
    def as_planned(self) -> bool:
        """Connected directly where a direct way was planned, and else over a relay if there is one."""
        if self.sides is None:
            return False
        direct = self.sides[0].odds is not None
        return self.connected and not self.relayed if direct else self.connected or not self.may_relay


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs that share a lab, each in sites of its own, some at a time."""

    pairs: tuple[Pair, ...]
    backend: Backend
    seed: int
    terms: PairOptions
    at_once: int = 1

    def trials(self) -> list[PairTrial]:
        """Brings the lab up and connects them."""
        try:
            drawn = scenario_of_kinds(self.pairs, relay=self.terms.relay)
            with open_lab(drawn, self.backend, self.seed) as lab:
                return lab.run(lambda: self._all(lab))
        except CannotRun as error:
            problem = f"{error}. {error.remedy}".strip()
            return [PairTrial(pair, None, problem) for pair in self.pairs]

    async def _all(self, lab: Lab) -> list[PairTrial]:
        gate = asyncio.Semaphore(self.at_once)

        async def one(index: int, pair: Pair) -> PairTrial:
            async with gate:
                try:
                    reports = await connect_pair(lab, f"a{index}", f"b{index}", self.terms)
                except CannotRun as error:
                    return PairTrial(pair, None, str(error))
            return PairTrial(pair, punches(reports), may_relay=self.terms.relay)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(*each)) for each in enumerate(self.pairs)]
        return [task.result() for task in tasks]


def punches(reports: Reports) -> tuple[Punch, Punch]:
    """What both sides tell of it."""
    first, second = (report.punch for report in reports)
    assert first is not None
    assert second is not None
    return first, second


class PairMatrix:
    """All pairs of some kinds, each `repeat` times with the next seed."""

    def __init__(
        self, kinds: Sequence[str], backend: Backend, *, repeat: int, seed: int | None, terms: PairOptions
    ) -> None:
        self.kinds = tuple(dict.fromkeys(kinds))
        self.pairs = pairs_of(self.kinds)
        self._backend: Backend = backend
        self._repeat = repeat
        self._seed = seed or 0
        self._terms = terms

    def report(self, jobs: int, told: Told) -> Report:
        """Try all, `jobs` at a time; `told` hears how many are done of how many. CannotRun: none could be
        tried."""
        began, started = perf_counter(), datetime.now(UTC)
        trials: list[PairTrial] = []
        for found in self._batches(jobs):
            trials += found
            told(len(trials), len(self.pairs) * self._repeat)
        if all(trial.sides is None for trial in trials):
            raise CannotRun(trials[0].problem)
        return Report(
            tool=Tool(name="nattools", version=__version__),
            command="lab",
            started=started.isoformat(timespec="seconds").replace("+00:00", "Z"),
            duration_s=round(perf_counter() - began, 3),
            substrate=self._backend,
            host=Host(os=platform.system(), python=platform.python_version()),
            matrix=Matrix(
                kinds=self.kinds,
                low_ports=self._terms.low_ports is not False,
                relay=self._terms.relay,
                pairs=tuple(
                    _result(pair, [each for each in trials if each.pair == pair]) for pair in self.pairs
                ),
            ),
        )

    def _batches(self, jobs: int) -> Iterator[list[PairTrial]]:
        """In namespaces the pairs that go on at once share a lab; simulated ones share nothing, and go on in
        processes."""
        seeds = range(self._seed, self._seed + self._repeat)
        size = MOST_PAIRS if self._backend == "netns" else 1
        parts = [tuple(self.pairs[at : at + size]) for at in range(0, len(self.pairs), size)]
        batches = [Batch(part, self._backend, seed, self._terms, jobs) for seed in seeds for part in parts]
        return in_processes(Batch.trials, batches, 1 if self._backend == "netns" else jobs)


def _result(pair: Pair, trials: Sequence[PairTrial]) -> PairResult:
    """What all runs of a pair came to."""
    made = [trial.sides for trial in trials if trial.sides is not None]
    good = [trial.sides for trial in trials if trial.connected and trial.sides is not None]
    bad = [sides for sides in made if sides not in good]
    elapsed = sorted(max(side.elapsed_s or 0.0 for side in sides) for sides in good)
    usual = Counter((each.strategy, each.transport, each.family) for each, _ in good).most_common(1)
    strategy, transport, family = usual[0][0] if usual else (None, None, None)
    return PairResult(
        pair=pair,
        runs=len(trials),
        connected=len(good),
        relayed=sum(trial.relayed for trial in trials),
        as_planned=sum(trial.as_planned for trial in trials),
        strategy=strategy,
        transport=transport,
        family=family,
        elapsed_s=(elapsed[0], round(median(elapsed), 4), elapsed[-1]) if elapsed else None,
        odds=made[0][0].odds if made else None,
        packets=_most(made),
        why=bad[0][0].why if bad else "",
        advice=bad[0][0].advice if bad else "",
        problems=tuple(dict.fromkeys(trial.problem for trial in trials if trial.problem)),
    )


def _most(made: Sequence[tuple[Punch, Punch]]) -> tuple[int, int] | None:
    if not made:
        return None
    return max(first.probes_sent for first, _ in made), max(second.probes_sent for _, second in made)
