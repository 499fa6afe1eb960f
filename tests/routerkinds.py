"""What the tests of odd routers share: a simulated home with such a router, `nattools map` there, and a look
into the router's table."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from mapped import OUTSIDE, Command, call, home

from nattools.engine.measureoptions import Emit, MapOptions, MeasureOptions
from nattools.engine.portmap import commands
from nattools.engine.portmap.journal import Journal, MemoryJournal
from nattools.engine.portmap.keep import MappingChange, keep
from nattools.lab.routers.fakerouter import FakeRouter, start_router
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.lab.routers.table import TableMapping
from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.portmapping import PortMapping
from nattools.model.report import Report
from nattools.net.base import Network

T = TypeVar("T")
UDP_5000 = MapOptions(ports=(5000,), transports=("udp",))
MINE = MapOptions(mine=True)
ROUTER = "10.0.1.1"


class OddHome:
    """Alice behind an odd router, with one journal for all that she does."""

    def __init__(self, lab: SimLab, router: FakeRouter) -> None:
        self.lab = lab
        self.router = router
        self.journal = MemoryJournal()

    async def map(self, command: Command, wish: MapOptions = UDP_5000) -> Report:
        """`nattools map` with one of its commands."""
        return await call(self.lab, command, wish, self.journal, families=(4,))

    def lose_answer(self) -> None:
        """As if the process had been killed before it saw which port the router had made of port 5000."""
        (entry,) = self.journal.entries()
        self.journal.gone(entry)
        unanswered = self.journal.add(
            entry.wanted, "upnp-igd", interface=entry.interface, gateway=entry.gateway, stays=True
        )
        self.journal.asking(unanswered, 5000)

    async def add(self, wish: MapOptions = UDP_5000) -> Report:
        """`nattools map add 5000 --transport udp`."""
        return await self.map(commands.add, wish)

    async def delete_mine(self) -> Report:
        """`nattools map delete --mine`."""
        return await self.map(commands.delete, MINE)

    async def keep(self, seconds: float, wish: MapOptions = UDP_5000) -> tuple[Report, list[MappingChange]]:
        """`nattools map keep 5000 --transport udp`, for so long."""
        changes: list[MappingChange] = []
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, stop.set)

        async def tell(change: MappingChange) -> None:
            changes.append(change)

        async def run(
            network: Network, chosen: MeasureOptions, emit: Emit, journal: Journal, wish: MapOptions
        ) -> Report:
            return await keep(network, chosen, emit, journal, wish, tell, stop)

        return await self.map(run, wish), changes

    @property
    def rows(self) -> list[TableMapping]:
        """What is in the router's table."""
        return self.router.table.rows(asyncio.get_running_loop().time())

    @property
    def ports(self) -> list[int]:
        """The external ports there."""
        return [row.outside.port for row in self.rows]


def behind(behaviour: RouterBehaviour, main: Callable[[OddHome], Awaitable[T]]) -> T:
    """Run `main` in a fresh home with such a router."""
    scenario = msgspec.structs.replace(home(), nat={"home": NatSpec()})

    async def whole(lab: SimLab) -> T:
        forwards = lab.forwards("home")
        router = await start_router(lab.network("home"), ROUTER, OUTSIDE, behaviour, forwards)
        try:
            return await main(OddHome(lab, router))
        finally:
            await router.close()

    with SimLab(scenario) as lab:
        return lab.run(lambda: whole(lab))


def made(report: Report) -> PortMapping:
    """The mapping that the report says was made."""
    (mapping,) = [each for each in report.mappings if each.created]
    return mapping
