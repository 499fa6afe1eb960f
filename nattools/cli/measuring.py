"""The two commands that measure a network, `diagnose` and `nat`: they differ in what the engine does with
the answers, not in how they are called."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from nattools.cli import options
from nattools.cli.options import LabChoice, Request
from nattools.cli.outputs import show, write_files
from nattools.cli.progress import Progress
from nattools.cli.servers import Servers, chosen_servers
from nattools.engine.options import MeasureOptions
from nattools.errors import CannotRun, UsageError
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import Network


def measuring_command(name: Literal["diagnose", "nat"], summary: str) -> Callable[..., int]:
    """The function behind a command, with the options that both have."""

    def command(
        as_json: options.Json = False,
        output: options.Output = None,
        server: options.Server = None,
        timeout: options.Timeout = None,
        only4: options.Only4 = False,
        only6: options.Only6 = False,
        interface: options.Interface = None,
        lab: options.Lab = None,
        backend: options.BackendOption = None,
        seed: options.Seed = None,
        lifetime: options.Lifetime = False,
        max_lifetime: options.MaxLifetime = None,
        cross_check: options.CrossCheck = False,
        pcap: options.Pcap = None,
        verbose: options.Verbose = 0,
    ) -> int:
        longest = options.checked_seconds(max_lifetime, "--max-lifetime")
        request = Request(
            command=name,
            as_json=as_json,
            outputs=options.checked_files(output, pcap),
            servers=options.checked_servers(server),
            timeout_s=options.checked_seconds(timeout, "--timeout"),
            families=options.checked_families(only4, only6),
            interface=interface,
            lab=options.checked_lab(lab, backend, seed),
            lifetime=lifetime or longest is not None,
            max_lifetime_s=longest or options.DEFAULT_MAX_LIFETIME_S,
            cross_check=cross_check,
            pcap=pcap,
            detail=2 if verbose >= 2 else 1 if verbose else 0,
        )
        return run(request)

    command.__doc__ = summary
    return command


def run(request: Request) -> int:
    """Measure, write the report where it was asked for, and give the exit code."""
    report = _on_host(request) if request.lab is None else _in_lab(request, request.lab)
    write_files(report, request.outputs, request.detail)
    show(report, as_json=request.as_json, detail=request.detail)
    if not any(server.answered for server in report.servers):
        raise CannotRun("no server answered, so nothing could be measured from outside", _remedy(request))
    return 0


def _remedy(request: Request) -> str:
    if request.servers:
        return "Check the servers' names and that they run, or leave out --server to ask public ones."
    return "Check that this machine is online; name a server that you can reach with --server HOST[:PORT]."


def _on_host(request: Request) -> Report:
    from nattools.net.host import HostNetwork

    network = HostNetwork()
    servers = chosen_servers(request.servers)
    return asyncio.run(_measured(network, _measure_options(request, network, servers), request))


def _in_lab(request: Request, choice: LabChoice) -> Report:
    from nattools.lab.open import find_host, load_scenario, open_lab

    scenario = load_scenario(choice.scenario)
    host = find_host(scenario, choice.host)
    with open_lab(scenario, choice.backend, choice.seed) as lab:
        network = lab.network(host)
        uris = request.servers or tuple(parse_server(text) for text in lab.server_uris())
        chosen = _measure_options(request, network, Servers(uris), f"{scenario.name}:{host}")
        return lab.run(lambda: _measured(network, chosen, request))


def _measure_options(
    request: Request, network: Network, servers: Servers, scenario: str | None = None
) -> MeasureOptions:
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


async def _measured(network: Network, chosen: MeasureOptions, request: Request) -> Report:
    from nattools.engine.run import measure

    progress = Progress(sys.stderr, waiting=network.substrate != "sim")
    try:
        if request.pcap is None:
            return await measure(network, chosen, progress)
        return await _captured(network, chosen, request.pcap, progress)
    finally:
        progress.close()


async def _captured(network: Network, chosen: MeasureOptions, file: Path, progress: Progress) -> Report:
    """Measure, and write what was sent and received, also of a measurement that failed."""
    from nattools.engine.run import measure
    from nattools.net.pcapng import write_pcapng
    from nattools.net.trace import Trace, TracedNetwork

    started = datetime.now(UTC)
    trace = Trace(asyncio.get_running_loop().time())
    try:
        return await measure(TracedNetwork(network, trace), chosen, progress)
    finally:
        write_pcapng(file, trace, started)
