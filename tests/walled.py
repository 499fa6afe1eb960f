"""A wall between two simulated sites, which come to their server and not to each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from piped import Side, Trouble

from nattools.lab.sim.simlab import SimLab
from nattools.model.punch import Punch
from nattools.protocols.packet import Packet


def wall(lab: SimLab, router: str, outside: str) -> None:
    """Nothing of this address passes a router any more, until it is mended."""
    node = lab.net.node(router)
    takes = [node.entry(port) for port in range(len(node.plan.ports))]

    def without(take: Callable[[Packet], object]) -> Callable[[Packet], None]:
        return lambda packet: None if outside in (packet.source, packet.destination) else void(take(packet))

    lab.net.entries[node.plan.index] = [without(take) for take in takes]


def void(_: object) -> None:
    """Nothing."""


def apart(lab: SimLab) -> None:
    """The two sites reach the server, and not each other."""
    wall(lab, "a", "11.2.0.2")
    wall(lab, "b", "11.1.0.2")


def mended(after_s: float) -> Trouble:
    async def trouble(lab: SimLab) -> None:
        await asyncio.sleep(after_s)
        lab.mend("a")
        lab.mend("b")

    return trouble


async def broken(lab: SimLab) -> None:
    apart(lab)


def whole(sides: tuple[Side, Side]) -> list[Punch]:
    """Both got all that the other gave."""
    for side, other in (sides, sides[::-1]):
        assert side.problem is None
        assert bytes(side.got) == other.data
    return [side.report.punch for side in sides if side.report is not None and side.report.punch is not None]
