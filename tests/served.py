"""`nattools serve` as a process on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

COMMAND = (sys.executable, "-m", "nattools", "serve")


class Served(NamedTuple):
    """A server process that said it was ready, and the first port that it said."""

    port: int
    process: subprocess.Popen[str]


@contextmanager
def serving(*options: str) -> Iterator[Served]:
    """From when it is ready, on ports that the system chooses, to its end in good order."""
    process = subprocess.Popen([*COMMAND, *options, "--port", "0"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        assert "is ready" in process.stderr.readline()
        # "IPv4  127.0.0.1 and 127.0.0.2, ports 3478 and 3479", the second line
        yield Served(int(process.stderr.readline().partition("port")[2].split()[1]), process)
    finally:
        process.terminate()
        rest = process.stderr.read()
        process.stderr.close()
        assert process.wait(60) == 0, rest
