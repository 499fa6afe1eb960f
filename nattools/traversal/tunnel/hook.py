"""`--exec`: the user's own command, told of the connection."""

from __future__ import annotations

import contextlib
import os
import tempfile

from nattools.model.endpoint import Endpoint, parse_endpoint
from nattools.model.punch import Punch
from nattools.net.system.shell import run_command


def environment_of(punch: Punch, report_file: str) -> dict[str, str]:
    """What the command is told; what is not known is empty."""
    rtt_ms = "" if punch.rtt_ms is None else f"{punch.rtt_ms:g}"
    return {
        "NATTOOLS_EVENT": "connected" if punch.connected else "failed",
        "NATTOOLS_PATH": punch.path or "",
        "NATTOOLS_TRANSPORT": punch.transport or "",
        "NATTOOLS_FAMILY": "" if punch.family is None else str(punch.family),
        "NATTOOLS_STRATEGY": punch.strategy or "",
        "NATTOOLS_RTT_MS": rtt_ms,
        **_place("NATTOOLS_LOCAL", punch.local),
        **_place("NATTOOLS_REMOTE", punch.remote),
        "NATTOOLS_REPORT": report_file,
    }


def _place(name: str, text: str | None) -> dict[str, str]:
    place: Endpoint | None = None
    with contextlib.suppress(ValueError):
        place = None if text is None else parse_endpoint(text)
    return {
        name: text or "",
        f"{name}_HOST": "" if place is None else place.host,
        f"{name}_PORT": "" if place is None else str(place.port),
    }


async def run_hook(
    command: str,
    punch: Punch,
    report_json: bytes,
    *,
    reads: bool = True,
    writes: bool,
) -> int | None:
    """Run the command, with the report in a file that is there while it runs, for this user alone.

    Its exit code; see `net.shell.run_command`."""
    descriptor, path = tempfile.mkstemp(prefix="nattools-", suffix=".json")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(report_json)
        return await run_command(
            command, environment_of(punch, path), limit_s=None, reads=reads, writes=writes
        )
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
