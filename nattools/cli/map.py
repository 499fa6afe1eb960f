"""`nattools map`: port mappings on the router, tried, made, listed, removed and kept."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from nattools.cli import running
from nattools.cli.app import new_app
from nattools.cli.display.help import measure, router
from nattools.cli.display.outputs import tell
from nattools.cli.options import completion, sharedoptions
from nattools.cli.options.sharedoptions import OptionGroup, Request, check_choice
from nattools.cli.running import Invocation
from nattools.engine.measureoptions import MAPPING_LIFETIME_S, Emit, MapOptions, MeasureOptions
from nattools.engine.portmap.journal import Journal
from nattools.errors import UsageError
from nattools.model.endpoint import Transport, parse_address
from nattools.model.mappingseen import MapOffer
from nattools.model.portmapping import MAPPING_NAME, MappingProtocol
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.net.eventloop import on_signal, sigterm_without_loop
from nattools.report.safetext import safe
from nattools.wording.terms import TECHNIQUES

if TYPE_CHECKING:
    from nattools.engine.portmap.keep import MappingChange

map_app = new_app(
    no_args_is_help=True,
    help="Port mappings on the router by UPnP, NAT-PMP and PCP, each verified from outside.",
)
_CHANGES = {
    "made": "made",
    "changed": "moved",
    "restored": "made anew",
    "lost": "lost; trying again",
}
_CAUSES = {
    "restarted": ", for the router seems to have restarted",
    "silent": ", for the router was silent for a while",
    "address gone": ", for this machine had lost its address for a while",
    "refused": ", for the router refused to renew it",
    "runs on": ", for the router said that it had renewed it, and had not",
    "removed": ", for the router had it no more",
    None: "",
}
Do = Callable[[Network, MeasureOptions, Emit, Journal, MapOptions], Awaitable[Report]]
LONGEST_S = 604_800
SHORTEST_KEPT_S = 30
_PACE_S = 0.1
_MOST_PORTS = 16
_LONGEST_DESCRIPTION = 80
PROTOCOLS: dict[str, MappingProtocol] = {
    "upnp": "upnp-igd",
    "upnp-igd": "upnp-igd",
    "nat-pmp": "nat-pmp",
    "pcp": "pcp",
}
TRANSPORTS: dict[str, tuple[Transport, ...]] = {"udp": ("udp",), "tcp": ("tcp",), "both": ("udp", "tcp")}

Ports = Annotated[
    list[str],
    typer.Argument(metavar="[ADDRESS:]PORT...", help="Local ports; the address must be this machine's own."),
]
SomePorts = Annotated[
    list[str] | None,
    typer.Argument(metavar="[[ADDRESS:]PORT...]", help="Local ports that mappings lead to."),
]
Protocol = Annotated[
    str | None,
    router(
        "--protocol",
        metavar="upnp|nat-pmp|pcp",
        help="Use only this protocol (default: any that works).",
        autocompletion=completion.one_of("upnp", "nat-pmp", "pcp"),
    ),
]
TransportOption = Annotated[
    str,
    router(
        "--transport",
        metavar="udp|tcp|both",
        help="Transport of the mappings.",
        autocompletion=completion.one_of("udp", "tcp", "both"),
    ),
]
ExternalPort = Annotated[
    int | None, router("--external-port", metavar="N", help="Require this external port (default: any).")
]
Lifetime = Annotated[
    int, router("--lifetime", metavar="S", help="Seconds until a mapping expires; 0: never (UPnP only).")
]
RouterAddress = Annotated[
    str | None,
    router("--gateway", metavar="ADDRESS", help="Ask this router (default: the default gateway)."),
]
Description = Annotated[
    str, router("--description", metavar="TEXT", help="Name in the router's list (UPnP).")
]
Exec = Annotated[
    str | None,
    typer.Option(
        "--exec",
        metavar="COMMAND",
        help="Shell command to run at each change, described by NATTOOLS_* variables.",
    ),
]
CrossCheck = Annotated[bool, measure("--cross-check", help="Also ask miniupnpc, and compare.")]
Mine = Annotated[bool, typer.Option("--mine", help="All mappings that nattools made and has not removed.")]


def map_options(
    ports: SomePorts = None,
    *,
    mine: Mine = False,
    external_port: ExternalPort = None,
    lifetime: Lifetime = MAPPING_LIFETIME_S,
    description: Description = MAPPING_NAME,
    protocol: Protocol = None,
    transport: TransportOption = "both",
    gateway: RouterAddress = None,
) -> MapOptions:
    """What is wanted. UsageError says what makes no sense, and what would."""
    check_choice("--protocol", protocol, PROTOCOLS)
    check_choice("--transport", transport, TRANSPORTS)
    host, numbers = _ports(ports or [])
    chosen = None if protocol is None else PROTOCOLS[protocol]
    if external_port is not None:
        _port(str(external_port), "--external-port")
        if len(numbers) > 1:
            raise UsageError("--external-port is for one port: give one, or leave it out")
    if not 0 <= lifetime <= LONGEST_S:
        raise UsageError(f"--lifetime {lifetime}: give seconds from 1 to {LONGEST_S} (a week), or 0 for ever")
    if lifetime == 0 and chosen in ("nat-pmp", "pcp"):
        raise UsageError(f"--lifetime 0: only UPnP has mappings that never expire, not {chosen}")
    if not description.strip() or not description.isprintable() or len(description) > _LONGEST_DESCRIPTION:
        raise UsageError(f"--description: give 1 to {_LONGEST_DESCRIPTION} printable characters")
    return MapOptions(
        ports=numbers,
        host=host,
        external_port=external_port,
        lifetime_s=lifetime,
        description=description,
        protocol="upnp-igd" if lifetime == 0 else chosen,
        transports=TRANSPORTS[transport],
        mine=mine,
        gateway=None if gateway is None else _router_address(gateway),
    )


def _ports(texts: list[str]) -> tuple[str | None, tuple[int, ...]]:
    """Inside ports, and the address if one was given."""
    hosts: set[str] = set()
    numbers: list[int] = []
    for text in texts:
        address, colon, port = text.rpartition(":")
        numbers.append(_port(port, "port"))
        if colon:
            hosts.add(_address(address, text))
    if len(hosts) > 1:
        raise UsageError(f"one address at a time: {', '.join(sorted(hosts))} were given")
    if len(numbers) > _MOST_PORTS:
        raise UsageError(f"{len(numbers)} ports at once: at most {_MOST_PORTS}")
    return next(iter(hosts), None), tuple(dict.fromkeys(numbers))


def _port(text: str, what: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= 65535:
        return int(text)
    raise UsageError(f"{what} {text[:20]!r}: give a number from 1 to 65535")


def _address(text: str, whole: str) -> str:
    try:
        return str(parse_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise UsageError(
            f"{whole[:60]!r} is not a port: write PORT, 192.168.1.5:PORT or [2001:db8::5]:PORT"
        ) from None


def _router_address(text: str) -> str:
    try:
        return str(parse_address(text))
    except ValueError:
        raise UsageError(f"--gateway {text[:60]!r}: give the router's address, as 10.2.0.1") from None


def check_kept(lifetime: int) -> None:
    """UsageError: a lifetime that cannot be kept."""
    if lifetime < SHORTEST_KEPT_S:
        raise UsageError(f"--lifetime {lifetime}: keep renews mappings, so give at least {SHORTEST_KEPT_S} s")


def _run(request: Request, do: Do, wanted: MapOptions) -> Report:
    async def work(network: Network, chosen: MeasureOptions, emit: Emit, journal: Journal | None) -> Report:
        assert journal is not None  # `asks_routers` makes sure of it
        return await do(network, chosen, emit, journal, wanted)

    report = running.run(Invocation(request, work, asks_routers=True))
    running.deliver(report, request)
    return report


def _measuring(*without: str) -> OptionGroup:
    """Mappings have a lifetime of another kind."""
    miniupnpc = {"cross_check": {"annotation": CrossCheck}}
    return sharedoptions.measuring("map", without=("lifetime", "max_lifetime", *without), instead=miniupnpc)


_NO_CHECKS = ("cross_check", "pcap")
_TO_MAKE = OptionGroup(
    map_options, without=("mine",), instead={"ports": {"annotation": Ports, "default": Parameter.empty}}
)


@map_app.command("probe")
@sharedoptions.takes(
    wanted=OptionGroup(map_options, without=("ports", "mine", "external_port", "lifetime", "description")),
    request=_measuring(),
)
def probe(wanted: MapOptions, request: Request) -> int:
    """What the router offers: try a short mapping by each protocol, verify it from outside, remove it.

    Exit code 1 if none could be made, or none of them is open from outside."""
    from nattools.engine.portmap import commands

    return _code(_run(request, commands.probe, wanted))


@map_app.command("add")
@sharedoptions.takes(wanted=_TO_MAKE, request=_measuring(*_NO_CHECKS))
def add(wanted: MapOptions, request: Request) -> int:
    """Add mappings to local ports, and verify them from outside. They stay until they expire or until
    `map delete`.

    Exit code 1 if none could be made, or none of them is open from outside."""
    from nattools.engine.portmap import commands

    return _code(_run(request, commands.add, wanted))


@map_app.command("list")
@sharedoptions.takes(
    wanted=OptionGroup(
        map_options, without=("ports", "mine", "external_port", "lifetime", "description", "transport")
    ),
    request=_measuring(*_NO_CHECKS, "server"),
)
def list_mappings(wanted: MapOptions, request: Request) -> int:
    """The router's table of mappings, where it can be read (UPnP), and the mappings that nattools made.

    Exit code 1 if no router speaks any of the protocols, or time ran out."""
    from nattools.engine.portmap import commands

    report = _run(request, commands.list_mappings, wanted)
    unfinished = report.timed_out and not report.mappings
    return 0 if report.mappings or (_answered(report) and not unfinished) else 1


@map_app.command("delete")
@sharedoptions.takes(
    wanted=OptionGroup(map_options, without=("lifetime", "description")),
    request=_measuring(*_NO_CHECKS, "server"),
)
def delete(wanted: MapOptions, request: Request) -> int:
    """Remove mappings to local ports, whoever made them; or all that nattools made.

    Exit code 1 if there was none to those ports, or one could not be removed."""
    from nattools.engine.portmap import commands

    if bool(wanted.ports) == wanted.mine:
        raise UsageError("say which: nattools map delete PORT..., or nattools map delete --mine")
    report = _run(request, commands.delete, wanted)
    done = all(mapping.removed for mapping in report.mappings)
    return 0 if done and (wanted.mine or report.mappings) else 1


@map_app.command("keep")
@sharedoptions.takes(wanted=_TO_MAKE, request=_measuring(*_NO_CHECKS))
def keep(wanted: MapOptions, hook: Exec = None, *, request: Request) -> int:
    """Keep mappings open until stopped: renew them, and recreate them after the router restarts. They are
    removed at the end.

    Exit code 1 if none could be made."""
    check_kept(wanted.lifetime_s)
    stopped_after_s, unbounded = request.timeout_s, msgspec.structs.replace(request, timeout_s=None)
    return _code(_run(unbounded, _keep_until_told(hook, stopped_after_s), wanted))


def _code(report: Report) -> int:
    """0 if a mapping was made and is not known to be closed."""
    return 0 if any(each.verified_inbound is not False for each in report.new_mappings) else 1


def _answered(report: Report) -> bool:
    """Does any router here speak any of the protocols?"""
    return any(isinstance(seen, MapOffer) and seen.outcome == "answered" for seen in report.observations)


def _keep_until_told(hook: str | None, seconds: float | None) -> Do:
    """The work of `map keep`, until SIGTERM, Ctrl-C, or for so many seconds. The shell runs `hook` at each
    change."""

    async def work(
        network: Network, chosen: MeasureOptions, emit: Emit, journal: Journal, wanted: MapOptions
    ) -> Report:
        from nattools.engine.portmap.keep import keep

        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        if seconds is not None:
            loop.call_later(seconds, stop.set)
        elif network.substrate == "sim":
            _keep_pace(loop)

        async def watch(change: MappingChange) -> None:
            tell_change(change)
            if hook is not None:
                await _run_hook(hook, change, waits=network.substrate != "sim")

        with _listening(stop, simulated=network.substrate == "sim"):
            return await keep(network, chosen, emit, journal, wanted, watch, stop)

    return work


def _listening(stop: asyncio.Event, *, simulated: bool) -> contextlib.AbstractContextManager[None]:
    """SIGTERM is the end that was wanted."""
    if simulated:
        loop = asyncio.get_running_loop()
        return sigterm_without_loop(lambda: loop.call_soon(stop.set))
    on_signal(stop.set, "SIGTERM")
    return contextlib.nullcontext()


def _keep_pace(loop: asyncio.AbstractEventLoop) -> None:
    """Let a simulation's time pass no faster than that of who watches it: without an end it would only heat
    the machine."""
    time.sleep(_PACE_S)
    loop.call_later(_PACE_S, _keep_pace, loop)


def tell_change(change: MappingChange) -> None:
    """A line about a change, for a person."""
    outside = f"{change.external} to" if change.external is not None else "to"
    proof = {True: ", verified from outside", False: ", but closed from outside", None: ""}[change.verified]
    what = f"{change.transport} {outside} {change.internal} by {TECHNIQUES[change.protocol]}"
    line = f"{what}: {_CHANGES[change.happening]}{_CAUSES[change.why]}"
    tell(f"nattools map keep: {safe(line + proof)}")


def environment_of(change: MappingChange) -> dict[str, str]:
    """The environment variables that describe a change to the user's command."""
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
    """Run the user's command; a failure is reported and has no other effect."""
    from nattools.net.system.shell import run_command

    code = await run_command(hook, environment_of(change), waits=waits)
    if code != 0:
        how = "took too long" if code is None else f"exited with {code}"
        tell(f"nattools map keep: the --exec command for {change.happening!r} {how}")
