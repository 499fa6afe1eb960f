"""Steps of two who have each other's token begin by the wall clock, whatever becomes of it in between."""

from __future__ import annotations

import asyncio

import pytest
from simulated import open_internet, run

from nattools.engine.punch.signaling import StepPosition
from nattools.engine.punch.tokensignaling import SLOT_S, StepSockets, TokenSignaling
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.traversal.tokens import Token, TokenCandidate

PEER = Token(bytes(range(32)), "abcd", "a" * 22, (TokenCandidate("host", Endpoint("10.0.0.2", 40001)),))
TURN = StepPosition(step=1, of=3, transport="udp")
NOON = 1_800_000_000.0
HOUR = 3600.0


def waits(jumps_s: float) -> list[float]:
    """How long each of four steps is waited for, where the clock is set by so much after the second."""

    async def main(lab: SimLab) -> list[float]:
        loop, jumped, found = asyncio.get_running_loop(), 0.0, []
        signaling = TokenSignaling(PEER, bytes(32), StepSockets(), lambda: NOON + 1.0 + jumped + loop.time())
        for number in range(4):
            jumped = jumps_s if number >= 2 else 0.0
            began = loop.time()
            await signaling.ready(0, TURN, None)
            found.append(round(loop.time() - began, 3))
        return found

    return run(open_internet(), main)


@pytest.mark.parametrize("jumps_s", [-24 * HOUR, -5 * HOUR, -61.0, -1.0, 0.0, 1.0, 5 * HOUR])
def test_a_clock_that_is_set_in_the_midst_delays_no_step_for_long(jumps_s: float) -> None:
    assert max(waits(jumps_s)) <= 2 * TURN.of * SLOT_S


def test_each_step_has_a_moment_of_its_own() -> None:
    assert waits(0.0)[1:] == [TURN.of * SLOT_S] * 3
