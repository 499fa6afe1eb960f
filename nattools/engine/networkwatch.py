"""Is this machine still in the network that is measured? Else silence would be taken for the network's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Final

from nattools.engine.measurement import MeasurementRun
from nattools.model.endpoint import Family, family_of
from nattools.model.networkleft import NetworkLeft
from nattools.net.addresses import FAR_AWAY
from nattools.net.base import Network

LOOK_S: Final = 1.0
PROBE: Final = "network"


class NetworkWatch:
    """Notes, once for each family, that an address is lost from which this machine was measured, or the route
    that there was: also if both are back later. `addresses`: those that count; else the ones that routes to
    the internet have."""

    def __init__(
        self, run: MeasurementRun, families: Iterable[Family] = (), addresses: Iterable[str] = ()
    ) -> None:
        self._run = run
        self._own = {family_of(address): _plain(address) for address in addresses}
        self._at_first = self._addresses()  # behind a NAT64 there is no IPv4 address among them
        self._routed = {family: source for family in families if (source := _source(run.network, family))}

    async def during(self, work: Awaitable[None]) -> None:
        """Look now and then while this is done, and at its end."""
        try:
            async with asyncio.TaskGroup() as group:
                looking = group.create_task(self._look_again())
                await work
                looking.cancel()
        finally:
            self._look()

    async def _look_again(self) -> None:
        while self._own or self._routed:
            await asyncio.sleep(LOOK_S)
            self._look()

    def _addresses(self) -> set[str]:
        up = (each for each in self._run.network.interfaces() if each.up)
        return {_plain(address) for each in up for address in each.addresses}

    def _look(self) -> None:
        network, here = self._run.network, self._addresses()
        lost = {family: address for family, address in self._own.items() if address not in here}
        for family, source in self._routed.items():
            if source in self._at_first - here or network.route(FAR_AWAY[family]) is None:
                lost[family] = source
        for family, address in lost.items():
            self._own.pop(family, None)
            self._routed.pop(family, None)
            self._run.recorder.add(NetworkLeft(probe=PROBE, family=family, address=address))


def _source(network: Network, family: Family) -> str | None:
    route = network.route(FAR_AWAY[family])
    return None if route is None else _plain(route[1])


def _plain(address: str) -> str:
    return address.partition("%")[0]
