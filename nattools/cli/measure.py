"""The two commands that measure a network, `diagnose` and `nat`: they differ in what the engine does with
the answers, not in how they are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from nattools.cli import options, running
from nattools.cli.options import Request
from nattools.cli.outputs import show, write_files
from nattools.cli.running import Invocation
from nattools.engine.options import Emit, MeasureOptions
from nattools.errors import CannotRun
from nattools.model.report import Report
from nattools.net.base import Network

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import Journal


def _command(name: Literal["diagnose", "nat"], summary: str) -> Callable[..., int]:
    """The function behind a command, with the options that both have."""

    def command(request: Request) -> int:
        return run(request)

    command.__doc__ = summary
    return options.takes_request(name)(command)


def run(request: Request) -> int:
    """Measure, write the report where it was asked for, and give the exit code."""
    diagnosing = request.command == "diagnose"
    report = running.run(Invocation(request, _measure, asks_routers=diagnosing, without_journal=True))
    write_files(report, request.outputs, request.detail)
    show(report, as_json=request.as_json, detail=request.detail)
    if not any(server.answered for server in report.servers):
        raise CannotRun("no server answered, so nothing could be measured from outside", _remedy(request))
    return 0


async def _measure(network: Network, options: MeasureOptions, emit: Emit, journal: Journal | None) -> Report:
    from nattools.engine.run import measure

    return await measure(network, options, emit, journal)


def _remedy(request: Request) -> str:
    if request.servers:
        return "Check the servers' names and that they run, or leave out --server to ask public ones."
    return "Check that this machine is online; name a server that you can reach with --server HOST[:PORT]."


diagnose = _command(
    "diagnose", "Run every check that can run here: can this machine be reached, by which way, what to do."
)
nat = _command(
    "nat",
    "Measure NAT behaviour over UDP and TCP, IPv4 and IPv6: mapping, filtering, port allocation, "
    "hairpinning, binding lifetime, layers of NAT.",
)
