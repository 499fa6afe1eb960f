"""Runs a command that the user gave, by the shell."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from typing import Final

LIMIT_S: Final = 60.0


async def run_command(
    command: str,
    environment: dict[str, str],
    *,
    limit_s: float | None = LIMIT_S,
    interactive: bool = False,
    waits: bool = True,
) -> int | None:
    """Run it with `environment` added to this process's; its exit code, None: it took too long and was ended.

    It gets no input, and what it prints goes to standard error; an `interactive` one has this process's
    standard input and output. Without `waits` nothing else happens meanwhile: the simulator's loop has no
    processes to wait for, and its time stands still."""
    everything = {**os.environ, **environment}
    if not waits:
        return _block(command, everything, limit_s)
    process = await asyncio.create_subprocess_shell(
        command,
        env=everything,
        stdin=None if interactive else asyncio.subprocess.DEVNULL,
        stdout=None if interactive else sys.stderr,
        # what it starts is ended with it; one that has the terminal must stay in the terminal's session
        start_new_session=not interactive,
    )
    try:
        async with asyncio.timeout(limit_s):
            return await process.wait()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            _end(process, whole_group=not interactive)
            await process.wait()


def _end(process: asyncio.subprocess.Process, *, whole_group: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if whole_group and sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


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
