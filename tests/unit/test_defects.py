"""The last resort: whatever escapes is a line and a file, and what the machine refused a sentence."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from nattools.defects import Defects, refusal
from nattools.errors import CannotRun

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, gc, signal, sys, threading
from nattools import __main__
from nattools.cli import app

class Burns:
    def __init__(self, error): self.error = error
    def __del__(self): raise self.error

async def fail():
    raise ZeroDivisionError

async def forget():
    asyncio.ensure_future(fail())
    await asyncio.sleep(0.01)

async def call_back():
    for _ in range(500):
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.01)

def recur():
    recur()

def work(events: bool = False):
    BODY

app.COMMANDS["work"] = app.Command(__name__, "work", "")
sys.argv[1:] = ["work", *sys.argv[1:]]
sys.exit(__main__.main())
"""
ENDS = {
    "1 / 0": (70, "ZeroDivisionError"),
    "raise ExceptionGroup('x', [KeyError('\\x1b[2J')])": (70, r"ExceptionGroup: x"),
    "recur()": (70, "RecursionError"),
    "asyncio.run(forget())": (70, "ZeroDivisionError"),
    "asyncio.run(call_back())": (70, "ZeroDivisionError"),
    "thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()": (
        70,
        "ZeroDivisionError",
    ),
    "Burns(ValueError('a'))": (70, "ValueError: a"),
    "Burns(KeyboardInterrupt()); threading.Event().wait(20)": (130, "nattools: interrupted"),
    "raise MemoryError": (3, "nattools: this machine refuses: out of memory"),
    "import resource; resource.setrlimit(resource.RLIMIT_AS, (1, 1)); raise SystemError('x')": (
        3,
        "nattools: this machine refuses: out of memory",
    ),
    "import nattools.nothing": (3, "nattools: a part of nattools cannot be loaded: No module named"),
}


def ended(body: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A command that does this, with a folder for its files."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("BODY", body), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
    )


def test_a_ctrl_c_that_could_not_be_raised_comes_again_when_it_can(tmp_path: Path) -> None:
    """However long the main thread takes to go on once it has asked for that."""
    slowly = (
        "import _thread; start = _thread.start_new_thread; "
        "_thread.start_new_thread = threading._start_new_thread = lambda *given: "
        "(start(*given), threading.Event().wait(0.3))[0]; "
        "Burns(KeyboardInterrupt()); threading.Event().wait(20)"
    )
    done = ended(slowly, tmp_path)
    assert (done.returncode, done.stderr) == (130, "nattools: interrupted\n")


@pytest.mark.parametrize("body", ENDS)
def test_nothing_ends_in_a_traceback(body: str, tmp_path: Path) -> None:
    code, says = ENDS[body]
    done = ended(body, tmp_path)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr
    if code != 70:
        assert re.match(says, done.stderr)
        assert not list(tmp_path.iterdir())
        return
    [file] = tmp_path.iterdir()
    assert re.fullmatch(rf"nattools: a defect of nattools \({says}.*\)\. The file .*: {file}\n", done.stderr)
    record = file.read_text()
    assert says.split(":")[0] in record
    assert len(record) < 100_000


@pytest.mark.parametrize("body", ENDS)
def test_with_events_its_last_line_says_so(body: str, tmp_path: Path) -> None:
    """It was said in words, and no event told of the end."""
    code, says = ENDS[body]
    done = ended(body, tmp_path, "--events")
    *before, last = [json.loads(line) for line in done.stderr.splitlines()]
    assert (last["event"], last["exit_code"], done.returncode) == ("failed", code, code)
    assert re.search(says.removeprefix("nattools: "), last["text"])
    assert {each["event"] for each in before} <= {"notice"}
    if code == 70:
        [file] = tmp_path.iterdir()
        assert last["text"].endswith(f"The file for a bug report: {file}")


@pytest.mark.parametrize(("body", "code"), [("pass", 0), ("return 1", 1)])
def test_with_events_the_last_line_tells_of_every_other_end_too(body: str, code: int, tmp_path: Path) -> None:
    done = ended(body, tmp_path, "--events")
    assert json.loads(done.stderr) == {"event": "done", "at_s": None, "exit_code": code}
    assert (done.returncode, done.stdout) == (code, "")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.EMFILE, "x"), "Too many open files"),
        (OSError(errno.ENOSPC, "x", "/a/file"), r"No space left on device \(/a/file\)"),
        (PermissionError(errno.EPERM, "x"), "Operation not permitted"),
        (ExceptionGroup("x", [ValueError(), ExceptionGroup("y", [OSError(errno.EROFS, "")])]), "Read-only"),
        (RuntimeError("can't start new thread"), "no more threads"),
        (CannotRun("no route", "Plug it in."), "no route"),
    ],
)
def test_what_the_machine_refuses_is_no_defect(error: BaseException, says: str) -> None:
    refused = refusal(error)
    assert refused is not None
    assert re.search(says, str(refused))
    assert refused.remedy


@pytest.mark.parametrize("error", [OSError(errno.EINVAL, "x"), OSError("x"), RuntimeError("x"), KeyError()])
def test_what_nobody_foresaw_is_one(error: Exception) -> None:
    assert refusal(error) is None


def test_what_is_refused_again_and_again_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    defects = Defects()
    for _ in range(3):
        assert defects.note(OSError(errno.EMFILE, "x"), "") == 3
    assert capsys.readouterr().err.count("Too many open files") == 1
    assert defects.count == 0


def test_without_memory_for_a_word_it_is_said_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> NoReturn:
        raise MemoryError

    monkeypatch.setattr(Defects, "taken", refused)
    assert Defects().note(ValueError(), "") == 3
    assert capfd.readouterr().err.startswith("nattools: this machine refuses: out of memory\n  Give it more")


@pytest.mark.parametrize("full", [False, True])
def test_without_a_place_for_the_file_the_line_says_where_it_was(
    full: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def new_file(*_: str) -> tuple[int, str]:
        if not full:
            raise FileNotFoundError
        file = tmp_path / "empty"
        file.touch()
        return os.open("/dev/full", os.O_WRONLY), str(file)

    monkeypatch.setattr("tempfile.mkstemp", new_file)
    defects = Defects()
    with pytest.raises(KeyError) as raised:
        raise KeyError("x")
    assert defects.note(raised.value, "") == 70
    assert f"none could be written; it was at {__file__}:" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_library_that_finds_no_room_is_not_installed_again() -> None:
    """As the dynamic linker says it where memory is short."""
    refused = refusal(ImportError("/x/_rust.abi3.so: failed to map segment from shared object"))
    assert refused is not None
    assert "more memory" in refused.remedy


INTERRUPTED = """
import runpy, sys

class Interrupts:
    module = sys.argv[1]

    def find_spec(self, name, path=None, target=None):
        if name == self.module:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts())
sys.argv[:] = ["nattools", "--version"]
runpy.run_module("nattools", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["nattools.cli", "nattools.defects", "nattools.errors"])
def test_ctrl_c_while_it_is_imported_is_no_traceback(module: str) -> None:
    """In the first moments, before anything is set up: also then it says nothing, and 130."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (130, "")
