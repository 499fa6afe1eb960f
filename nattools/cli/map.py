"""`nattools map`: port mappings on the router, tried, made, listed, removed and kept."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from nattools.cli import mapoptions, options, running
from nattools.cli.app import new_app
from nattools.cli.options import Request
from nattools.cli.outputs import show, write_files
from nattools.cli.running import Invocation, Work
from nattools.engine.options import MAPPING_LIFETIME_S, Emit, MapOptions, MeasureOptions
from nattools.engine.portmap.journal import Journal
from nattools.errors import UsageError
from nattools.model.observation import MapOffer
from nattools.model.portmapping import MAPPING_NAME
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.report.safetext import safe
from nattools.wording.terms import TECHNIQUES

if TYPE_CHECKING:
    from nattools.engine.portmap.keep import MappingChange

map_app = new_app(
    no_args_is_help=True,
    help="Port mappings on the router by UPnP, NAT-PMP and PCP, each verified from outside.",
)
_NO_LIFETIME = ("lifetime", "max_lifetime")
_NO_CHECKS = (*_NO_LIFETIME, "cross_check", "pcap")
_CHANGES = {
    "made": "made",
    "changed": "moved",
    "restored": "made anew, since the router has restarted",
    "lost": "lost; trying again",
}
Do = Callable[[Network, MeasureOptions, Emit, Journal, MapOptions], Awaitable[Report]]


def _work(do: Do, wanted: MapOptions) -> Work:
    async def work(network: Network, chosen: MeasureOptions, emit: Emit, journal: Journal | None) -> Report:
        assert journal is not None  # `asks_routers` makes sure of it
        return await do(network, chosen, emit, journal, wanted)

    return work


def _run(request: Request, do: Do, wanted: MapOptions) -> Report:
    report = running.run(Invocation(request, _work(do, wanted), asks_routers=True))
    write_files(report, request.outputs, request.detail)
    show(report, as_json=request.as_json, detail=request.detail)
    return report


@map_app.command("probe")
@options.takes_request("map", without=_NO_LIFETIME, instead={"cross_check": mapoptions.CrossCheck})
def probe(
    protocol: mapoptions.Protocol = None,
    transport: mapoptions.TransportOption = "both",
    *,
    request: Request,
) -> int:
    """What the router offers: a mapping by each protocol, made for a moment, verified from outside, removed.

    Exit code 1 if none could be made, or none of them is open from outside."""
    from nattools.engine.portmap import commands

    wanted = mapoptions.map_options(None, protocol=protocol, transport=transport)
    return _code(_run(request, commands.probe, wanted))


@map_app.command("add")
@options.takes_request("map", without=_NO_CHECKS)
def add(
    ports: mapoptions.Ports,
    external_port: mapoptions.ExternalPort = None,
    lifetime: mapoptions.Lifetime = MAPPING_LIFETIME_S,
    description: mapoptions.Description = MAPPING_NAME,
    protocol: mapoptions.Protocol = None,
    transport: mapoptions.TransportOption = "both",
    *,
    request: Request,
) -> int:
    """Make mappings to ports of this machine, and verify them from outside. They stay until their lifetime
    ends, or until `map delete`.

    Exit code 1 if none could be made, or none of them is open from outside."""
    from nattools.engine.portmap import commands

    wanted = mapoptions.map_options(
        ports,
        protocol=protocol,
        transport=transport,
        external_port=external_port,
        lifetime=lifetime,
        description=description,
    )
    return _code(_run(request, commands.add, wanted))


@map_app.command("list")
@options.takes_request("map", without=(*_NO_CHECKS, "server"))
def list_mappings(
    protocol: mapoptions.Protocol = None,
    *,
    request: Request,
) -> int:
    """The router's table of mappings, as far as it tells it (UPnP), and what nattools has made.

    Exit code 1 if no router speaks any of the protocols, or the time given was too short."""
    from nattools.engine.portmap import commands

    report = _run(request, commands.list_mappings, mapoptions.map_options(None, protocol=protocol))
    unfinished = report.timed_out and not report.mappings
    return 0 if report.mappings or (_answered(report) and not unfinished) else 1


@map_app.command("delete")
@options.takes_request("map", without=(*_NO_CHECKS, "server"))
def delete(
    ports: mapoptions.SomePorts = None,
    mine: mapoptions.Mine = False,
    external_port: mapoptions.ExternalPort = None,
    protocol: mapoptions.Protocol = None,
    transport: mapoptions.TransportOption = "both",
    *,
    request: Request,
) -> int:
    """Remove mappings to ports of this machine, whoever made them; or all that nattools has made.

    Exit code 1 if there was none of those ports, or one could not be removed."""
    from nattools.engine.portmap import commands

    if bool(ports) == mine:
        raise UsageError("say which: nattools map delete PORT..., or nattools map delete --mine")
    wanted = mapoptions.map_options(
        ports, protocol=protocol, transport=transport, external_port=external_port, mine=mine
    )
    report = _run(request, commands.delete, wanted)
    done = all(mapping.removed for mapping in report.mappings)
    return 0 if done and (mine or report.mappings) else 1


@map_app.command("keep")
@options.takes_request("map", without=_NO_CHECKS)
def keep(
    ports: mapoptions.Ports,
    external_port: mapoptions.ExternalPort = None,
    lifetime: mapoptions.Lifetime = MAPPING_LIFETIME_S,
    description: mapoptions.Description = MAPPING_NAME,
    protocol: mapoptions.Protocol = None,
    transport: mapoptions.TransportOption = "both",
    hook: mapoptions.Exec = None,
    *,
    request: Request,
) -> int:
    """Hold mappings open until it is stopped: renew them, and make them anew when the router has restarted.
    They are removed at the end.

    Exit code 1 if none could be made."""
    mapoptions.check_kept(lifetime)
    wanted = mapoptions.map_options(
        ports,
        protocol=protocol,
        transport=transport,
        external_port=external_port,
        lifetime=lifetime,
        description=description,
    )
    stopped_after_s, unbounded = request.timeout_s, msgspec.structs.replace(request, timeout_s=None)
    return _code(_run(unbounded, keep_until_told(hook, stopped_after_s), wanted))


def _code(report: Report) -> int:
    """0 if a mapping was made and is not known to be closed."""
    return 0 if any(each.created and each.verified_inbound is not False for each in report.mappings) else 1


def _answered(report: Report) -> bool:
    """Does any router here speak any of the protocols?"""
    return any(isinstance(seen, MapOffer) and seen.outcome == "answered" for seen in report.observations)


def keep_until_told(hook: str | None, seconds: float | None) -> Do:
    """The work of `map keep`: until SIGTERM, Ctrl-C, or for so many seconds. `hook` is run by the shell at
    each change."""

    async def work(
        network: Network, chosen: MeasureOptions, emit: Emit, journal: Journal, wanted: MapOptions
    ) -> Report:
        from nattools.engine.portmap.keep import keep

        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            loop.add_signal_handler(signal.SIGTERM, stop.set)
        if seconds is not None:
            loop.call_later(seconds, stop.set)

        async def tell(change: MappingChange) -> None:
            tell_change(change)
            if hook is not None:
                await _run_hook(hook, change, waits=network.substrate != "sim")

        return await keep(network, chosen, emit, journal, wanted, tell, stop)

    return work


def tell_change(change: MappingChange) -> None:
    """A line for a person who looks on."""
    outside = f"{change.external} to" if change.external is not None else "to"
    proof = {True: ", proven from outside", False: ", but closed from outside", None: ""}[change.verified]
    what = f"{change.transport} {outside} {change.internal} by {TECHNIQUES[change.protocol]}"
    line = f"{what}: {_CHANGES[change.happening]}"
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


async def _run_hook(hook: str, change: MappingChange, *, waits: bool) -> None:
    """Run the user's command; its failure is told and no more."""
    from nattools.net.shell import run_command

    code = await run_command(hook, environment_of(change), waits=waits)
    if code != 0:
        how = "took too long" if code is None else f"ended with {code}"
        sys.stderr.write(f"nattools map keep: the command for {change.happening} {how}\n")
