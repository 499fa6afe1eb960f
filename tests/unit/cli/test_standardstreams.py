"""Standard streams that are closed, full or left by their reader."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")
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


@pytest.mark.parametrize("columns", [44, 123])
def test_a_terminals_width_is_known_of_them(columns: int) -> None:
    """Also of the streams that took the place of Python's."""
    program = (
        "import sys; from nattools.cli.standardstreams import prepare; prepare();"
        "from nattools.report.terminal import terminal_columns as columns;"
        "print(columns(sys.stdout), columns(sys.stderr))"
    )
    outer, inner = os.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("COLUMNS", None)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, stdout=inner, stderr=inner, timeout=60, check=False, env=environment)
    os.close(inner)
    with open(outer, "rb", buffering=0) as terminal:
        assert terminal.read(200).split() == [b"%d" % columns] * 2
    assert done.returncode == 0
