"""Plays a scenario's events: what they do to it while it runs, on either backend."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import islice
from math import inf
from typing import Protocol

from msgspec.structs import replace

from nattools.lab.scenario import NatSpec, Scenario, host_behind
from nattools.lab.scenarioevents import EventSpec, ScheduledEvent, moments
from nattools.lab.tomlfields import convert

_LOOKED_AHEAD = 1000


class ChangeableLab(Protocol):
    """What can be done to a lab that runs. All names are those of its nodes; KeyError: there is none."""

    def link(self, node: str, stays: Callable[[str], bool]) -> None:
        """Put a node's cables in, or take them out; of a router, the one to the outside. `stays` is told to
        which router each of a host's cables leads ("": to none)."""

    def plug(self, node: str) -> None:
        """Put all its cables in."""
        self.link(node, lambda router: True)

    def unplug(self, node: str) -> None:
        """Take them out."""
        self.link(node, lambda router: False)

    def move(self, host: str, router: str) -> None:
        """Leave a host no cable but the one to that router."""
        self.link(host, lambda name: name == router)

    def cut(self, node: str) -> None:
        """Lose whatever arrives at a node, until `mend`."""

    def mend(self, node: str) -> None:
        """Undo a cut."""

    def restart(self, router: str) -> None:
        """A NAT or firewall loses its memory of all flows. Forwardings stay."""

    def behave(self, nat: str, spec: NatSpec) -> None:
        """From now on it translates and filters like this; all bindings are lost."""

    def next_address(self, nat: str) -> None:
        """The provider gives it the next of its outside addresses."""

    async def stop_server(self, server: str) -> None:
        """A server ends, with all that it knows; nothing happens if it does not run."""

    async def start_server(self, server: str) -> None:
        """It begins anew; nothing happens if it runs."""

    async def stop_router(self, router: str) -> None:
        """Switch off a router's port mapping service: it forgets all mappings."""

    async def start_router(self, router: str) -> None:
        """Switch it on again."""


class EventPlayer:
    """What is still to happen in a lab. `began_s`: when the scenario came up, by the loop's clock."""

    def __init__(self, scenario: Scenario, lab: ChangeableLab, began_s: float) -> None:
        self._lab = lab
        self._began_s = began_s
        self._moments = moments(scenario.event)
        self._next = next(self._moments, None)
        self._down: list[tuple[float, str]] = []
        self._specs = dict(scenario.nat)
        self._mapping = frozenset(name for name, nat in scenario.nat.items() if nat.mapper is not None)
        for event in scenario.event:
            if event.what == "moved":
                lab.move(event.node, host_behind(scenario, event.node)[0])

    @property
    def next_s(self) -> float:
        """When the next thing happens, in seconds since the scenario came up; infinite: nothing does."""
        soon = inf if self._next is None else self._next.at_s
        return min(soon, self._down[0][0]) if self._down else soon

    async def play(self) -> None:
        """Let everything happen at its time. If it is cancelled, another call goes on."""
        while self.next_s < inf:
            await self.sleep()
            await self.step()

    async def sleep(self) -> None:
        """Until the next thing is due."""
        due_s = self._began_s + self.next_s
        await asyncio.sleep(max(0.0, due_s - asyncio.get_running_loop().time()))

    async def step(self) -> str:
        """Let the next thing happen now, whatever the time is; what it was, in a few words."""
        moment = self._next
        if self._down and (moment is None or self._down[0][0] <= moment.at_s):
            _, router = heapq.heappop(self._down)
            self._lab.mend(router)
            if router in self._mapping:
                await self._lab.start_router(router)
            return f"{router}: up again"
        assert moment is not None
        self._next = next(self._moments, None)
        await self._apply(moment)
        return moment.text

    async def _apply(self, moment: ScheduledEvent) -> None:
        spec, lab = moment.spec, self._lab
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
        elif spec.what == "new-address":
            lab.next_address(spec.node)
        elif spec.what == "behaves":
            self._specs[spec.node] = changed(self._specs[spec.node], spec)
            lab.behave(spec.node, self._specs[spec.node])
        else:
            lab.restart(spec.node)
            if spec.what == "restarted":
                await self._go_down(spec.node, moment.at_s + spec.down_s)

    async def _go_down(self, router: str, until_s: float) -> None:
        """Let nothing pass a router until then; other things happen meanwhile."""
        if all(each != router for _, each in self._down):
            heapq.heappush(self._down, (until_s, router))
            self._lab.cut(router)
            if router in self._mapping:
                await self._lab.stop_router(router)


def changed(before: NatSpec, event: EventSpec) -> NatSpec:
    """A NAT after the event "behaves"."""
    now = convert(event.now, NatSpec, ("event", "now"))
    return replace(before, **{key: getattr(now, key) for key in event.now})


def specs_in_time(scenario: Scenario, nat: str) -> list[NatSpec]:
    """What a NAT is like at first, and after each of the events that change it."""
    events = tuple(each for each in scenario.event if each.node == nat and each.what == "behaves")
    found, missing = [scenario.nat[nat]], 2 * len(events)
    for moment in islice(moments(events), _LOOKED_AHEAD):
        found.append(changed(found[-1], moment.spec))
        missing -= 1
        if missing <= 0:
            break
    return found
