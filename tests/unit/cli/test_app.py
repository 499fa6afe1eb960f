"""Exit codes and messages: whatever goes wrong foreseeably is one clear message and never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest
from report_samples import home_router

from nattools import __version__
from nattools.cli import app
from nattools.cli.app import COMMANDS, Command, run
from nattools.errors import CannotRun, ProtocolError, UsageError
from nattools.report.savedreport import render_json

Capture = pytest.CaptureFixture[str]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT
    )


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(app.__file__).parents[2])}
HEAVY = ("typer", "asyncio", "rich", "msgspec")


def test_the_version_costs_no_imports() -> None:
    done = python("-X", "importtime", "-m", "nattools", "--version")
    assert done.stdout == f"nattools {__version__}\n"
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "nattools" in imported
    assert not imported & set(HEAVY)


INTERRUPTED_IMPORT = """
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "nattools.cli.app":
            exec("import signal; signal.raise_signal(signal.SIGINT)")

sys.meta_path.insert(0, Finder())
"""


def test_an_interruption_has_its_exit_code_wherever_it_comes(tmp_path: Path) -> None:
    """While a text is executed CPython takes Ctrl-C for one that nobody heard."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED_IMPORT)
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
    for arguments in (("lab", "list"), ("nat", "--lab", "home-router", "--events")):
        command = [sys.executable, "-m", "nattools", *arguments]
        done = subprocess.run(
            command, timeout=60, check=False, env=environment, stderr=subprocess.PIPE, text=True
        )
        assert done.returncode == 130
        events = [json.loads(line) for line in done.stderr.splitlines()]
        failed = {"event": "failed", "at_s": None, "text": "interrupted", "advice": "", "exit_code": 130}
        assert events == ([failed] if "--events" in arguments else [])


@pytest.mark.skipif(os.name != "posix", reason="Windows has neither SIGTERM nor SIGHUP")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_one_more_signal_at_the_end_leaves_the_exit_code(name: str, tmp_path: Path) -> None:
    """By then the signals do again what they do by themselves, and the command died of it."""
    again = f"import atexit, signal\natexit.register(signal.raise_signal, signal.{name})\n"
    (tmp_path / "sitecustomize.py").write_text(again + INTERRUPTED_IMPORT)
    environment = {**ENVIRONMENT, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"}
    command = [sys.executable, "-m", "nattools", "lab", "list"]
    done = subprocess.run(command, timeout=60, check=False, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


def test_the_version_among_other_options(capsys: Capture) -> None:
    assert run(["--version", "nat"]) == 0
    assert capsys.readouterr().out == f"nattools {__version__}\n"


def test_help_names_every_command_and_imports_none() -> None:
    code = "import sys; from nattools.cli.app import run; run(['--help']); print(sorted(sys.modules))"
    out = python("-c", code).stdout
    for name in COMMANDS:
        assert f"\n  {name} " in out
        assert f"'nattools.cli.{name}'" not in out


def test_no_command_is_wrong_usage_and_shows_the_help(capsys: Capture) -> None:
    assert run([]) == 2
    captured = capsys.readouterr()
    assert "Commands:" in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["diagnos"], "No such command 'diagnos'. Did you mean 'diagnose'?"),
        (["frobnicate"], "No such command 'frobnicate'."),
        (["--vresion"], "No such option: --vresion"),
        (["report", "shw"], "Did you mean 'show'?"),
        (["report", "show", "--jsno", "x"], "--json"),
        (["report", "show"], "FILE"),
    ],
)
def test_misuse_is_2_with_a_suggestion(capsys: Capture, arguments: list[str], says: str) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("nattools: ")
    assert says in captured.err
    assert "--help" in captured.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["report", "show", "x" * 300], "File name too long"),
        (["report", "validate", "x" * 300], "there is no file"),
        (["nat", "--lab", "open:" + "x" * 300], "the scenario has no host"),
    ],
)
def test_a_name_that_no_file_can_have(capsys: Capture, arguments: list[str], says: str) -> None:
    assert run(arguments) == 2
    assert says in capsys.readouterr().err


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], int]:
    """Run a function as a command of the application."""

    def call(function: Callable[[], object]) -> int:
        module = types.ModuleType("broken_command")
        module.command = lambda: function()  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "broken_command", module)
        monkeypatch.setitem(COMMANDS, "broken", Command("broken_command", "command", ""))
        return run(["broken"])

    return call


Run = Callable[[Callable[[], object]], int]


def raising(error: BaseException) -> Callable[[], object]:
    def function() -> object:
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UsageError("no such thing"), 2, "nattools: no such thing\n"),
        (CannotRun("no route"), 3, "nattools: no route\n"),
        (CannotRun("no route", remedy="Plug it in."), 3, "nattools: no route\n  Plug it in.\n"),
        (UsageError("bad.toml:3: eh\nsecond"), 2, "nattools: bad.toml:3: eh\n  second\n"),
        (ProtocolError("\x1b[2Jodd"), 3, "nattools: \\x1b[2Jodd\n"),
        (ExceptionGroup("tasks", [CannotRun("no tool", "Get it.")]), 3, "nattools: no tool\n  Get it.\n"),
        (BaseExceptionGroup("a", [ExceptionGroup("b", [UsageError("deep")])]), 2, "nattools: deep\n"),
        (KeyboardInterrupt(), 130, "nattools: interrupted\n"),
    ],
)
def test_errors(command: Run, capsys: Capture, error: BaseException, code: int, message: str) -> None:
    assert command(raising(error)) == code
    captured = capsys.readouterr()
    assert captured.err == message
    assert captured.out == ""


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (1, 1)])
def test_a_command_gives_its_exit_code(command: Run, result: object, code: int) -> None:
    assert command(lambda: result) == code


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_text(render_json(home_router()), encoding="utf-8")
    return path


def test_a_reader_that_goes_away_is_no_error(saved: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "nattools", "report", "show", "-vv", str(saved)],
            stdout=gone,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            env=ENVIRONMENT,
        )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said(saved: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nattools", "report", "show", str(saved)],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
            env=ENVIRONMENT,
        )
    assert done.returncode == 3
    assert b"nattools: cannot write to standard output: No space left" in done.stderr
    assert b"Traceback" not in done.stderr


def test_show_in_every_format(saved: Path, capsys: Capture) -> None:
    starts = {
        "terminal": "\n  Measured",
        "txt": "\n  Measured",
        "md": "## ",
        "html": "<!DOCTYPE html>",
        "json": "{",
    }
    for form, start in starts.items():
        assert run(["report", "show", str(saved), "--format", form]) == 0
        assert capsys.readouterr().out.startswith(start)
    assert run(["report", "show", str(saved), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(saved.read_text())


def test_show_refuses_what_it_does_not_know(saved: Path, capsys: Capture) -> None:
    assert run(["report", "show", str(saved), "--format", "pdf"]) == 2
    assert "must be one of terminal, json, md, html, txt" in capsys.readouterr().err
    assert run(["report", "show", "/nonexistent.json"]) == 2
    assert "cannot read /nonexistent.json" in capsys.readouterr().err


def test_validate(saved: Path, capsys: Capture) -> None:
    assert run(["report", "validate", str(saved)]) == 0
    assert "a valid report (nattools.report/1)" in capsys.readouterr().out
    saved.write_text("{}")
    assert run(["report", "validate", str(saved)]) == 1
    assert "not a nattools report" in capsys.readouterr().out
    assert run(["report", "validate", "--json", str(saved)]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["valid"] is False
    assert len(answer["problems"]) == 1
    assert run(["report", "validate", str(saved.with_name("none"))]) == 2


@pytest.mark.parametrize(
    ("words", "place", "says"),
    [
        ("nattools pun", 1, ["punch"]),
        ("nattools punch 7-cross", 2, ["7-crossover-"]),
        ("nattools punch 7-crossover-clockw", 2, ["7-crossover-clockwork"]),
        ("nattools punch --forw", 2, ["--forward"]),
        ("nattools punch cross", 2, []),
    ],
)
def test_a_shell_completes_commands_and_codes(
    words: str, place: int, says: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("_NATTOOLS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(place))
    assert run([]) == 0
    assert capsys.readouterr().out.split() == says


def test_a_shell_that_asks_in_no_known_way(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("_NATTOOLS_COMPLETE", "complete_bash")
    monkeypatch.delenv("COMP_WORDS", raising=False)
    assert run([]) == 2
    assert "is for the scripts of --completion" in capsys.readouterr().err


def test_what_a_shell_reads_for_it(capsys: Capture) -> None:
    for shell in ("bash", "zsh", "fish", "powershell"):
        assert run(["--completion", shell]) == 0
        assert "_NATTOOLS_COMPLETE" in capsys.readouterr().out
    assert run(["--completion", "tcsh"]) == 2
    assert "must be one of bash" in capsys.readouterr().err
