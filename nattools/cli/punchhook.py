"""`--exec`: the user's own command, run once there is a connection, with the report in its environment."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from pathlib import Path

from nattools.model.endpoint import parse_endpoint
from nattools.model.report import Report

KILL_AFTER_S = 3.0


async def run_hook(command: str, report: Report, *, quiet: bool) -> str | None:
    """Run it by the shell, with this program's standard input and output, and wait; None, or how it failed.
    `quiet`: its output goes to standard error, where it is in nobody's way. If this is cancelled the command
    is told to end."""
    with tempfile.TemporaryDirectory(prefix="nattools-") as folder:
        file = Path(folder) / "report.json"
        _write(file, report)
        process = await asyncio.create_subprocess_shell(
            command,
            env={**os.environ, **environment_of(report), "NATTOOLS_REPORT": str(file)},
            stdout=sys.stderr if quiet else None,
        )
        try:
            code = await process.wait()
        finally:
            await _end(process)
    return None if code == 0 else f"the command of --exec ended with {code}"


def _write(file: Path, report: Report) -> None:
    from nattools.report.json import render_json

    file.write_text(render_json(report), encoding="utf-8")


async def _end(process: asyncio.subprocess.Process) -> None:
    """It may clean up before it is killed."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(KILL_AFTER_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def environment_of(report: Report) -> dict[str, str]:
    """What the command is told beside the report."""
    punch = report.punch
    if punch is None:
        return {}
    told = {
        "NATTOOLS_PATH": punch.path or "",
        "NATTOOLS_TRANSPORT": punch.transport or "",
        "NATTOOLS_FAMILY": str(punch.family or ""),
        "NATTOOLS_STRATEGY": punch.strategy or "",
        "NATTOOLS_RTT_MS": "" if punch.rtt_ms is None else f"{punch.rtt_ms:g}",
    }
    for name, text in (("LOCAL", punch.local), ("REMOTE", punch.remote)):
        host, port = _parts(text)
        told |= {f"NATTOOLS_{name}": text or "", f"NATTOOLS_{name}_HOST": host, f"NATTOOLS_{name}_PORT": port}
    return told


def _parts(text: str | None) -> tuple[str, str]:
    if text is None:
        return "", ""
    try:
        endpoint = parse_endpoint(text)
    except ValueError:
        return "", ""
    return endpoint.host, str(endpoint.port)
