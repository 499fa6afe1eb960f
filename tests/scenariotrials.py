"""Trials of the scenarios that come with nattools, as the tests ask for them."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from statements import check_statements

from nattools.lab import expect
from nattools.lab.backend import Backend
from nattools.lab.scenariofiles import available, load
from nattools.model.report import Report
from nattools.trials.scenarios import (
    Case,
    Trial,
    expectations,
    hosts_to_try,
    knocks_to_try,
    pairs_to_try,
    run_trial,
)

SCENARIOS = {name: load(name) for name in available()}
HOSTS = [(name, host) for name, drawn in SCENARIOS.items() for host in hosts_to_try(drawn)]
PAIRS = [(name, *pair) for name, drawn in SCENARIOS.items() for pair in pairs_to_try(drawn)]
KNOCKS = [(name, *pair) for name, drawn in SCENARIOS.items() for pair in knocks_to_try(drawn)]
"""All that a scenario expects something of: hosts, and pairs that connect by punch and by pwnat."""
SEEDS = range(3)
AGAIN = 2
"""So often a network of namespaces is measured again where something stayed unknown, or took longer than it
may: on a busy machine answers come late, or for a punch so late that the next step of the plan was quicker.
What else is wrong fails at once."""
BUSY = 10
"""No more than so many times longer, or it is not the machine that takes the time."""
TIMES = ("direct_rtt_ms", "elapsed_s", "rtt_ms")
NOT_KNOWN = re.compile(r'but is ("unknown"|null|\[\])$')
"""Of a list: nothing is claimed."""


@cache
def simulated(name: str, host: str = "alice", peer: str | None = None) -> Report:
    """What is found in the simulator with its own seed. The tests of what becomes of reports look at the same
    ones."""
    report = run_trial(Case(name, host, "sim", None, peer)).report
    assert report is not None
    return report


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
        causes = (by_what_is_open, by_time, by_a_later_step, by_chance)
        if not trial.wrong or not any(cause(trial) for cause in causes):
            break
        trial = run_trial(case)
    assert trial.problem == ""
    assert trial.wrong == (), trial.wrong
    if trial.report is not None:
        check_statements(trial.report)
    return trial


def by_what_is_open(trial: Trial) -> bool:
    """Is nothing wrong but that something is not known?"""
    return all(map(left_open, trial.wrong))


def by_time(trial: Trial) -> bool:
    """Is nothing wrong but that it took longer than it may, as where other programs have their time too?"""
    if trial.report is None:
        return False
    if trial.case.peer is not None:
        return all(any(f"{each} should be" in sentence for each in TIMES) for sentence in trial.wrong)
    wanted = expectations(SCENARIOS[trial.case.scenario], trial.case.host)
    return expect.check(trial.report, with_longer_times(wanted)) == []


def with_longer_times(wanted: Any, *, is_time: bool = False) -> Any:
    """The same expectations, with `BUSY` times the greatest round trips and times until a connection."""
    if isinstance(wanted, list):
        return [with_longer_times(each) for each in wanted]
    if not isinstance(wanted, dict):
        return wanted
    return {
        key: BUSY * each
        if is_time and key == "max"
        else with_longer_times(each, is_time=is_time or key in TIMES)
        for key, each in wanted.items()
    }


def left_open(sentence: str) -> bool:
    """Is something that is expected not known, of a mapping whether others get in?"""
    if sentence.startswith("mappings should be "):
        rows = json.loads(sentence.partition(", but is ")[2])
        return any(row["created"] and row["verified_inbound"] is None for row in rows)
    return NOT_KNOWN.search(sentence) is not None


def differ_in_what_one_does_not_know(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """And in nothing else."""
    pairs = [(one.get(each), other.get(each)) for each in {**one, **other}]
    lanes = [pair for pair in pairs if isinstance(pair[0], dict) and isinstance(pair[1], dict)]
    values = [(a.get(each), b.get(each)) for a, b in lanes for each in {**a, **b}]
    values += [each for each in pairs if each not in lanes]
    different = [each for each in values if each[0] != each[1]]
    return bool(different) and all("unknown" in each or None in each for each in different)


def by_chance(trial: Trial) -> bool:
    """Has a birthday found nothing? Of two random NATs 2 in 10,000 do, so three in a row one in
    100,000,000,000."""
    punch = None if trial.report is None else trial.report.connection
    if punch is None or punch.connected or not punch.plan:
        return False
    return punch.plan[0].strategy == "birthday" and (punch.odds or 0.0) >= 0.999


def by_a_later_step(trial: Trial) -> bool:
    """Is nothing wrong but that they connected by another step than the first one of the plan?"""
    punch = None if trial.report is None else trial.report.connection
    if punch is None or not punch.connected:
        return False
    later = [step.strategy for step in punch.plan[1:]]
    return punch.strategy in later and all(".strategy" in each for each in trial.wrong)
