"""The simulator's routers that make port mappings, as the scenario wants them."""

from __future__ import annotations

from collections.abc import Callable

from nattools.errors import UsageError
from nattools.lab.layout import Layout
from nattools.lab.nat.bindings import Forwards
from nattools.lab.routers import FakeRouter
from nattools.lab.routers.drawn import families, start_fake
from nattools.lab.scenario import MapperSpec, NatSpec, Scenario
from nattools.model.endpoint import Family
from nattools.net.base import Network


class SimMappers:
    """The fake routers of a simulation, by the node that they are on: one for each address family."""

    def __init__(
        self,
        scenario: Scenario,
        layout: Layout,
        network: Callable[[str], Network],
        forwards: Callable[[str, Family], Forwards | None],
    ) -> None:
        self._scenario = scenario
        self._layout = layout
        self._network = network
        self._forwards = forwards
        self.running: dict[str, list[FakeRouter]] = {}

    async def start_all(self) -> None:
        """Start those that the scenario has."""
        for router, nat in self._scenario.nat.items():
            if nat.mapper is not None:
                await self.start(router)

    async def start(self, router: str) -> None:
        """Start a router's, or switch it on again. UsageError: it is to offer no mappings."""
        if router in self.running:
            for each in self.running[router]:
                await each.start()
                each.restart()
            return
        nat = self._scenario.nat.get(router)
        if nat is None or nat.mapper is None:
            raise UsageError(f"the router {router!r} is to offer no mappings")
        self.running[router] = []
        for family in families(nat):
            self.running[router].append(await self._start(router, nat, nat.mapper, family))

    async def stop(self, router: str) -> None:
        """Switch a router off: it forgets its mappings."""
        for each in self.running.get(router, ()):
            each.table.clear()
            await each.close()

    async def _start(self, router: str, nat: NatSpec, mapper: MapperSpec, family: Family) -> FakeRouter:
        forwards = self._forwards(router, family)
        return await start_fake(self._network(router), self._layout, router, (nat, mapper), family, forwards)
