"""The course that all strategies over UDP take: sockets, targets, passes, then a wait for what is late."""

from __future__ import annotations

import random

from nattools.errors import CannotRun
from nattools.net.base import Network
from nattools.traversal.meeting import Meeting, Outcome
from nattools.traversal.puncher import Puncher
from nattools.traversal.steps import Part
from nattools.traversal.volley import fire, sockets_for, targets


async def run(
    network: Network, meeting: Meeting, part: Part, wait_s: float, *, seed: int | None = None
) -> Outcome:
    """This side's part, from now on. Never raises for what the network does."""
    with Puncher(network, meeting) as puncher:
        try:
            sockets = await sockets_for(puncher, part)
        except CannotRun as error:
            return puncher.outcome(f"{error}. {error.remedy}".strip())
        draw = random.SystemRandom() if seed is None else random.Random(seed)
        ports = targets(part, meeting.peer, draw)
        if not await fire(puncher, part, sockets, ports):
            await puncher.within(wait_s)
        return puncher.outcome()
