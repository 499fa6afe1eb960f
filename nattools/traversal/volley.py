"""Sends what a part says, when it says, and no faster: the one place where a punch spends packets."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from nattools.model.endpoint import Endpoint
from nattools.net.base import UdpSocket
from nattools.traversal.puncher import Puncher
from nattools.traversal.steps import Part

Shot = tuple[UdpSocket, int]
Order = Callable[[list[UdpSocket], list[int]], Iterator[Shot]]
LOWEST_PORT = 1024


def targets(part: Part, peer: Endpoint, draw: random.Random) -> list[int]:
    """The ports of the peer that the part aims at, in the order in which to try them."""
    if part.aim == "seen":
        return [peer.port]
    if part.aim == "pool":
        low, high = part.pool or (LOWEST_PORT, 65535)
        return draw.sample(range(low, high + 1), min(part.count, high - low + 1))
    return [_ahead(peer.port, part.step * (part.ahead + index)) for index in range(part.count)]


def _ahead(port: int, distance: int) -> int:
    """So much further; counters begin again at 1024, as most do."""
    return LOWEST_PORT + (port - LOWEST_PORT + distance) % (65536 - LOWEST_PORT)


def by_port(sockets: list[UdpSocket], ports: list[int]) -> Iterator[Shot]:
    """All sockets to the first port, then all to the next."""
    return ((socket, port) for port in ports for socket in sockets)


async def fire(puncher: Puncher, part: Part, sockets: list[UdpSocket], ports: list[int]) -> bool:
    """The part's passes; True as soon as it is connected. Never more than `part.packets`, nor faster than
    `part.rate_per_s`."""
    if part.ttl is not None:
        if await _pass(puncher, part, by_port(sockets, ports), part.ttl):
            return True
        if part.passes == 1:
            return False
    if await puncher.until(part.hold_s):
        return True
    for number in range(part.passes - (part.ttl is not None)):
        if number and await puncher.within(part.gap_s):
            return True
        if await _pass(puncher, part, by_port(sockets, ports), None):
            return True
    return puncher.connected


async def _pass(puncher: Puncher, part: Part, shots: Iterator[Shot], ttl: int | None) -> bool:
    for socket, port in shots:
        if puncher.connected:
            return True
        puncher.probe(socket, port, ttl=ttl)
        if await puncher.within(1 / part.rate_per_s):
            return True
    return puncher.connected


async def sockets_for(puncher: Puncher, part: Part) -> list[UdpSocket]:
    """The sockets that the part asks for. CannotRun: none could be had."""
    if not part.fresh:
        return [puncher.use_told()]
    puncher.use_told()
    return await puncher.open(part.sockets, part.sources)
