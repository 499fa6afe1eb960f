"""Running other people's programs inside a lab: `nattools lab exec` and `nattools lab shell`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from nattools.cli.servers import VARIABLE
from nattools.lab.backend import find_host
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenariofiles import load

_PATIENCE_S = 3.0


def run_inside(scenario: str, host: str, command: list[str], seed: int | None) -> int:
    """Run a program on a host of a scenario with this process's standard streams; returns its exit code
    (128 and the signal's number if a signal ended it)."""
    drawn = load(scenario)
    find_host(drawn, host)
    with _ended_by_sigterm(), NetnsLab(drawn, seed=seed or 0) as lab:
        environment = {**os.environ, VARIABLE: " ".join(lab.server_uris())}
        process = lab.popen(host, command, env=environment)
        return _exit_code(process)


def shell() -> list[str]:
    """The user's shell."""
    return [os.environ.get("SHELL") or "/bin/sh"]


def _exit_code(process: subprocess.Popen[Any]) -> int:
    try:
        code = process.wait()
    except KeyboardInterrupt:
        # at a terminal Ctrl-C went to the program as well, and it may want a moment to clean up
        if not _is_in_foreground():
            process.send_signal(signal.SIGINT)
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    return code if code >= 0 else 128 - code


def _is_in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM and a closed terminal end the block as an exception does, so that it is cleaned up."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
