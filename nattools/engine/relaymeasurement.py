"""Relays tried side by side: TURN servers by each way to them, DERP servers after how far away they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from nattools.engine.measurement import MeasurementRun
from nattools.engine.measureoptions import Emit, Event, MeasureOptions
from nattools.engine.networkwatch import NetworkWatch
from nattools.engine.relaysearch import RelaySearch, time_limited_user
from nattools.engine.run import CompletedRun, new_run, within_time_limit
from nattools.engine.serverlookup import routed_families
from nattools.errors import UsageError
from nattools.model.endpoint import Family, Transport
from nattools.model.observation import Gap
from nattools.model.report import Report
from nattools.model.serveruri import ServerUri
from nattools.net.base import Network
from nattools.net.derp.derpmaps import DEFAULT_MAP, KEPT_S, LoadedMap, is_page, kept_age_s, load_map
from nattools.net.eventloop import TimeLimit
from nattools.probes.relay.derptrial import Pingers, how_far, note_distance, try_derp
from nattools.probes.relay.inflight import InFlightLimit
from nattools.probes.relay.pinger import open_pinger
from nattools.probes.relay.relaycontext import DerpAsk, RelayContext, TurnAsk
from nattools.protocols import derp

THROUGH = 3
"""Of the servers of a map, so many of the nearest ones are tried further, or all if there are few."""
FEW = 8
MOST_CODES = 20
MOST = 1000
"""Servers of maps that are asked how far away they are."""
BRIEF_COUNT = 3
BRIEF_FETCH_S = 3.0
"""In a diagnosis nobody waits longer for the list of public relays."""


async def measure_relays(network: Network, options: MeasureOptions, emit: Emit) -> Report:
    """All relays of `options.relays`, as a report. CannotRun: there is no route, or a map cannot be had."""
    started = datetime.now(UTC)
    run = new_run(network, options, emit)
    families = await routed_families(network, options)
    search = options.relays or RelaySearch()
    watch = NetworkWatch(run, families)
    timed_out = await within_time_limit(run, watch.during(_all(run, search, families)))
    return CompletedRun(run, families, started, timed_out, tells_servers=False).report()


async def _all(run: MeasurementRun, search: RelaySearch, families: Sequence[Family]) -> None:
    context = _context(run, search, search.count, sizes=True)
    async with asyncio.TaskGroup() as group:
        for ask in turn_asks(search.turn, search):
            group.create_task(_try_turn(run, context, ask))
        group.create_task(_derp_of(run, context, search, families))


async def try_briefly(
    run: MeasurementRun,
    search: RelaySearch,
    families: Sequence[Family],
    relaying: Callable[[], Awaitable[Sequence[ServerUri]]],
) -> None:
    """The relays of a diagnosis: those that are searched for, and the servers that say that they relay, which
    `relaying` waits for."""
    brief = _context(run, search, BRIEF_COUNT, sizes=False)
    async with asyncio.TaskGroup() as group:
        for ask in turn_asks(search.turn, search):
            group.create_task(_relays(brief, ask))
        group.create_task(_derp_of(run, brief, search, families))
        for ask in turn_asks(await relaying(), search):
            group.create_task(_relays(brief, ask))


async def _derp_of(
    run: MeasurementRun, context: RelayContext, search: RelaySearch, families: Sequence[Family]
) -> None:
    """Try the DERP servers that are named, and those of the maps."""
    async with asyncio.TaskGroup() as group:
        with context.uplink.measuring():
            for ask, far in (await _derp_to_try(run, context, search, families)).items():
                group.create_task(_try_derp(run, context, ask, far))
            await asyncio.sleep(0)  # each of them measures from now on


async def _derp_to_try(
    run: MeasurementRun, context: RelayContext, search: RelaySearch, families: Sequence[Family]
) -> dict[DerpAsk, tuple[float, ...]]:
    """And how far away each is; of the others only that is noted."""
    named = [DerpAsk(each) for each in search.derp]
    own, public = await _load_maps(run, search)
    if own or public or search.regions:
        chosen = [region for each in own for region in _regions(each, search.regions)]
        others = [region for each in public for region in _regions(each, search.regions)]
        _expect_regions(search, own + public, chosen, others)
        own_asks, public_asks = _nodes(chosen), _nodes(others, 1 if search.far_only else None)
    else:
        own_asks = public_asks = []
    own_asks, public_asks = own_asks[:MOST], public_asks[:MOST]
    far = await _distances(run, context, [*named, *own_asks, *public_asks], families)
    further = [] if search.far_only else [*_nearest(own_asks, far, FEW), *_nearest(public_asks, far, 0)]
    if further and (missing := derp.why_no_keys()) is not None:
        further = []
        question = "Do the DERP servers of the map relay?"
        run.recorder.add(Gap(probe="relay", question=question, reason=str(missing), settle=missing.remedy))
    for ask in far:
        if ask not in named and ask not in further:
            note_distance(context, ask, far[ask])
    return {ask: far[ask] for ask in (*named, *further)}


def _regions(found: derp.DerpMap, wanted: Sequence[str]) -> list[derp.DerpRegion]:
    if not wanted:
        return [region for region in found.regions if region.measured]
    named = (found.named(each) for each in wanted)
    return [region for region in named if region is not None]


def _expect_regions(
    search: RelaySearch, maps: Sequence[derp.DerpMap], *chosen: Sequence[derp.DerpRegion]
) -> None:
    """UsageError: a region is named that no map has."""
    known = {name.lower() for regions in chosen for each in regions for name in (str(each.id), each.code)}
    for name in search.regions:
        if name.lower() not in known:
            codes = sorted({each.code for one in maps for each in one.regions if each.code})
            if not codes:
                raise UsageError(
                    "--region: there is no DERP map to choose from: name one, --derp-map URL|FILE"
                )
            raise UsageError(f"--region {name[:20]!r}: no DERP map has it; there are {_some(codes)}")


def _some(codes: Sequence[str]) -> str:
    more = f" and {len(codes) - MOST_CODES} more" if len(codes) > MOST_CODES else ""
    return ", ".join(codes[:MOST_CODES]) + more


def _nodes(regions: Iterable[derp.DerpRegion], most: int | None = None) -> list[DerpAsk]:
    return [DerpAsk(node, region.name or region.code) for region in regions for node in region.nodes[:most]]


async def _load_maps(
    run: MeasurementRun, search: RelaySearch
) -> tuple[tuple[derp.DerpMap, ...], tuple[derp.DerpMap, ...]]:
    """The user's own maps, and Tailscale's public one. A map that cannot be had is a gap.

    UsageError: there is no such file, or it holds no map."""
    own = [await _load_map(run, search, source) for source in search.maps]
    public = [await _load_map(run, search, DEFAULT_MAP)] if search.public_map else []
    return tuple(each for each in own if each), tuple(each for each in public if each)


async def _load_map(run: MeasurementRun, search: RelaySearch, source: str) -> derp.DerpMap | None:
    name = f"map {source}"
    if is_page(source) and (kept_age_s(source, search.keep) or KEPT_S) >= KEPT_S:
        run.emit(Event("started", name, f"fetching the DERP map {source}"))
    loaded: LoadedMap | str = f"no answer in {BRIEF_FETCH_S:g} s"
    async with TimeLimit(BRIEF_FETCH_S if search.far_only else None):
        loaded = await load_map(run.network, source, search.keep)
    run.emit(Event("finished", name))
    if isinstance(loaded, str):
        run.recorder.add(
            Gap(
                probe="relay",
                question=f"Which DERP servers does {source} list?",
                reason=loaded,
                settle="name a map in a file: --derp-map FILE, or leave it out: --no-derp",
            )
        )
        return None
    return loaded.map


def _context(run: MeasurementRun, search: RelaySearch, count: int, *, sizes: bool) -> RelayContext:
    families = run.options.families
    return RelayContext(
        network=run.network,
        recorder=run.recorder,
        flight=InFlightLimit(),
        count=count,
        sizes=sizes,
        throughput=search.throughput,
        family=families[0] if len(families) == 1 else None,
        interface=run.options.interface,
        pinned=search.pinned,
    )


def turn_asks(servers: Iterable[ServerUri], search: RelaySearch) -> list[TurnAsk]:
    """By which transports each is tried: the one that its URI names, TLS for `turns:`, else UDP and TCP."""
    credentials = search.user
    if search.secret is not None:
        credentials = time_limited_user(search.secret)
    found = []
    for server in servers:
        over: tuple[Transport, ...] = ("tcp",) if server.secure else ("udp", "tcp")
        if server.transport is not None:
            over = (server.transport,)
        found += [TurnAsk(server, transport, credentials) for transport in over]
    return found


async def _try_turn(run: MeasurementRun, context: RelayContext, ask: TurnAsk) -> None:
    name = f"relay {ask.server.text} {ask.over}"
    run.emit(Event("started", name, f"does {ask.server.text} relay over {ask.over.upper()}?"))
    await _relays(context, ask)
    run.emit(Event("finished", name))


async def _relays(context: RelayContext, ask: TurnAsk) -> None:
    """Try a TURN server: most networks have none, and what that takes is imported where there is one."""
    from nattools.probes.relay.turntrial import try_turn

    await try_turn(context, ask)


async def _distances(
    run: MeasurementRun, context: RelayContext, asks: Sequence[DerpAsk], families: Sequence[Family]
) -> dict[DerpAsk, tuple[float, ...]]:
    """Round trips to each, in seconds, without relaying."""
    far: dict[DerpAsk, tuple[float, ...]] = dict.fromkeys(asks, ())
    if not asks:
        return far
    name, text, answered = "derp distance", f"how far away are {len(far)} DERP servers?", 0
    run.emit(Event("started", name, text))

    async def ask_one(ask: DerpAsk) -> None:
        nonlocal answered
        far[ask] = await how_far(context, ask, pingers)
        answered += 1
        run.emit(Event("progress", name, text, answered / len(far)))

    with ExitStack() as opened:
        pingers: Pingers = {}
        for family in families:
            pingers[family] = await open_pinger(context.network, family, context.flight, context.interface)
            opened.callback(pingers[family].socket.close)
        async with asyncio.TaskGroup() as group:
            for ask in far:
                group.create_task(ask_one(ask))
    run.emit(Event("finished", name))
    return far


def _nearest(asks: Sequence[DerpAsk], far: dict[DerpAsk, tuple[float, ...]], few: int) -> list[DerpAsk]:
    """The servers to try: all if there are at most `few`, else the nearest ones that relay."""
    answered = sorted((ask for ask in asks if far[ask] and ask.node.relays), key=lambda ask: min(far[ask]))
    return list(asks) if len(asks) <= few else answered[:THROUGH]


async def _try_derp(
    run: MeasurementRun, context: RelayContext, ask: DerpAsk, direct: tuple[float, ...]
) -> None:
    name = f"relay {ask.node.uri}"
    run.emit(Event("started", name, f"does {ask.node.uri} relay?"))
    await try_derp(context, ask, direct)
    run.emit(Event("finished", name))
