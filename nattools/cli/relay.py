"""`nattools relay`: which relay is nearest, what it costs, and at which step one fails."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec.structs import replace

from nattools.cli import running
from nattools.cli.options import sharedoptions
from nattools.cli.options.defaultrelays import check_maps, map_folder, say_that_map_is_fetched
from nattools.cli.options.sharedoptions import OF_NAT, OptionGroup, Request
from nattools.cli.options.turnoptions import TurnSecret, TurnUser, credentials_of
from nattools.cli.running import Invocation
from nattools.engine.measureoptions import Emit, MeasureOptions
from nattools.errors import UsageError
from nattools.model.report import Report
from nattools.model.serveruri import ServerUri, parse_server
from nattools.net.base import Network

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import Journal
    from nattools.engine.relaysearch import RelaySearch
    from nattools.protocols.derp import DerpNode

MOST_COUNT = 1000
DERP = "derp://"
_DERP_FORM = "{!r}: a DERP server is written derp://HOST or derp://HOST:PORT"

Uris = Annotated[
    list[str] | None,
    typer.Argument(metavar="[URI]...", help="turn:HOST, turns:HOST, derp://HOST (default: all known)."),
]
DerpMaps = Annotated[
    list[str] | None,
    typer.Option("--derp-map", metavar="URL|FILE", help="DERP servers to try. Repeatable."),
]
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", metavar="ID|CODE", help="Only this region of the maps. Repeatable."),
]
Count = Annotated[int, typer.Option("--count", metavar="N", help="Datagrams to measure the round trip with.")]
Throughput = Annotated[
    bool, typer.Option("--throughput", help="Also measure throughput: at most 3 s and 16 MiB for each relay.")
]


class RelayRequest(msgspec.Struct, frozen=True):
    """What is wanted, checked. `named`: relays or maps were named, so that the configured servers and the
    public map are not meant."""

    search: RelaySearch
    named: bool
    no_derp: bool


def relay_request(
    uri: Uris = None,
    *,
    turn_user: TurnUser = None,
    turn_secret: TurnSecret = None,
    derp_map: DerpMaps = None,
    no_derp: sharedoptions.NoDerp = False,
    region: Regions = None,
    count: Count = 10,
    throughput: Throughput = False,
) -> RelayRequest:
    """UsageError says what makes no sense."""
    from nattools.engine.relaysearch import RelaySearch

    if not 1 <= count <= MOST_COUNT:
        raise UsageError(f"--count {count}: give a number from 1 to {MOST_COUNT}")
    texts = uri or []
    turn = _each_once(_turn_server(each) for each in texts if not each.startswith(DERP))
    nodes = tuple(dict.fromkeys(derp_node(each) for each in texts if each.startswith(DERP)))
    check_maps(derp_map or [])
    user, secret = credentials_of(turn_user, turn_secret)
    search = RelaySearch(
        turn=turn,
        user=user,
        secret=secret,
        derp=nodes,
        maps=tuple(dict.fromkeys(derp_map or [])),
        regions=tuple(dict.fromkeys(region or [])),
        count=count,
        throughput=throughput,
    )
    return RelayRequest(search, bool(texts or derp_map), no_derp)


def _each_once(servers: Iterable[ServerUri]) -> tuple[ServerUri, ...]:
    """However often one was named, and by whichever spelling."""
    found: dict[object, ServerUri] = {}
    for each in servers:
        found.setdefault((each.scheme, each.host, each.port_or_default, each.transport), each)
    return tuple(found.values())


def _turn_server(text: str) -> ServerUri:
    scheme, _, rest = text.strip().partition(":")
    if scheme.lower() in ("derp", "http", "https") or not text.strip():
        raise UsageError(f"{text[:80]!r} is not a relay: write turn:HOST, turns:HOST or derp://HOST")
    if scheme.lower() in ("turn", "turns") and not rest:
        raise UsageError(f"{text[:80]!r}: there is no host: write {scheme.lower()}:HOST or with a port")
    server = parse_server(text)
    if server.scheme == "stuns":
        raise UsageError(f"{text[:80]!r}: a relay over TLS is written turns:HOST")
    if server.scheme == "turns" and server.transport == "udp":
        raise UsageError(f"{text[:80]!r}: TURN over DTLS is not supported; leave ?transport=udp out")
    return server


def derp_node(text: str) -> DerpNode:
    """A DERP server, as `derp://HOST[:PORT]`. UsageError: it is none."""
    from nattools.protocols.derp import node_at

    try:
        server = parse_server(text.removeprefix(DERP).rstrip("/"))
    except UsageError:
        raise UsageError(_DERP_FORM.format(text[:80])) from None
    if server.scheme != "stun" or server.text.startswith("stun:"):
        raise UsageError(_DERP_FORM.format(text[:80]))
    return node_at(server.host, server.port)


@sharedoptions.takes(
    wanted=OptionGroup(relay_request), request=sharedoptions.measuring("relay", without=OF_NAT)
)
def command(wanted: RelayRequest, request: Request) -> int:
    """Which relay is nearest and what it costs, TURN and DERP side by side: each step from its name to a byte
    relayed and back, the first that failed with what it means, and the round trip beside the direct one.

    Without arguments: the servers that are configured, and Tailscale's public DERP map. Exit code 1 if no
    relay works."""

    async def work(network: Network, chosen: MeasureOptions, emit: Emit, journal: Journal | None) -> Report:
        from nattools.engine.relaymeasurement import measure_relays

        search = searched(wanted, chosen, named=bool(request.servers))
        if search.public_map:
            say_that_map_is_fetched(" (--no-derp: without)")
        return await measure_relays(network, replace(chosen, relays=search), emit)

    report = running.run(Invocation(request, work))
    running.deliver(report, request)
    return 0 if any(row.works for row in report.relays) else 1


def searched(wanted: RelayRequest, chosen: MeasureOptions, *, named: bool) -> RelaySearch:
    """What is tried where the network has these servers, which are `named` or only configured. UsageError:
    nothing is left to try."""
    search, of_lab = wanted.search, chosen.relays
    anything = wanted.named or named
    servers = () if chosen.default_servers or (wanted.named and not named) else chosen.servers
    search = replace(search, turn=_each_once((*search.turn, *servers)))
    if of_lab is not None:
        search = replace(search, pinned=of_lab.pinned)
        search = search if search.user or search.secret else replace(search, user=of_lab.user)
        if not anything:
            search = replace(search, turn=of_lab.turn, derp=of_lab.derp)
    elif not anything and not wanted.no_derp and chosen.scenario is None:
        search = replace(search, public_map=True, keep=map_folder())
    if not (search.turn or search.derp or search.maps or search.public_map):
        raise UsageError("no relay is named: nattools relay turn:HOST, or derp://HOST")
    return replace(search, keep=map_folder()) if search.maps else search
