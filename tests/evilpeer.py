"""A nattools whose punch loses each path at once, and names forty new victims each time: `python evilpeer.py
punch CODE ...`. Nobody is at their addresses; the counters of `counted` see what is sent there."""

from __future__ import annotations

import asyncio
import itertools
import sys
from typing import Any

import msgspec

from nattools.__main__ import main
from nattools.engine.punch.connection import PunchConnection
from nattools.engine.punch.connector import Connector
from nattools.engine.punch.signals import AttemptAim
from nattools.model.endpoint import Endpoint
from nattools.model.statement import Statement, statement
from nattools.protocols import ice

VICTIMS = (f"11.{number // 250 + 60}.{number % 250}.9" for number in itertools.count())
LOST_AFTER_S = 0.2


def named(count: int) -> tuple[str, ...]:
    """Candidates at so many new victims, of the kind that is checked last."""
    places = [Endpoint(next(VICTIMS), 53) for _ in range(count)]
    return tuple(ice.encode(ice.local_candidate("relay", place, base=place)) for place in places)


def turn_evil() -> None:
    """From here on, all punches of this process."""
    prepare = Connector._prepare

    async def evil_prepare(self: Connector, *arguments: Any) -> Any:
        introduction, bases = await prepare(self, *arguments)
        more = introduction.candidates + named(40)
        return msgspec.structs.replace(introduction, candidates=more), bases

    async def evil_loss(self: PunchConnection) -> Statement | AttemptAim | None:
        await asyncio.sleep(LOST_AFTER_S)
        return statement("peer-lost-path")

    async def at_once(self: PunchConnection, pause_s: float) -> bool:
        return False

    Connector._prepare = evil_prepare  # type: ignore[method-assign]
    PunchConnection._event = evil_loss  # type: ignore[method-assign]
    PunchConnection._recovers_within = at_once  # type: ignore[method-assign]


if __name__ == "__main__":
    turn_evil()
    sys.exit(main())
