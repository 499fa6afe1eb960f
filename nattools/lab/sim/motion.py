"""The lab in motion: what a scenario's events do to a simulation that runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nattools.lab.scenario import NatSpec
from nattools.lab.scenarioevents import EventSpec, ScheduledEvent, moments
from nattools.lab.sim.natrouter import NatRouter
from nattools.lab.tomlfields import convert

if TYPE_CHECKING:
    from nattools.lab.sim.simlab import SimLab

Happened = Callable[[ScheduledEvent], None]


async def play(lab: SimLab, happened: Happened) -> None:
    """Let everything happen at its time. `happened` hears of it when it has begun."""
    loop = asyncio.get_running_loop()
    down: set[str] = set()
    async with asyncio.TaskGroup() as restarts:
        for moment in moments(lab.scenario.event):
            spec = moment.spec
            await asyncio.sleep(max(0.0, moment.at_s - loop.time()))
            await _apply(lab, spec)
            if spec.what == "restarted" and spec.node not in down:
                down.add(spec.node)
                restarts.create_task(_restart(lab, spec, down))
            happened(moment)


async def _apply(lab: SimLab, spec: EventSpec) -> None:
    node = lab.net.node(spec.node)
    if spec.what == "link-down":
        lab.unplug(spec.node)
    elif spec.what == "link-up":
        lab.plug(spec.node)
    elif spec.what == "moved":
        lab.move(spec.node, spec.to or "")
    elif spec.what == "server-gone":
        await lab.stop_server(spec.node)
    elif spec.what == "server-back":
        await lab.start_server(spec.node)
    elif isinstance(node, NatRouter):
        _router(node, spec)


def _router(node: NatRouter, spec: EventSpec) -> None:
    if spec.what == "new-address":
        node.next_address()
    elif spec.what == "behaves":
        before = node.spec
        assert isinstance(before, NatSpec)
        changed = convert(spec.now, NatSpec, ("event", "now"))
        node.behave(replace(before, **{key: getattr(changed, key) for key in spec.now}))
    else:
        node.forget()


async def _restart(lab: SimLab, spec: EventSpec, down: set[str]) -> None:
    """For a while nothing passes, and other things happen meanwhile."""
    lab.cut(spec.node)
    await lab.stop_router(spec.node)
    await asyncio.sleep(spec.down_s)
    lab.mend(spec.node)
    await lab.start_router(spec.node)
    down.remove(spec.node)
