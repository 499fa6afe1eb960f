"""Telling of kept mappings: on standard error, and to the user's own command."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable

from nattools.engine.events import Emit
from nattools.engine.options import MeasureOptions
from nattools.engine.portmap.journal import AnyJournal
from nattools.engine.portmap.keep import MappingChange, keep
from nattools.engine.portmap.options import MapOptions
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.net.usercommand import run_command
from nattools.report.safetext import safe
from nattools.wording.terms import TECHNIQUES

_WORDS = {
    "made": "made",
    "changed": "moved",
    "restored": "made anew, since the router has restarted",
    "lost": "lost; trying again",
}
Do = Callable[[Network, MeasureOptions, Emit, AnyJournal, MapOptions], Awaitable[Report]]


def keep_until_told(hook: str | None, seconds: float | None) -> Do:
    """The work of `map keep`: until SIGTERM, Ctrl-C, or for so many seconds. `hook` is run by the shell at
    each change."""

    async def work(
        network: Network, options: MeasureOptions, emit: Emit, journal: AnyJournal, wish: MapOptions
    ) -> Report:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(signal.SIGTERM, stop.set)
        if seconds is not None:
            loop.call_later(seconds, stop.set)

        async def tell(change: MappingChange) -> None:
            say(change)
            if hook is not None:
                await _call(hook, change, waits=network.substrate != "sim")

        return await keep(network, options, emit, journal, wish, tell, stop)

    return work


def say(change: MappingChange) -> None:
    """A line for a person who looks on."""
    outside = f"{change.external} to" if change.external is not None else "to"
    proof = {True: ", proven from outside", False: ", but closed from outside", None: ""}[change.verified]
    what = f"{change.transport} {outside} {change.internal} by {TECHNIQUES[change.protocol]}"
    line = f"{what}: {_WORDS[change.happening]}"
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"nattools map keep: {safe(line + proof)}\n")
        sys.stderr.flush()


def environment_of(change: MappingChange) -> dict[str, str]:
    """What the user's command is told."""
    external = change.external
    verified = {True: "yes", False: "no", None: "unknown"}[change.verified]
    return {
        "NATTOOLS_EVENT": change.happening,
        "NATTOOLS_TRANSPORT": change.transport,
        "NATTOOLS_PROTOCOL": change.protocol,
        "NATTOOLS_INTERNAL": str(change.internal),
        "NATTOOLS_INTERNAL_HOST": change.internal.host,
        "NATTOOLS_INTERNAL_PORT": str(change.internal.port),
        "NATTOOLS_EXTERNAL": "" if external is None else str(external),
        "NATTOOLS_EXTERNAL_HOST": "" if external is None else external.host,
        "NATTOOLS_EXTERNAL_PORT": "" if external is None else str(external.port),
        "NATTOOLS_LIFETIME_S": "" if change.lifetime_s is None else str(change.lifetime_s),
        "NATTOOLS_VERIFIED": verified,
    }


async def _call(hook: str, change: MappingChange, *, waits: bool) -> None:
    """Run the user's command; its failure is told and no more."""
    code = await run_command(hook, environment_of(change), waits=waits)
    if code != 0:
        how = "took too long" if code is None else f"ended with {code}"
        sys.stderr.write(f"nattools map keep: the command for {change.happening} {how}\n")
