"""Running a command's work on the network that the user chose, this machine's or one of a scenario; and the
two commands that only measure, `diagnose` and `nat`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from nattools.cli.display.outputs import show, write_files
from nattools.cli.display.progress import ProgressLine
from nattools.cli.options import sharedoptions
from nattools.cli.options.sharedoptions import LabChoice, Request, Servers, chosen_servers
from nattools.engine.measureoptions import Emit, MeasureOptions
from nattools.errors import CannotRun, UsageError
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import Network

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import Journal


Work = Callable[[Network, MeasureOptions, ProgressLine, "Journal | None"], Awaitable[Report]]
"""What a command does, on any network. Without a journal, routers are not to be asked for mappings."""


class Invocation(msgspec.Struct, frozen=True):
    """Some work and how it was asked for. `asks_routers`: it makes mappings, so it keeps the journal;
    `without_journal`: it can do the rest of its work where there can be none."""

    request: Request
    work: Work
    asks_routers: bool = False
    without_journal: bool = False


class _NoCapture(CannotRun):
    """The work was done, and the capture of it cannot be written."""

    def __init__(self, why: CannotRun, report: Report) -> None:
        super().__init__(str(why), why.remedy)
        self.report = report


def shareable(report: Report, request: Request) -> Report:
    """The report as it was asked for: with pseudonyms, or as it is."""
    if not request.redact:
        return report
    from nattools.report.redaction import Redaction, redacted

    return redacted(report, Redaction())


def deliver(report: Report, request: Request) -> None:
    """Write the report where it was asked for, and show it, also if a file cannot be written (CannotRun)."""
    report = shareable(report, request)
    try:
        write_files(report, request.outputs, request.detail)
    finally:
        if request.watch is None:  # else what happened has been told
            show(report, as_json=request.as_json, detail=request.detail, quiet=request.quiet)


def run(invocation: Invocation) -> Report:
    """Do the work. The errors of `nattools.errors` say why it could not be done."""
    lab = invocation.request.lab
    try:
        return _on_host(invocation) if lab is None else _in_lab(invocation, lab)
    except _NoCapture as lost:
        deliver(lost.report, invocation.request)
        raise


def _on_host(invocation: Invocation) -> Report:
    from nattools.net.eventloop import run_interruptibly
    from nattools.net.system.hostnetwork import HostNetwork

    network = HostNetwork()
    servers = chosen_servers(invocation.request.servers)
    chosen = measure_options(invocation.request, network, servers)
    if chosen.command == "diagnose":
        from nattools.cli.options.defaultrelays import default_relays, say_that_map_is_fetched

        search = default_relays(servers, no_derp=invocation.request.no_derp)
        if search.public_map:
            say_that_map_is_fetched(" (--no-derp: without)")
        chosen = replace(chosen, relays=search)
    with _journal(invocation) as journal:
        return run_interruptibly(lambda: _worked(invocation, network, chosen, journal))


@contextlib.contextmanager
def _journal(invocation: Invocation) -> Iterator[Journal | None]:
    """The user's journal; None where there is none and none is needed."""
    if not invocation.asks_routers:
        yield None
        return
    from nattools.engine.portmap.journal import Journal, state_folder

    with contextlib.ExitStack() as stack:
        try:
            journal = stack.enter_context(Journal(state_folder()))
        except CannotRun:
            if not invocation.without_journal:
                raise
            journal = None
        yield journal


def _in_lab(invocation: Invocation, choice: LabChoice) -> Report:
    from nattools.lab.backend import find_host, open_lab
    from nattools.lab.scenariofiles import load
    from nattools.net.eventloop import ending_as_ctrl_c
    from nattools.trials.labsearches import with_searches

    request = invocation.request
    scenario = load(choice.scenario)
    host = find_host(scenario, choice.host)
    with ending_as_ctrl_c(), open_lab(scenario, choice.backend, choice.seed) as lab:
        network = lab.network(host)
        uris = request.servers or tuple(parse_server(text) for text in lab.server_uris())
        chosen = measure_options(request, network, Servers(uris), f"{scenario.name}:{host}", lab.seed)
        chosen = with_searches(chosen, lab)
        journal = _journal_in_lab() if invocation.asks_routers else None
        return lab.run(lambda: _worked(invocation, network, chosen, journal))


def _journal_in_lab() -> Journal:
    """The routers end with this process, and their mappings with them."""
    from nattools.engine.portmap.journal import MemoryJournal

    return MemoryJournal()


def measure_options(
    request: Request, network: Network, servers: Servers, scenario: str | None = None, seed: int | None = None
) -> MeasureOptions:
    """What the engine is asked to do. UsageError: there is no such interface."""
    _check_interface(request.interface, network)
    return MeasureOptions(
        command=request.command,
        servers=servers.uris,
        families=request.families,
        interface=request.interface,
        timeout_s=request.timeout_s,
        lifetime=request.lifetime,
        max_lifetime_s=request.max_lifetime_s,
        cross_check=request.cross_check,
        scenario=scenario,
        seed=seed,
        default_servers=servers.public,
    )


def _check_interface(name: str | None, network: Network) -> None:
    if name is None:
        return
    known = [interface.name for interface in network.interfaces()]
    if name not in known:
        raise UsageError(f"there is no interface {name!r} here; there are: {', '.join(known) or 'none'}")


async def _worked(
    invocation: Invocation, network: Network, chosen: MeasureOptions, journal: Journal | None
) -> Report:
    request = invocation.request
    report: Report | None = None
    try:
        with (
            progress_of(network, quiet=request.quiet, events=request.events) as progress,
            captured(network, request.pcap) as seen,
        ):
            report = await _done(request, seen, lambda: invocation.work(seen, chosen, progress, journal))
    except CannotRun as refused:
        if report is None:
            raise
        raise _NoCapture(refused, report) from None
    return report


async def _done(request: Request, network: Network, work: Callable[[], Awaitable[Report]]) -> Report:
    """The work once, or again and again."""
    if request.watch is None:
        return await work()
    from nattools.cli.watchcommand import watched

    return await watched(
        request.watch,
        network,
        work,
        lambda report: write_files(shareable(report, request), request.outputs, request.detail),
        as_json=request.as_json,
        interface=request.interface,
    )


@contextlib.contextmanager
def progress_of(network: Network, *, quiet: bool = False, events: bool) -> Iterator[ProgressLine]:
    """What is waited for, on standard error; nothing if `quiet`; or `events` for programs. For use within an
    event loop."""
    progress = ProgressLine(sys.stderr, waiting=network.substrate != "sim" and not quiet)
    if events:
        from nattools.cli.display.eventlines import EventLines

        progress = EventLines(sys.stderr)
    try:
        yield progress
    finally:
        progress.close()


@contextlib.contextmanager
def captured(network: Network, file: Path | None) -> Iterator[Network]:
    """The network, watched if a file is given: what was sent and received is written there, also of work
    that failed. For use within an event loop."""
    if file is None:
        yield network
        return
    from nattools.net.pcapng import write_pcapng
    from nattools.net.trace import Trace, TracedNetwork

    started = datetime.now(UTC)
    trace = Trace(asyncio.get_running_loop().time())
    try:
        yield TracedNetwork(network, trace)
    finally:
        write_pcapng(file, trace, started)


def _command(name: Literal["diagnose", "nat"], summary: str) -> Callable[..., int]:
    """The function behind a command: the two differ in what the engine does with the answers, not in how they
    are called."""

    def command(request: Request) -> int:
        return _diagnosed(request)

    command.__doc__ = summary
    return sharedoptions.takes(request=sharedoptions.measuring(name))(command)


def _diagnosed(request: Request) -> int:
    """Measure, and deliver the report, also where nothing answered."""
    from nattools.engine.run import NothingAnswered

    diagnosing = request.command == "diagnose"
    try:
        report = run(Invocation(request, _measure, asks_routers=diagnosing, without_journal=True))
    except NothingAnswered as nothing:
        deliver(nothing.report, request)
        raise
    deliver(report, request)
    if not any(server.answered for server in report.servers):
        raise CannotRun("no server answered, so nothing could be measured from outside", _remedy(request))
    return 0


async def _measure(network: Network, chosen: MeasureOptions, emit: Emit, journal: Journal | None) -> Report:
    from nattools.engine.run import measure

    return await measure(network, chosen, emit, journal)


def _remedy(request: Request) -> str:
    if request.servers:
        return "Check the servers' names and that they run, or leave out --server to ask public ones."
    return "Check that this machine is online; name a server that you can reach with --server HOST[:PORT]."


diagnose = _command(
    "diagnose", "Run every check that can run here: can this machine be reached, how, and what to do."
)
nat = _command(
    "nat",
    "Measure NAT behaviour over UDP and TCP, IPv4 and IPv6: mapping, filtering, port allocation, "
    "hairpinning, binding lifetime, layers of NAT.",
)
