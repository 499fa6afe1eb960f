"""Standard streams that are closed, full or left by their reader."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from report_samples import home_router

from nattools.report.savedreport import load, render_json

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the shell's redirections are POSIX's")
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("command", ["--version", "lab --help"])
@pytest.mark.parametrize(
    ("streams", "code", "says"),
    [
        (">&-", 3, "nattools: cannot write to standard output: Bad file descriptor\n"),
        (">/dev/full", 3, "nattools: cannot write to standard output: No space left on device\n"),
        ("<&- >/dev/null", 0, ""),
        ("2>&- >/dev/null", 0, ""),
        (">&- 2>&- <&-", 3, ""),
        (">/dev/full 2>/dev/full", 3, ""),
        ("| true; exit ${PIPESTATUS[0]}", 0, ""),
    ],
)
def test_a_stream_that_is_not_there(command: str, streams: str, code: int, says: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m nattools {command} {streams}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", says)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("explain --help", 0),
        ("explain --json", 0),
        ("lab list", 0),
        ("report validate FILE", 1),
        ("nat --lab silent-server --server stun:11.201.0.9", 3),
        ("relay --lab udp-blocked --json", 1),
        ("nat --lab home-router --watch 60 --for 1e9 --json", 0),
    ],
)
def test_a_reader_who_leaves_changes_no_answer(command: str, code: int, tmp_path: Path) -> None:
    """`nattools ... | head -1`; and a watch ends, for it has nobody to tell."""
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "nattools", *command.replace("FILE", str(bad)).split()],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
    )
    os.close(writing)
    assert done.returncode == code, done.stderr
    assert "Broken pipe" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_json_in_any_locale(encoding: str, tmp_path: Path) -> None:
    """In one without UTF-8 each other letter made it something else."""
    report = home_router()
    name = "ethé 🦀"
    interfaces = tuple(replace(each, name=name) for each in report.host.interfaces)
    assert interfaces
    report = replace(report, host=replace(report.host, interfaces=interfaces))
    file = tmp_path / "report.json"
    file.write_text(render_json(report), encoding="utf-8")
    for form in ("--json", "--format=json"):
        done = subprocess.run(
            [sys.executable, "-m", "nattools", "report", "show", str(file), form],
            capture_output=True,
            timeout=60,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
        )
        assert load(done.stdout) == report


@pytest.mark.parametrize("columns", [50, 120])
def test_a_report_is_as_wide_as_the_terminal(columns: int) -> None:
    termios = pytest.importorskip("termios")
    leader, follower = os.openpty()
    termios.tcsetwinsize(follower, (24, columns))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    environment.pop("COLUMNS", None)
    command = [sys.executable, "-m", "nattools", "nat", "--lab", "home-router", "-v"]
    with subprocess.Popen(command, stdout=follower, stderr=subprocess.DEVNULL, env=environment):
        os.close(follower)
        text = b""
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while data := os.read(leader, 65536):
                text += data
    os.close(leader)
    longest = max(len(line) for line in text.decode().splitlines())
    assert columns - 30 < longest <= columns
