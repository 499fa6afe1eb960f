"""Trials of the scenarios that come with nattools, as the tests ask for them."""

from __future__ import annotations

import re

from statements import check_statements

from nattools.lab.backend import Backend
from nattools.trials.scenarios import Case, Trial, run_trial

SEEDS = range(3)
AGAIN = 2
"""So often a network of namespaces is measured again where something stayed unknown: on a busy machine
answers come late, or for a punch so late that the next step of the plan was quicker. What is wrong fails at
once."""
NOT_KNOWN = re.compile(r'but is ("unknown"|null)$')


def tried(
    name: str,
    host: str,
    backend: Backend,
    seed: int | None = None,
    peer: str | None = None,
    knocks: bool = False,
) -> Trial:
    """A trial that gave a report, as expected."""
    case = Case(name, host, backend, seed, peer, knocks)
    trial = run_trial(case)
    for _ in range(AGAIN if backend == "netns" else 0):
        if not trial.wrong or not (all(map(NOT_KNOWN.search, trial.wrong)) or by_a_later_step(trial)):
            break
        trial = run_trial(case)
    assert trial.problem == ""
    assert trial.wrong == ()
    if trial.report is not None:
        check_statements(trial.report)
    return trial


def by_a_later_step(trial: Trial) -> bool:
    """Is nothing wrong but that they connected by another step than the first one of the plan?"""
    punch = None if trial.report is None else trial.report.connection
    if punch is None or not punch.connected:
        return False
    later = [step.strategy for step in punch.plan[1:]]
    return punch.strategy in later and all(".strategy" in each for each in trial.wrong)
