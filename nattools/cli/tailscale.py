"""`nattools tailscale`: do Tailscale and headscale work here, which peers are direct, and why not all."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec.structs import replace

from nattools.cli import running
from nattools.cli.options import sharedoptions
from nattools.cli.options.defaultrelays import check_maps, map_folder, say_that_map_is_fetched
from nattools.cli.options.sharedoptions import OptionGroup, Request
from nattools.cli.running import Invocation
from nattools.descriptors import standard_input_bytes
from nattools.engine.measureoptions import Emit, MeasureOptions
from nattools.errors import ProtocolError, UsageError
from nattools.model.controlurl import ControlUrl, parse_control
from nattools.model.overlay import OverlayStatus
from nattools.model.report import Report
from nattools.net.base import Network

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import Journal
    from nattools.engine.tailnetsearch import TailnetAsk, TailnetSearch

MOST_TAILNETS = 8
CONTROL = "https://controlplane.tailscale.com"
PROGRAMS = {
    "tailscale": "Tailscale",
    "netbird": "NetBird",
    "zerotier": "ZeroTier",
    "webrtc": "WebRTC",
    "kubo": "kubo",
    "libp2p": "libp2p",
    "ipfs": "IPFS",
}

Controls = Annotated[
    list[str] | None,
    typer.Option(
        "--control",
        metavar="URL",
        help="A control server, as --login-server takes it. Repeatable, one per tailnet.",
    ),
]
DerpMaps = Annotated[
    list[str] | None,
    typer.Option("--derp-map", metavar="URL|FILE", help="A tailnet's DERP map. Repeatable, one per tailnet."),
]
Statuses = Annotated[
    list[str] | None,
    typer.Option(
        "--status",
        metavar="FILE|-",
        help="Output of `tailscale status --json`, to explain why peers are relayed. Repeatable.",
    ),
]


class StatusFile(msgspec.Struct, frozen=True):
    """What a program printed, and where that was read from."""

    source: str
    status: OverlayStatus


class TailnetRequest(msgspec.Struct, frozen=True):
    """What is wanted, checked; the first of each belong together, and so on."""

    controls: tuple[ControlUrl, ...] = ()
    maps: tuple[str, ...] = ()
    statuses: tuple[StatusFile, ...] = ()


def tailnet_request(
    *, control: Controls = None, derp_map: DerpMaps = None, status: Statuses = None
) -> TailnetRequest:
    """UsageError says what makes no sense."""
    for given in (control, derp_map, status):
        if len(given or []) > MOST_TAILNETS:
            raise UsageError(f"at most {MOST_TAILNETS} tailnets at once")
    check_maps(derp_map or [])
    if (status or []).count("-") > 1:
        raise UsageError("--status - can be given only once: there is one standard input")
    return TailnetRequest(
        controls=tuple(parse_control(each) for each in control or []),
        maps=tuple(derp_map or []),
        statuses=tuple(_status(each) for each in status or []),
    )


def _status(source: str) -> StatusFile:
    from nattools.protocols.overlays import MAX_STATUS, parse_status

    try:
        if source == "-":
            data = standard_input_bytes(MAX_STATUS + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(MAX_STATUS + 1)
        return StatusFile(source, parse_status(data))
    except OSError as error:
        raise UsageError(f"--status {source[:100]!r} cannot be read: {error.strerror}") from None
    except ProtocolError as error:
        raise UsageError(f"--status {source[:100]!r}: {error}") from None


@sharedoptions.takes(
    wanted=OptionGroup(tailnet_request),
    request=sharedoptions.measuring("tailscale", without=("cross_check",)),
)
def command(wanted: TailnetRequest, request: Request) -> int:
    """Will Tailscale or headscale work here, which peers will be direct and why not the others: its servers
    asked step by step, what `tailscale netcheck` would say and what it leaves out.

    Without options: Tailscale's own control server and DERP map. With several of an option: several tailnets,
    and what they have in common that they should not. Exit code 1 if no control server and no relay is
    reached."""

    async def work(network: Network, chosen: MeasureOptions, emit: Emit, journal: Journal | None) -> Report:
        from nattools.engine.tailnets import measure_tailnets

        return await measure_tailnets(
            network, replace(chosen, tailnets=searched(wanted, chosen)), emit, journal
        )

    report = running.run(Invocation(request, work, asks_routers=True, without_journal=True))
    running.deliver(report, request)
    return 1 if any(one.id == "tailscale" and one.verdict == "fails" for one in report.techniques) else 0


def searched(wanted: TailnetRequest, chosen: MeasureOptions) -> TailnetSearch:
    """Which tailnets are looked at where these are meant, in the lab or on this network."""
    from nattools.engine.tailnetsearch import TailnetSearch
    from nattools.net.derp.derpmaps import DEFAULT_MAP

    of_lab = chosen.tailnets
    rows = list(zip_longest(wanted.controls, wanted.maps, wanted.statuses))
    if of_lab is not None and not rows:
        return of_lab
    regions = of_lab.tailnets[0].regions if of_lab is not None and of_lab.tailnets else None
    public = of_lab is None
    asks = tuple(
        _tailnet(number, *row, public=public)
        for number, row in enumerate(rows or ([(None, None, None)] if public else []), 1)
    )
    asks = tuple(
        each if each.map or not _of_tailscale(each.status) else replace(each, regions=regions)
        for each in asks
    )
    if any(each.map == DEFAULT_MAP for each in asks):
        say_that_map_is_fetched()
    return TailnetSearch(tailnets=asks, keep=map_folder(), pinned={} if of_lab is None else of_lab.pinned)


def _tailnet(
    number: int, control: ControlUrl | None, source: str | None, file: StatusFile | None, *, public: bool
) -> TailnetAsk:
    """One, with Tailscale's own servers for those that are not named."""
    from nattools.engine.tailnetsearch import TailnetAsk
    from nattools.net.derp.derpmaps import DEFAULT_MAP

    status = None if file is None else file.status
    of_tailscale = _of_tailscale(status)
    name = _name(number, control, source, status)
    if control is None and source is None and of_tailscale and public:
        control = parse_control(CONTROL)
    return TailnetAsk(
        name=name,
        control=control,
        map=source or (DEFAULT_MAP if of_tailscale and public else ""),
        status=status,
        source="" if file is None else file.source,
    )


def _of_tailscale(status: OverlayStatus | None) -> bool:
    return status is None or status.program == "tailscale"


def _name(number: int, control: ControlUrl | None, source: str | None, status: OverlayStatus | None) -> str:
    if status is not None and status.name:
        return status.name
    if status is not None and status.program != "tailscale":
        return PROGRAMS[status.program]
    if control is not None:
        return control.host
    return f"tailnet {number}" if source or number > 1 else "Tailscale"
