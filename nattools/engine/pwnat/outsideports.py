"""The outside port of a listener's beacons, read from what routers quote, and followed when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network, UdpSocket
from nattools.probes.quotedsums import QuotedSums, moves_of
from nattools.protocols.outsidesum import MODULUS
from nattools.protocols.pwnat import TARGETS
from nattools.protocols.pwnat.outside import Outside
from nattools.traversal.icedriver import open_path_socket

LOOK_S: Final = 10.0
"""So often it is looked at again. A caller that has been told another port knocks in vain."""
FURTHER: Final = (TARGETS[1], Endpoint(TARGETS[0].host, 444), Endpoint(TARGETS[0].host, 445))
"""Where flows go that show how the port changes."""


class OutsidePorts:
    """`look` first, then let `follow` run. `found` None: nothing is told of the port, or it is the own one.
    `lacks`: why there was no looking, for want of a privilege. `beacon` sends one at once."""

    def __init__(self, network: Network, beacon: Callable[[], object]) -> None:
        self._network, self._beacon = network, beacon
        self._ttl = 0
        self.found: Outside | None = None
        self.lacks: str | None = None

    async def look(self, socket: UdpSocket) -> Outside | None:
        """Of this socket's beacons; it takes half a second, or three where there is something to be read."""
        try:
            with await QuotedSums.open(self._network) as sums:
                self.found = await self._looked(sums, socket.local.port)
        except CannotRun as why:
            self.lacks = str(why)
        return self.found

    async def _looked(self, sums: QuotedSums, port: int) -> Outside | None:
        first = await sums.of(port, TARGETS[0])
        if first is None:
            return None
        total, self._ttl = first
        flows = await sums.of_each(port, (TARGETS[0], *FURTHER), self._ttl)
        self._beacon()
        if (await sums.of_each(port, (TARGETS[0],), self._ttl))[0] not in (None, total):
            return None  # an error ends the mapping, in some NATs: what was read holds no longer
        moves = moves_of(flows)
        if moves.moves == "not" and await self._keeps(sums, port, total):
            return None
        return Outside(total, moves)

    async def _keeps(self, sums: QuotedSums, port: int, total: int) -> bool:
        """Is the outside port the own one? Then those of another socket differ by as much."""
        other = await open_path_socket(self._network, family=4)
        try:
            seen = await sums.of_each(other.local.port, (TARGETS[0],), self._ttl)
        finally:
            other.close()
        return seen[0] is not None and (seen[0] - total - other.local.port + port) % MODULUS == 0

    async def follow(self, port: int, changed: Callable[[Outside], None]) -> None:
        """Look again and again, and tell what has changed. CannotRun as `QuotedSums.open`."""
        if self.found is None:
            return
        with await QuotedSums.open(self._network) as sums:
            while True:
                await asyncio.sleep(LOOK_S)
                seen = (await sums.of_each(port, (TARGETS[0],), self._ttl))[0]
                if seen is None or seen == self.found.total:
                    continue
                again = await sums.of(port, TARGETS[0], (self._ttl,))
                self._beacon()
                if again is not None and again[0] != self.found.total:
                    self.found = Outside(again[0], self.found.ports)
                    changed(self.found)
