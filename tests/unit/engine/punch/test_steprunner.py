"""What is left of a step that is broken off because a path was found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest
from simulated import open_internet, run

from nattools.engine.punch import steprunner
from nattools.engine.punch.steprunner import StepRunner
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import UdpSocket

TOLD = Endpoint("11.1.0.2", 40000)
Work = Callable[[StepRunner], Coroutine[Any, Any, object]]


@pytest.mark.parametrize(
    "work",
    [
        lambda runner: runner._socket_for(cast("Any", SimpleNamespace(family=4))),
        lambda runner: runner._look_again(TOLD),
    ],
    ids=["a socket for it", "a look at the counter"],
)
def test_broken_off_while_a_server_is_asked_it_leaves_no_socket(
    monkeypatch: pytest.MonkeyPatch, work: Work
) -> None:
    async def main(lab: SimLab) -> None:
        network, asked = lab.network("alice"), asyncio.Event()
        opened: list[UdpSocket] = []

        async def silent(socket: UdpSocket, server: Endpoint) -> None:
            opened.append(socket)
            asked.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(steprunner, "server_reflexive", silent)
        monkeypatch.setattr(steprunner, "server_of", lambda *_: Endpoint("11.2.0.2", 3478))
        monkeypatch.setattr(steprunner, "how_far_counted", lambda *_, **__: (1, 5))
        side = SimpleNamespace(run=SimpleNamespace(network=network, options=SimpleNamespace(interface=None)))
        context = SimpleNamespace(own=side, partner=SimpleNamespace(live=False), plan=None, leads=True)
        runner = StepRunner(cast("Any", context), cast("Any", None), [])
        task = asyncio.ensure_future(work(runner))
        await asked.wait()
        task.cancel()
        await asyncio.wait((task,))
        (socket,) = opened
        again = await network.open_udp(family=4, port=socket.local.port)  # it is free
        again.close()

    run(open_internet(), main)
