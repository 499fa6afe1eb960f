"""Prints what each scenario gives in the simulator with seed 7, a line of JSON for each case: its name, what
was wrong, and the report. A program of its own, because a Python orders its sets in one way as long as it
runs."""

from __future__ import annotations

import sys

import msgspec

from nattools.lab.scenariofiles import available
from nattools.trials.scenarios import cases_of, run_trial

SEED = 7


def main() -> None:
    for name in available():
        for case in cases_of(name, "sim", SEED):
            trial = run_trial(case)
            report = trial.report and msgspec.structs.replace(trial.report, started="")  # the time of the day
            told = (f"{name} {case.subject}", trial.wrong, trial.problem, report)
            sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")


if __name__ == "__main__":
    main()
