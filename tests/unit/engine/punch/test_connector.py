"""What is left of an attempt that is broken off."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hostile import introduction
from punching import MATRIX_KINDS, pair

from nattools.engine.punch.candidates import Base
from nattools.engine.punch.connector import Connector
from nattools.engine.punch.localside import LocalSide
from nattools.engine.punch.options import PunchOptions
from nattools.engine.punch.signaling import Signaling
from nattools.engine.punch.signals import A_PATH, AttemptAim
from nattools.engine.punch.timeline import Timeline
from nattools.lab.sim.simlab import SimLab


class Silent:
    """A partner who never says who he is."""

    live, secret, attempt, heard_of, relays = True, bytes(32), 0, 0, ()

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.asked = asyncio.Event()

    def begin(self, attempt: int, aim: AttemptAim = A_PATH) -> None:
        self.begun.append(attempt)

    async def introduce(self, own: object) -> None:
        self.asked.set()
        await asyncio.Event().wait()


class Willing:
    """A side that uses whatever there is."""

    options = PunchOptions()

    def without(self, transport: str | None) -> Willing:
        assert transport is None
        return self


class Closing:
    """A socket that knows whether it was closed."""

    closed = False

    def __init__(self, socket: Any) -> None:
        self.local = socket.local
        socket.close()

    def close(self) -> None:
        self.closed = True


def test_broken_off_it_leaves_no_socket_and_its_number_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def twice() -> tuple[list[int], list[bool]]:
        partner, sockets = Silent(), []
        connector = Connector(
            cast("LocalSide", Willing()), cast("Signaling", partner), Timeline(lambda _: None), lambda _: None
        )

        async def prepared(own: LocalSide, number: int, *_: object) -> tuple[Any, list[Base]]:
            socket = Closing(await lab.network("alice").open_udp(family=4))
            sockets.append(socket)
            return told, [Base(cast("Any", socket), (), 1)]

        monkeypatch.setattr(connector, "_prepare", prepared)
        for _ in range(2):
            partner.asked.clear()
            async with asyncio.TaskGroup() as group:
                connecting = group.create_task(connector.connect())
                await partner.asked.wait()
                connecting.cancel()
        return partner.begun, [each.closed for each in sockets]

    told = introduction()
    with SimLab(pair(MATRIX_KINDS["open"], MATRIX_KINDS["open"]), seed=1) as lab:
        assert lab.run(twice) == ([0, 1], [True, True])
