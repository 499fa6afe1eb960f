"""`nattools map`: port mappings on the router, tried, made, listed, removed and kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from nattools.cli import mapoptions, options, running
from nattools.cli.app import new_app
from nattools.cli.options import Request
from nattools.cli.outputs import show, write_files
from nattools.cli.running import Command, Work
from nattools.engine.events import Emit
from nattools.engine.options import MeasureOptions
from nattools.engine.portmap.journal import AnyJournal
from nattools.engine.portmap.options import DESCRIPTION, LIFETIME_S, MapOptions
from nattools.errors import UsageError
from nattools.model.observation import MapOffer
from nattools.model.report import TIME_WAS_OVER, Report
from nattools.net.base import Network

map_app = new_app(
    no_args_is_help=True,
    help="Port mappings on the router by UPnP, NAT-PMP and PCP, each verified from outside.",
)
_NO_LIFETIME = ("lifetime", "max_lifetime")
_NO_CHECKS = (*_NO_LIFETIME, "cross_check", "pcap")
Do = Callable[[Network, MeasureOptions, Emit, AnyJournal, MapOptions], Awaitable[Report]]


def _work(do: Do, wish: MapOptions) -> Work:
    async def work(
        network: Network, chosen: MeasureOptions, emit: Emit, journal: AnyJournal | None
    ) -> Report:
        assert journal is not None  # `asks_routers` makes sure of it
        return await do(network, chosen, emit, journal, wish)

    return work


def _run(request: Request, do: Do, wish: MapOptions) -> Report:
    report = running.run(Command(request, _work(do, wish), asks_routers=True))
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

    wish = mapoptions.wish_of(None, protocol=protocol, transport=transport)
    return _code(_run(request, commands.probe, wish))


@map_app.command("add")
@options.takes_request("map", without=_NO_CHECKS)
def add(
    ports: mapoptions.Ports,
    external_port: mapoptions.ExternalPort = None,
    lifetime: mapoptions.Lifetime = LIFETIME_S,
    description: mapoptions.Description = DESCRIPTION,
    protocol: mapoptions.Protocol = None,
    transport: mapoptions.TransportOption = "both",
    *,
    request: Request,
) -> int:
    """Make mappings to ports of this machine, and verify them from outside. They stay until their lifetime
    ends, or until `map delete`.

    Exit code 1 if none could be made, or none of them is open from outside."""
    from nattools.engine.portmap import commands

    wish = mapoptions.wish_of(
        ports,
        protocol=protocol,
        transport=transport,
        external_port=external_port,
        lifetime=lifetime,
        description=description,
    )
    return _code(_run(request, commands.add, wish))


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

    report = _run(request, commands.list_mappings, mapoptions.wish_of(None, protocol=protocol))
    unfinished = TIME_WAS_OVER in report.warnings and not report.mappings
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
    wish = mapoptions.wish_of(
        ports, protocol=protocol, transport=transport, external_port=external_port, mine=mine
    )
    report = _run(request, commands.delete, wish)
    done = all(mapping.removed for mapping in report.mappings)
    return 0 if done and (mine or report.mappings) else 1


@map_app.command("keep")
@options.takes_request("map", without=_NO_CHECKS)
def keep(
    ports: mapoptions.Ports,
    external_port: mapoptions.ExternalPort = None,
    lifetime: mapoptions.Lifetime = LIFETIME_S,
    description: mapoptions.Description = DESCRIPTION,
    protocol: mapoptions.Protocol = None,
    transport: mapoptions.TransportOption = "both",
    hook: mapoptions.Exec = None,
    *,
    request: Request,
) -> int:
    """Hold mappings open until it is stopped: renew them, and make them anew when the router has restarted.
    They are removed at the end.

    Exit code 1 if none could be made."""
    from nattools.cli.keeping import keep_until_told

    mapoptions.check_kept(lifetime)
    wish = mapoptions.wish_of(
        ports,
        protocol=protocol,
        transport=transport,
        external_port=external_port,
        lifetime=lifetime,
        description=description,
    )
    stopped_after_s, unbounded = request.timeout_s, msgspec.structs.replace(request, timeout_s=None)
    return _code(_run(unbounded, keep_until_told(hook, stopped_after_s), wish))


def _code(report: Report) -> int:
    """0 if a mapping was made and is not known to be closed."""
    return 0 if any(each.created and each.verified_inbound is not False for each in report.mappings) else 1


def _answered(report: Report) -> bool:
    """Does any router here speak any of the protocols?"""
    return any(isinstance(seen, MapOffer) and seen.outcome == "answered" for seen in report.observations)
