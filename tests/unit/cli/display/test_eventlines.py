"""`--events`: JSON lines for programs in place of words for a person; and the file with the code."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

import pytest

from nattools.cli.app import run
from nattools.cli.display.outputs import write_secret
from nattools.cli.display.plainevents import in_ascii, last_event, notice
from nattools.cli.options.punchoptions import checked_code_file
from nattools.errors import CannotRun, UsageError


def events(error: str) -> list[dict[str, Any]]:
    """Every line is one."""
    return [json.loads(line) for line in error.splitlines()]


def test_a_measurement_tells_of_its_probes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nat", "--lab", "home-router", "--events", "--json"]) == 0
    seen = capsys.readouterr()
    json.loads(seen.out)
    *told, last = events(seen.err)
    assert (last["event"], last["exit_code"]) == ("done", 0)
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


def test_what_is_told_beside_a_measurement_is_an_event_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Of kept mappings there were lines for a person between those of JSON."""
    keep = ["map", "keep", "5000", "--transport", "tcp", "--timeout", "60", "--lab", "mapping-all"]
    assert run([*keep, "--events"]) == 0
    told = events(capsys.readouterr().err)
    (made,) = [each["text"] for each in told if each["event"] == "notice"]
    assert made.startswith("map keep: tcp 11.")
    assert [each["event"] for each in told if each["at_s"] is None] == ["notice", "done"]
    assert run(keep) == 0
    assert capsys.readouterr().err.startswith("nattools map keep: tcp 11.")


def test_whatever_is_said_is_json_in_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    """A locale without UTF-8 made of each other letter what is no JSON."""
    said = 'a "b" \\ \n\x1b[2J\x7f\x9b \u202e é \U0001f980'
    notice(said)
    line = capsys.readouterr().err
    assert json.loads(line)["text"] == said
    assert line.isascii()
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert json.loads(in_ascii(json.dumps(said, ensure_ascii=False))) == said


def test_without_memory_for_a_line_there_is_one_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object, **__: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr("nattools.cli.display.plainevents.write_event", refused)
    last_event(3, "this machine refuses: out of memory", "Give it more.")
    (told,) = events(capfd.readouterr().err)
    assert (told["event"], told["exit_code"]) == ("failed", 3)


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
