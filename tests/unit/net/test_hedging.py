"""Further attempts beside one that takes long, on the simulator's clock."""

from __future__ import annotations

import asyncio

import pytest

from nattools.errors import CannotRun
from nattools.lab.sim.loop import SimLoop
from nattools.net.hedging import AGAIN_S, hedged


class Attempts:
    """Each takes so many seconds, and ends well or not."""

    def __init__(self, *planned: tuple[float, bool]) -> None:
        self._planned = list(planned)
        self.begun: list[float] = []
        self.cancelled = 0
        self.discarded: list[str] = []

    async def attempt(self) -> str:
        number = len(self.begun)
        self.begun.append(asyncio.get_running_loop().time())
        seconds, well = self._planned[number]
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return f"{'made' if well else 'failed'} {number + 1}"

    async def made(self) -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await hedged(
            self.attempt, conclusive=lambda made: made.startswith("made"), discard=self.discarded.append
        )
        return found, round(loop.time() - began, 3)


def simulated(attempts: Attempts) -> tuple[str, float]:
    with asyncio.Runner(loop_factory=SimLoop) as runner:
        return runner.run(attempts.made())


@pytest.mark.parametrize(
    ("planned", "found", "took_s", "begun", "cancelled"),
    [
        ([(0.1, True)], "made 1", 0.1, 1, 0),
        ([(0.1, False)], "failed 1", 0.1, 1, 0),
        ([(9.0, True), (0.2, True)], "made 2", AGAIN_S + 0.2, 2, 1),
        ([(2.0, True), (9.0, True)], "made 1", 2.0, 2, 1),
        ([(9.0, True), (9.0, True), (0.2, True)], "made 3", 2 * AGAIN_S + 0.2, 3, 2),
        ([(6.0, False), (6.0, False), (6.0, False)], "failed 1", 6.0 + AGAIN_S, 3, 1),
        ([(6.0, False), (6.0, True), (9.0, True)], "made 2", 6.0 + AGAIN_S, 3, 1),
        ([(6.0, False), (9.0, True), (9.0, True)], "failed 1", 6.0 + AGAIN_S, 3, 2),
        ([(6.0, True), (1.0, False)], "made 1", 6.0, 2, 0),
    ],
)
def test_the_first_that_succeeds_counts(
    planned: list[tuple[float, bool]], found: str, took_s: float, begun: int, cancelled: int
) -> None:
    attempts = Attempts(*planned)
    assert simulated(attempts) == (found, pytest.approx(took_s))
    assert (len(attempts.begun), attempts.cancelled, attempts.discarded) == (begun, cancelled, [])


def test_what_came_too_late_is_closed() -> None:
    attempts = Attempts((AGAIN_S + 1.0, True), (1.0, True))
    assert simulated(attempts)[0] in ("made 1", "made 2")
    assert len(attempts.discarded) + attempts.cancelled == 1


def test_what_cannot_be_attempted_is_said_as_it_is() -> None:
    async def attempt() -> str:
        raise CannotRun("no such interface")

    async def main() -> str:
        return await hedged(attempt, conclusive=bool, discard=lambda made: None)

    with asyncio.Runner(loop_factory=SimLoop) as runner, pytest.raises(CannotRun, match="no such"):
        runner.run(main())
