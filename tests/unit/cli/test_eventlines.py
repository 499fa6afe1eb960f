"""`--events`: JSON lines for programs in place of words for a person; and the file with the code."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

import pytest

from nattools.cli.app import run
from nattools.cli.outputs import write_secret
from nattools.cli.punchoptions import checked_code_file
from nattools.errors import CannotRun, UsageError


def events(error: str) -> list[dict[str, Any]]:
    """Every line is one."""
    return [json.loads(line) for line in error.splitlines()]


def test_a_measurement_tells_of_its_probes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nat", "--lab", "home-router", "--events", "--json"]) == 0
    seen = capsys.readouterr()
    json.loads(seen.out)
    told = events(seen.err)
    assert {each["event"] for each in told} == {"progress"}
    started = [each["probe"] for each in told if each["state"] == "started"]
    finished = [each["probe"] for each in told if each["state"] == "finished"]
    assert "mapping udp4" in started
    assert sorted(set(finished)) == sorted(set(started))
    assert [each["at_s"] for each in told] == sorted(each["at_s"] for each in told)


def test_a_punch_tells_of_its_plan_and_stages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["punch", "--lab", "two-homes", "--events", "--json"]) == 0
    seen = capsys.readouterr()
    report = json.loads(seen.out)
    told = events(seen.err)
    kinds = {each["event"] for each in told}
    assert kinds >= {"progress", "plan", "stage"}
    (plan,) = [each for each in told if each["event"] == "plan"]
    assert [each["strategy"] for each in plan["steps"]] == [
        each["strategy"] for each in report["punch"]["plan"]
    ]
    stages = [(each["stage"], each["text"]) for each in told if each["event"] == "stage"]
    reported = [(each["stage"], each["text"]) for each in report["punch"]["stages"]]
    assert set(stages) <= set(reported)
    assert len(stages) > 5


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nat", "--lab", "server-refuses"], 3, "no server answered"),
        (["nat", "--lab", "no\x7f\x1b\udcffsuch"], 2, "no scenario is called"),
        (["nat", "--bogus"], 2, "No such option"),
    ],
)
def test_a_command_that_fails_says_so_in_its_last_event(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--events"]) == code
    error = capsys.readouterr().err
    last = events(error)[-1]
    assert (last["event"], last["exit_code"]) == ("failed", code)
    assert says in last["text"]
    assert error.replace("\n", "").isprintable()


def test_an_interrupted_command_says_so_in_its_last_event(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("nattools.cli.running.run", interrupted)
    assert run(["nat", "--lab", "home-router", "--events"]) == 130
    (told,) = events(capsys.readouterr().err)
    assert (told["event"], told["text"], told["exit_code"]) == ("failed", "interrupted", 130)
    assert run(["nat", "--lab", "home-router"]) == 130
    assert capsys.readouterr().err == "nattools: interrupted\n"


def test_the_code_is_for_nobody_else_to_read(tmp_path: Path) -> None:
    file = tmp_path / "code"
    file.write_text("an old one")
    os.chmod(file, 0o644)
    write_secret(file, "7-lantern-propeller\n")
    assert file.read_text() == "7-lantern-propeller\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["code"]
    with pytest.raises(CannotRun, match="cannot write"):
        write_secret(tmp_path / "none" / "code", "x")
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(CannotRun, match="it is not a file"):
        write_secret(link, "x")
    assert link.is_symlink()


def test_a_code_file_needs_machines_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["punch", "--lab", "two-homes", "--code-file", str(tmp_path / "code")]) == 2
    assert "--code-file makes no sense in a scenario" in capsys.readouterr().err
    assert run(["punch", "--code-file", str(tmp_path / "none" / "code")]) == 2
    assert "there is no directory" in capsys.readouterr().err
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "code")
    with pytest.raises(UsageError, match="it is not a file"):
        checked_code_file(link)
