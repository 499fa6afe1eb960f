"""`nattools lab` with the simulator: lists, runs, tables, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nattools.cli import labprograms
from nattools.cli.app import run
from nattools.errors import CannotRun
from nattools.lab.scenario import HostSpec, Scenario
from nattools.lab.scenariofiles import load
from nattools.lab.sim.simlab import SimLab
from nattools.trials import scenarios
from nattools.trials.scenarios import Case, ScenarioMatrix, hosts_to_try, measure_options, run_trial

Capture = pytest.CaptureFixture[str]

WRONG = """
title = "A home whose author is mistaken"
[nat.home]
[host.alice]
behind = "home"
[expect.alice.nat.udp4]
mapping = "address-dependent"
external = ["11.1.0.2"]
"""
SAID = 'nat.udp4.mapping should be "address-dependent", but is "endpoint-independent"'


@pytest.fixture
def mistaken(tmp_path: Path) -> str:
    file = tmp_path / "mistaken.toml"
    file.write_text(WRONG)
    return str(file)


def test_a_scenario_that_is_as_expected(capsys: Capture) -> None:
    assert run(["lab", "run", "home-router"]) == 0
    out = capsys.readouterr().out
    assert "alice: port-restricted cone as 11.1.0.2" in out
    assert "    as expected" in out


def test_a_scenario_that_is_not_as_expected(mistaken: str, capsys: Capture) -> None:
    assert run(["lab", "run", mistaken]) == 1
    assert f"NOT as expected: {SAID}" in capsys.readouterr().out


def test_run_as_json_is_one_document_with_the_reports(mistaken: str, capsys: Capture) -> None:
    assert run(["lab", "run", mistaken, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["scenario"], document["backend"]) == ("mistaken", "sim")
    [alice] = document["hosts"]
    assert (alice["host"], alice["met"], alice["wrong"]) == ("alice", False, [SAID])
    assert alice["report"]["schema"] == "nattools.report/1"
    assert alice["report"]["nat"]["udp4"]["external"] == ["11.1.0.2"]


def test_the_matrix_shows_what_differs_and_how_often(mistaken: str, capsys: Capture) -> None:
    assert run(["lab", "matrix", "open", mistaken, "--repeat", "2"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["SCENARIO:HOST", "sim"]
    assert lines[1].split() == ["open:alice", "2", "of", "2"]
    assert lines[2].split()[1:] == ["0", "of", "2"]
    assert lines[3].endswith(f"on sim: {SAID} (2 times)")
    assert lines[4] == "2 of 4 as expected"


def test_the_matrix_as_json(capsys: Capture) -> None:
    assert run(["lab", "matrix", "open", "--json"]) == 0
    [only] = json.loads(capsys.readouterr().out)["trials"]
    assert only == {
        "scenario": "open",
        "host": "alice",
        "backend": "sim",
        "met": True,
        "wrong": [],
        "problem": None,
    }


def test_repetitions_differ_in_their_seed_and_are_the_same_each_time() -> None:
    matrix = ScenarioMatrix(["open"], ["sim"], repeat=3, seed=None)
    assert [case.seed for case in matrix.cases] == [0, 1, 2]
    assert [case.seed for case in ScenarioMatrix(["open"], ["sim"], repeat=1, seed=None).cases] == [None]


def test_hosts_without_expectations_are_tried_only_if_none_has_any() -> None:
    hosts = {"alice": HostSpec(), "bob": HostSpec()}
    assert hosts_to_try(Scenario(title="t", host=hosts)) == ["alice", "bob"]
    assert hosts_to_try(Scenario(title="t", host=hosts, expect={"bob": {}})) == ["bob"]


def test_a_scenarios_options_reach_the_measurement() -> None:
    with SimLab(load("lifetime-10s"), seed=4) as lab:
        chosen = measure_options(lab, "alice")
    assert (chosen.lifetime, chosen.max_lifetime_s) == (True, 15)
    assert (chosen.scenario, chosen.seed) == ("lifetime-10s:alice", 4)


def test_what_cannot_run_is_a_trial_with_a_problem(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def refuse(*_: object) -> None:
        raise CannotRun("no namespaces here", "Simulate it.")

    monkeypatch.setattr(scenarios, "open_lab", refuse)
    assert run_trial(Case("open", "alice", "netns")).problem == "no namespaces here. Simulate it."
    assert run(["lab", "matrix", "open", "--backend", "netns"]) == 3
    assert "cannot run" in capsys.readouterr().out
    assert run(["lab", "run", "open", "--backend", "netns"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "hom-router"], "home-router"),
        (["run", "home-router", "--host", "bob"], "no host 'bob'"),
        (["run", "home-router", "--backend", "real"], "must be one of sim, netns"),
        (["matrix", "open", "--backend", "real"], "must be one of sim, netns"),
        (["exec", "home-router", "bob", "--", "true"], "no host 'bob'"),
        (["exec", "home-router", "alice", "--"], "COMMAND"),
        (["exec", "no-such", "alice", "--", "true"], "no scenario"),
    ],
)
def test_wrong_usage_is_one_clear_message(arguments: list[str], message: str, capsys: Capture) -> None:
    assert run(["lab", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_pairs_of_kinds_as_a_table_and_as_files(tmp_path: Path, capsys: Capture) -> None:
    saved = tmp_path / "matrix.json"
    assert run(["lab", "matrix", "--pairs", "open", "symmetric-sequential", "-o", str(saved)]) == 0
    said = capsys.readouterr().out
    assert "3 of 3 pairs connect directly, simulated." in said
    found = json.loads(saved.read_text())["matrix"]
    assert found["kinds"] == ["open", "symmetric-sequential"]
    assert [each["connected"] for each in found["pairs"]] == [1, 1, 1]
    assert run(["report", "show", str(saved)]) == 0
    assert capsys.readouterr().out == said


def test_a_pair_that_needs_the_privilege_fails_as_planned_without_it(capsys: Capture) -> None:
    arguments = ["lab", "matrix", "--pairs", "symmetric-random", "--no-low-ports", "--repeat", "2", "--json"]
    assert run(arguments) == 0
    [pair] = json.loads(capsys.readouterr().out)["matrix"]["pairs"]
    assert (pair["runs"], pair["connected"], pair["as_planned"]) == (2, 0, 2)
    assert "below 1024" in pair["advice"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--pairs", "opn"], "did you mean 'open'"),
        (["--pairs", "--backend", "sim", "--backend", "netns"], "name one --backend"),
        (["open", "--no-low-ports"], "go with --pairs"),
        (["open", "-o", "x.json"], "go with --pairs"),
    ],
)
def test_pairs_asked_for_wrongly(arguments: list[str], reason: str, capsys: Capture) -> None:
    assert run(["lab", "matrix", *arguments]) == 2
    assert reason in capsys.readouterr().err


class Program:
    """A program in the lab that is still running when Ctrl-C comes, and ends by what `ends_by` names."""

    def __init__(self, ends_by: str) -> None:
        self.ends_by = ends_by
        self.got: list[str] = []

    def wait(self, timeout_s: float | None = None) -> int:
        if timeout_s is None:
            raise KeyboardInterrupt
        if self.ends_by == "kill":
            raise subprocess.TimeoutExpired("program", timeout_s)
        return 0

    def send_signal(self, number: int) -> None:
        self.got.append(signal.Signals(number).name)

    def kill(self) -> None:
        self.got.append("kill")


@pytest.mark.parametrize(
    ("foreground", "ends_by", "got"),
    [
        (True, "SIGINT", []),  # the terminal has sent it already
        (False, "SIGINT", ["SIGINT"]),
        (True, "kill", ["kill"]),
        (False, "kill", ["SIGINT", "kill"]),
    ],
)
def test_ctrl_c_ends_the_program_too(
    foreground: bool, ends_by: str, got: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labprograms.os, "tcgetpgrp", lambda _: os.getpgrp() if foreground else -1)
    monkeypatch.setattr(labprograms.sys, "stdin", open("/dev/null"))  # noqa: SIM115
    program = Program(ends_by)
    with pytest.raises(KeyboardInterrupt):
        labprograms._exit_code(program, None)  # type: ignore[arg-type]
    assert program.got == got
    sys.stdin.close()
    assert not labprograms._is_in_foreground(), "standard input is closed"


def test_on_a_terminal_a_result_is_broken_at_words(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    assert run(["lab", "run", "home-router"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 60] == []
    assert "    address-and-port-dependent" in lines
