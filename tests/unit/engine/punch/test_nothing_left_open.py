"""Whenever a punch is over, all its sockets are closed, though it ends in the middle of a question."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from msgspec import structs
from punching import MATRIX_KINDS, pair, punching

from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.punch import punch, punch_by_tokens
from nattools.errors import CannotRun
from nattools.lab.sim.simlab import SimLab
from nattools.lab.sim.simsockets import SimUdpSocket
from nattools.lab.sim.stack import Stack

Opened = list[SimUdpSocket]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """All sockets over UDP, of all machines."""
    found: Opened = []
    open_udp = Stack.open_udp

    def opening(self: Stack, **options: Any) -> SimUdpSocket:
        found.append(open_udp(self, **options))
        return found[-1]

    monkeypatch.setattr(Stack, "open_udp", opening)
    return found


async def never() -> str:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


@pytest.mark.parametrize("by_tokens", [True, False])
@pytest.mark.parametrize("tenths", range(1, 40, 2))
def test_a_punch_that_is_over_leaves_nothing_open(opened: Opened, by_tokens: bool, tenths: int) -> None:
    scenario = pair(MATRIX_KINDS["symmetric-random"], MATRIX_KINDS["port-restricted"], delay_ms=40)
    with SimLab(scenario, seed=1) as lab:
        options = PunchOptions(measuring=structs.replace(punching(lab), timeout_s=tenths / 10))
        network = lab.network("alice")

        async def main() -> None:
            before = len(opened)
            work = punch_by_tokens if by_tokens else punch
            with contextlib.suppress(CannotRun):  # too soon for a report
                await work(network, options, Watcher(ask_token=never))
            assert [each.local for each in opened[before:] if not each.closed] == []

        lab.run(main)
