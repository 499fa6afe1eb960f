"""Many trials: scenarios by backends, several at a time, and the table of what came of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from nattools.cli.trial import Trial, attempt, cases_of
from nattools.lab.backend import Backend
from nattools.lab.loader import available
from nattools.report.safetext import safe

Told = Callable[[int, int], None]


class Matrix:
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
        for trial in self._trials(jobs):
            trials.append(trial)
            told(len(trials), len(self.cases))
        return trials

    def _trials(self, jobs: int) -> Iterator[Trial]:
        if jobs == 1:
            yield from map(attempt, self.cases)
            return
        from multiprocessing import Pool

        # leaving the block for whatever reason ends the workers, and with them their labs
        with Pool(jobs, initializer=settle) as pool:
            yield from pool.imap(attempt, self.cases)

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


def settle() -> None:
    """A worker dies with the command, however that dies, and leaves it to the command to tell of Ctrl-C."""
    import signal
    import sys

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        from nattools.lab.netns.processes import die_with_parent

        die_with_parent()


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
