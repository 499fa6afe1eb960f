"""Runs a command that the user gave, by the shell."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from typing import Final

from nattools.net.eventloop import TimeLimit

LIMIT_S: Final = 60.0
MERCY_S: Final = 3.0


async def run_command(
    command: str,
    environment: dict[str, str],
    *,
    limit_s: float | None = LIMIT_S,
    reads: bool = False,
    writes: bool = False,
    waits: bool = True,
) -> int | None:
    """Run it with `environment` added to this process's; its exit code, None: it took too long and was ended.

    It gets no input, and what it prints goes to standard error, unless it `reads` this process's standard
    input, or `writes` to its output. When it is ended it may clean up for `MERCY_S`. Without `waits` nothing
    else happens meanwhile: the simulator's loop has no processes to wait for, and its time stands still."""
    everything = {**os.environ, **environment}
    if not waits:
        return _block(command, everything, limit_s)
    process = await asyncio.create_subprocess_shell(
        command,
        env=everything,
        stdin=None if reads else asyncio.subprocess.DEVNULL,
        stdout=None if writes else sys.stderr,
        # what it starts is ended with it; one that reads the terminal must stay in the terminal's session
        start_new_session=not reads,
    )
    try:
        async with TimeLimit(limit_s):
            return await process.wait()
        return None
    finally:
        if process.returncode is None:
            await _end(process, whole_group=not reads)


async def _end(process: asyncio.subprocess.Process, *, whole_group: bool) -> None:
    _signal(process, kill=False, whole_group=whole_group)
    async with TimeLimit(MERCY_S) as limit:
        await process.wait()
    if limit.expired():
        _signal(process, kill=True, whole_group=whole_group)
        await process.wait()


def _signal(process: asyncio.subprocess.Process, *, kill: bool, whole_group: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if whole_group and sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL if kill else signal.SIGTERM)
        elif kill:
            process.kill()
        else:
            process.terminate()


def _block(command: str, environment: dict[str, str], limit_s: float | None) -> int | None:
    try:
        done = subprocess.run(
            command,
            shell=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.returncode
