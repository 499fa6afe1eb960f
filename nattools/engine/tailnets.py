"""A tailnet's servers asked, side by side: its control server, the regions of its DERP map, and the relay
that its client would choose."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nattools.engine.measurement import MeasurementRun
from nattools.engine.measureoptions import Emit, Event, MeasureOptions
from nattools.engine.portals import look_for_portal
from nattools.engine.run import new_run, observe
from nattools.engine.tailnetsearch import TailnetAsk, TailnetSearch
from nattools.errors import CannotRun
from nattools.model.endpoint import Family
from nattools.model.observation import Gap
from nattools.model.report import Report
from nattools.model.tailnetseen import (
    ClientPort,
    ListedRegion,
    RegionTrial,
    TailnetAsked,
    TailnetStatus,
)
from nattools.net.base import Network
from nattools.net.derp.derpmaps import load_map
from nattools.net.eventloop import TimeLimit
from nattools.probes.probe import MachineContext, MachineProbe
from nattools.probes.relay.derptrial import try_derp
from nattools.probes.relay.inflight import InFlightLimit
from nattools.probes.relay.relaycontext import DerpAsk, RelayContext
from nattools.probes.tailnet.controlprobe import try_control
from nattools.probes.tailnet.regionprobe import try_regions
from nattools.probes.tailnet.tailnetcontext import TailnetContext
from nattools.protocols import derp

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import Journal

CLIENT_PORT = 41641
"""What Tailscale's clients take unless told otherwise."""
MAP_S = 5.0
_FLIGHT = 120
"""Questions under way: all regions of the public map over both families, and some."""
_COUNT = 3


async def measure_tailnets(
    network: Network, options: MeasureOptions, emit: Emit, journal: Journal | None
) -> Report:
    """What this network means for tailnets; `journal` as in `measure`. CannotRun: there is no route, or no
    server's name resolves."""
    completed = await observe(new_run(network, options, emit), journal)
    await look_for_portal(completed.run)
    return completed.report()


class Tailnets(MachineProbe):
    """Are the servers of these tailnets reached, and what would their clients find?"""

    name = "tailnets"
    text = "are the tailnets' servers reached?"
    commands = frozenset({"tailscale"})

    def __init__(self, run: MeasurementRun) -> None:
        self._run = run

    async def run(self, context: MachineContext) -> None:
        """Each of them."""
        run = self._run
        search = run.options.tailnets or TailnetSearch()
        await _note_port(run, context.families)
        asked = TailnetContext(
            network=run.network,
            recorder=run.recorder,
            flight=InFlightLimit(_FLIGHT),
            families=context.families,
            interface=run.options.interface,
            pinned=search.pinned,
        )
        async with asyncio.TaskGroup() as group:
            for number, each in enumerate(search.tailnets, 1):
                group.create_task(_one(run, asked, number, each, search))


async def _note_port(run: MeasurementRun, families: tuple[Family, ...]) -> None:
    """Whether the port is free, which sends nothing."""
    try:
        socket = await run.network.open_udp(family=families[0], port=CLIENT_PORT)
    except CannotRun:
        taken = True
    else:
        socket.close()
        taken = False
    run.recorder.add(ClientPort(probe="tailnets", port=CLIENT_PORT, taken=taken))


async def _one(
    run: MeasurementRun, context: TailnetContext, number: int, ask: TailnetAsk, search: TailnetSearch
) -> None:
    async with asyncio.TaskGroup() as group:
        if ask.control is not None:
            group.create_task(_control(run, context, number, ask))
        regions, origin, problem = await _map(run, ask, search)
        run.recorder.add(
            TailnetAsked(
                probe="tailnets",
                number=number,
                name=ask.name,
                control=None if ask.control is None else ask.control.text,
                map=origin,
                regions=tuple(_listed(region) for region in regions),
                problem=problem,
            )
        )
        if ask.status is not None:
            run.recorder.add(
                TailnetStatus(probe="tailnets", number=number, source=ask.source, status=ask.status)
            )
        if regions:
            await _regions(run, context, number, ask.name, regions)


def _listed(region: derp.DerpRegion) -> ListedRegion:
    return ListedRegion(
        id=region.id,
        code=region.code,
        name=region.name,
        servers=len(region.nodes),
        home=region.measured,
    )


async def _control(run: MeasurementRun, context: TailnetContext, number: int, ask: TailnetAsk) -> None:
    assert ask.control is not None
    name = f"control {ask.control.text}"
    run.emit(Event("started", name, f"does {ask.control.text} answer?"))
    await try_control(context, number, ask.control)
    run.emit(Event("finished", name))


async def _map(
    run: MeasurementRun, ask: TailnetAsk, search: TailnetSearch
) -> tuple[tuple[derp.DerpRegion, ...], str | None, str]:
    """A tailnet's regions, where its map is from, and why there is none."""
    if not ask.map:
        return (() if ask.regions is None else ask.regions.regions), None, ""
    loaded = None
    async with TimeLimit(MAP_S):
        loaded = await load_map(run.network, ask.map, search.keep)
    if loaded is None:
        return (), ask.map, f"no answer in {MAP_S:g} s"
    if isinstance(loaded, str):
        return (), ask.map, loaded
    return loaded.map.regions, ask.map, ""


async def _regions(
    run: MeasurementRun,
    context: TailnetContext,
    number: int,
    tailnet: str,
    regions: tuple[derp.DerpRegion, ...],
) -> None:
    name, text = f"regions {number}", f"how far away are the {len(regions)} DERP regions of {tailnet}?"
    run.emit(Event("started", name, text))
    await try_regions(context, number, regions)
    run.emit(Event("finished", name))
    home, seconds = _nearest(run, number, regions)
    if home is None:
        return
    if (missing := derp.why_no_keys()) is not None:
        question = f"Does the home region of {tailnet} relay?"
        run.recorder.add(Gap(probe="relay", question=question, reason=str(missing), settle=missing.remedy))
        return
    node = next((each for each in home.nodes if each.relays), None)
    region = home.name or home.code
    if node is not None and (node.uri, region) not in context.relays:
        context.relays.add((node.uri, region))
        run.emit(Event("started", f"relay {number}", f"does {node.uri} relay?"))
        await try_derp(_relaying(run), DerpAsk(node, region), seconds)
        run.emit(Event("finished", f"relay {number}"))


def _relaying(run: MeasurementRun) -> RelayContext:
    return RelayContext(
        network=run.network,
        recorder=run.recorder,
        flight=InFlightLimit(),
        count=_COUNT,
        interface=run.options.interface,
    )


def _nearest(
    run: MeasurementRun, number: int, regions: tuple[derp.DerpRegion, ...]
) -> tuple[derp.DerpRegion | None, tuple[float, ...]]:
    """The one that answered soonest, and after how many seconds; where none did, one whose servers show by
    which step it fails."""
    seen = [one for one in run.recorder.observations if isinstance(one, RegionTrial) and one.number == number]
    near = sorted((one.latency_s, one.region) for one in seen if one.latency_s is not None)
    wanted = near[0][1] if near else next((each.id for each in regions if each.measured), None)
    return next((each for each in regions if each.id == wanted), None), tuple(s for s, _ in near[:1])
