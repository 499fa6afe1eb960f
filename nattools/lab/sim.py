"""The in-memory lab: a scenario as a simulated internet on a virtual clock.

No privileges, no sockets, no waiting: ten simulated minutes of silence cost nothing. The same scenario, seed
and program give the same packets at the same times.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from nattools.lab.base import Backend
from nattools.lab.forwards import Forwards
from nattools.lab.layout import Layout
from nattools.lab.scenario import Scenario, server_uris
from nattools.lab.simhost import SimNetwork
from nattools.lab.simloop import Deadlock, SimLoop
from nattools.lab.simnet import Gateway, SimNet
from nattools.lab.simtopology import topology_of
from nattools.model.endpoint import Family
from nattools.net.base import Network

if TYPE_CHECKING:
    from nattools.lab.routers.simulated import SimulatedRouters
    from nattools.lab.servers import Handle

T = TypeVar("T")


class SimLab:
    """A scenario brought up in memory: `nattools.lab.base.Lab`.

    Making one takes microseconds once its scenario is known; several runs one after the other share its time
    and the state of its NATs. UsageError: the scenario cannot be built.
    """

    backend: Backend = "sim"

    def __init__(self, scenario: Scenario, *, seed: int = 0, start_servers: bool = True) -> None:
        topology = topology_of(scenario)
        self.scenario = scenario
        self.layout: Layout = topology.layout
        self.loop = SimLoop()
        self.net = SimNet(topology, self.loop, random.Random(seed))
        self._to_start = list(scenario.server) if start_servers else []
        self._networks: dict[str, SimNetwork] = {}
        self._mappers: SimulatedRouters | None = None
        self._mappers_wanted = start_servers and any(nat.mapper for nat in scenario.nat.values())
        self._servers: dict[str, Handle] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def network(self, node: str) -> Network:
        """The network as the named host (or server, or router) sees it. KeyError: no such node."""
        if node not in self._networks:
            self._networks[node] = SimNetwork(self.net.node(node))
        return self._networks[node]

    def forwards(self, router: str, family: Family = 4) -> Forwards | None:
        """The forwardings of a NAT or firewall; None where nothing is filtered. KeyError: no such node."""
        node = self.net.node(router)
        return node.forwards(family) if isinstance(node, Gateway) else None

    def cut(self, node: str) -> None:
        """Lose whatever arrives at a node, until `mend`. KeyError: no such node."""
        self.net.cut(node)

    def mend(self, node: str) -> None:
        """Undo a cut. KeyError: no such node."""
        self.net.mend(node)

    def restart(self, router: str) -> None:
        """A NAT or firewall loses its memory of all flows. KeyError: no such node."""
        node = self.net.node(router)
        if isinstance(node, Gateway):
            node.forget()

    async def restart_server(self, server: str, *, down_s: float = 0.0) -> None:
        """A server ends, with all that it knows and all its connections, and begins anew. Only while `run`
        runs. KeyError: it was not running."""
        await self._servers.pop(server).close()
        await asyncio.sleep(down_s)
        await self._start_server(server)

    async def stop_router(self, router: str) -> None:
        """Switch off what makes port mappings on a router: it forgets them all. Only while `run` runs."""
        if self._mappers is not None:
            await self._mappers.stop(router)

    async def start_router(self, router: str) -> None:
        """Switch it on again."""
        if self._mappers is not None:
            await self._mappers.start(router)

    def server_uris(self) -> tuple[str, ...]:
        """The scenario's servers, as `--server` takes them, in the order of the file."""
        return server_uris(self.scenario)

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        """Run to completion in virtual time; raises what `main` raises.

        Deadlock: `main` waits for something that nothing can bring about any more.
        """
        task = self.loop.create_task(self._main(main))
        try:
            return self.loop.run_until_complete(task)
        finally:
            if not task.done():
                self._cancel([task])

    def close(self) -> None:
        """Cancel what still runs. Idempotent."""
        if not self.loop.is_closed():
            self._cancel(asyncio.all_tasks(self.loop))
            self.loop.close()

    def _cancel(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Cancel tasks and let them clean up."""
        pending = [task for task in tasks if not task.done()]
        if not pending:
            return
        for task in pending:
            task.cancel()
        self.loop.settle()
        pending = [task for task in pending if not task.done()]
        if not pending:
            return
        with contextlib.suppress(Deadlock):
            self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))

    async def _main(self, main: Callable[[], Awaitable[T]]) -> T:
        while self._to_start:
            await self._start_server(self._to_start.pop(0))
        if self._mappers_wanted and self._mappers is None:
            from nattools.lab.routers.simulated import SimulatedRouters

            self._mappers = SimulatedRouters(self.scenario, self.layout, self.network, self.forwards)
            await self._mappers.start_all()
        return await main()

    async def _start_server(self, name: str) -> None:
        from nattools.lab.servers import start

        addresses = self.net.topology.addresses[name]
        handle = await start(self.network(name), self.scenario.server[name], addresses)
        self._servers[name] = handle
