"""Programs that are run on a scenario's hosts, with this process's standard streams."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import FrameType, MappingProxyType
from typing import Any, Final

from nattools.cli.display.outputs import tell
from nattools.cli.options import sharedoptions

_PATIENCE_S: Final = 3.0
_HOSTS: Final = "/etc/hosts"
"""Inside it is replaced by one that names the scenario's nodes; what is not there cannot be."""


def run_inside(
    scenario: str,
    host: str | None,
    command: list[str],
    seed: int | None,
    more: Mapping[str, str] = MappingProxyType({}),
    greeting: str = "",
) -> int:
    """Run a program on a host of a scenario (None: the first) with this process's standard streams, and
    `more` in its environment, once `greeting` is said; returns its exit code (128 and the signal's number
    if a signal ended it)."""
    from nattools.lab.backend import find_host
    from nattools.lab.netns.netnslab import NetnsLab
    from nattools.lab.scenariofiles import load

    drawn = load(scenario)
    host = find_host(drawn, host)
    with _ended_by_sigterm(), NetnsLab(drawn, seed=seed or 0) as lab:
        environment = {**os.environ, **more, sharedoptions.SERVER_VARIABLE: " ".join(lab.server_uris())}
        if not os.path.exists(_HOSTS):
            tell(f"nattools: there is no {_HOSTS}, so no server has a name inside. Make one: touch {_HOSTS}")
        if greeting:
            tell(greeting)
        process = lab.popen(host, command, env=environment)
        return _exit_code(process, partial(lab.run, partial(_end_of, process)) if drawn.event else None)


async def _end_of(process: subprocess.Popen[Any]) -> int:
    """A program's exit code, when it has ended; other things go on meanwhile."""
    handle = os.pidfd_open(process.pid)
    try:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(handle, ended.set)
        await ended.wait()
        asyncio.get_running_loop().remove_reader(handle)
    finally:
        os.close(handle)
    return process.wait()


def _exit_code(process: subprocess.Popen[Any], ended: Callable[[], int] | None = None) -> int:
    """`ended`: what waits for its end where things happen in the scenario meanwhile."""
    try:
        code = process.wait() if ended is None else ended()
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
