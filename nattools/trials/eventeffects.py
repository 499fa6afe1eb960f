"""The events of a scenario played with nothing else to do, and what its machines see of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple

from nattools.lab.backend import Backend
from nattools.lab.scenario import Scenario
from nattools.trials.viewfromoutside import ServerFlow, change, stun_addresses, view_from_outside

if TYPE_CHECKING:
    from nattools.lab.netns.netnslab import NetnsLab
    from nattools.lab.sim.simlab import SimLab

_HOSTS = 4


class EventEffect(NamedTuple):
    """What happened, when (in seconds since the scenario came up), and what machines see that they did not
    see before, a phrase each. `text` is empty for what they see at first."""

    at_s: float
    text: str
    news: tuple[str, ...]


def still_lab(scenario: Scenario, backend: Backend, seed: int) -> SimLab | NetnsLab:
    """A lab in which nothing happens by itself."""
    if backend == "sim":
        from nattools.lab.sim.simlab import SimLab

        return SimLab(scenario, seed=seed, still=True)
    from nattools.lab.netns.netnslab import NetnsLab

    return NetnsLab(scenario, seed=seed, still=True)


class EventObserver:
    """Plays what is to happen in a still lab, and looks at it from the first four of its hosts."""

    def __init__(self, lab: SimLab | NetnsLab) -> None:
        self._lab = lab
        self._hosts = tuple(lab.scenario.host)[:_HOSTS]
        self._asked = stun_addresses(lab.scenario, lab.layout)
        self._known: dict[str, str] = {}

    async def effects(self, end_s: float) -> AsyncIterator[EventEffect]:
        """Everything until then. On the simulator each at its time, on network namespaces at once."""
        events = self._lab.events
        yield EventEffect(0.0, "", await self._news())
        while events.next_s <= end_s:
            if self._lab.backend == "sim":
                await events.sleep()
            at_s = events.next_s
            async with AsyncExitStack() as open_flows:
                networks = [self._lab.network(host) for host in self._hosts]
                flows = [
                    await open_flows.enter_async_context(ServerFlow(each, self._asked)) for each in networks
                ]
                before = await asyncio.gather(*(flow.ask() for flow in flows))
                text = await events.step()
                after = await asyncio.gather(*(flow.ask() for flow in flows))
            news = await self._news()
            changes = zip(self._hosts, map(change, before, after), strict=True)
            kept = [f"{host}'s flow {found}" for host, found in changes if found is not None]
            yield EventEffect(at_s, text, (*kept, *news))

    async def _news(self) -> tuple[str, ...]:
        seen = await asyncio.gather(
            *(view_from_outside(self._lab.network(host), self._asked) for host in self._hosts)
        )
        fresh = [
            (host, text)
            for host, text in zip(self._hosts, seen, strict=True)
            if self._known.get(host) != text
        ]
        self._known.update(fresh)
        return tuple(f"{host} outside: {text}" for host, text in fresh)


def end_s(scenario: Scenario) -> float:
    """When all events have happened, those that are repeated at least once more."""
    last = max((each.at_s + (each.every_s or 0.0) + each.down_s for each in scenario.event), default=0.0)
    return last + 1.0
