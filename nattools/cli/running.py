"""Running a command's work on the network that the user chose: this machine's, or one of a scenario."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nattools.cli.options import LabChoice, Request
from nattools.cli.progress import ProgressLine
from nattools.cli.servers import Servers, chosen_servers
from nattools.engine.options import MeasureOptions
from nattools.errors import CannotRun, UsageError
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import Network

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import Journal


Work = Callable[[Network, MeasureOptions, ProgressLine, "Journal | None"], Awaitable[Report]]
"""What a command does, on any network. Without a journal, routers are not to be asked for mappings."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """Some work and how it was asked for. `asks_routers`: it makes mappings, so it keeps the journal;
    `without_journal`: it can do the rest of its work where there can be none."""

    request: Request
    work: Work
    asks_routers: bool = False
    without_journal: bool = False


def run(invocation: Invocation) -> Report:
    """Do the work. The errors of `nattools.errors` say why it could not be done."""
    lab = invocation.request.lab
    return _on_host(invocation) if lab is None else _in_lab(invocation, lab)


def _on_host(invocation: Invocation) -> Report:
    from nattools.net.eventloop import run_interruptibly
    from nattools.net.hostnetwork import HostNetwork

    network = HostNetwork()
    servers = chosen_servers(invocation.request.servers)
    options = measure_options(invocation.request, network, servers)
    with _journal(invocation) as journal:
        return run_interruptibly(lambda: _worked(invocation, network, options, journal))


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
    from nattools.engine.portmap.journal import MemoryJournal
    from nattools.lab.backend import find_host, open_lab
    from nattools.lab.scenariofiles import load

    request = invocation.request
    scenario = load(choice.scenario)
    host = find_host(scenario, choice.host)
    with open_lab(scenario, choice.backend, choice.seed) as lab:
        network = lab.network(host)
        uris = request.servers or tuple(parse_server(text) for text in lab.server_uris())
        options = measure_options(request, network, Servers(uris), f"{scenario.name}:{host}")
        # the routers end with this process, and their mappings with them
        return lab.run(lambda: _worked(invocation, network, options, MemoryJournal()))


def measure_options(
    request: Request, network: Network, servers: Servers, scenario: str | None = None
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
        default_servers=servers.public,
    )


def _check_interface(name: str | None, network: Network) -> None:
    if name is None:
        return
    known = [interface.name for interface in network.interfaces()]
    if name not in known:
        raise UsageError(f"there is no interface {name!r} here; there are: {', '.join(known) or 'none'}")


async def _worked(
    invocation: Invocation, network: Network, options: MeasureOptions, journal: Journal | None
) -> Report:
    with progress_of(network) as progress, captured(network, invocation.request.pcap) as seen:
        return await invocation.work(seen, options, progress, journal)


@contextlib.contextmanager
def progress_of(network: Network) -> Iterator[ProgressLine]:
    """What is waited for, on standard error."""
    progress = ProgressLine(sys.stderr, waiting=network.substrate != "sim")
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
