"""When a watch was not awake: the machine's sleep, which the event loop's clock does not count on Linux and
macOS, and what it does count: the program stood still, by Ctrl-Z or with its virtual machine."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since some moment."""
SHORTEST_S = 5.0
"""A shorter sleep is none: no NAT forgets anything meanwhile, and clocks may differ a little."""

_TICK_S, _LATE_S = 5.0, 15.0
"""A busy machine may be so late as this."""

_CLOCKS = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}


def clock_through_sleep() -> float:
    """Goes on while the machine sleeps, and is never set."""
    number = getattr(time, _CLOCKS.get(sys.platform, ""), None)
    return time.monotonic() if number is None else time.clock_gettime(number)


class SleepMeter:
    """Tells by how much `clock` has run ahead of the running loop's: so long the machine slept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s = self._lead()

    def slept_s(self) -> float:
        """Seconds since this was last asked, or since the meter was made; 0 if it did not sleep."""
        before, self._ahead_s = self._ahead_s, self._lead()
        more = self._ahead_s - before
        return more if more >= SHORTEST_S else 0.0

    def _lead(self) -> float:
        return self._clock() - asyncio.get_running_loop().time()


class StandstillMeter:
    """Tells how long the program stood still, though the running loop's clock went on. `run` has to run."""

    def __init__(self) -> None:
        self._stood_s = 0.0
        self._ticked_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            self._tick()

    def stood_s(self) -> float:
        """Seconds since this was last asked, or since the meter was made; 0 if it did not."""
        self._tick()
        stood_s, self._stood_s = self._stood_s, 0.0
        return stood_s

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        late_s = now - self._ticked_at - _TICK_S
        self._ticked_at = now
        if late_s >= _LATE_S:
            self._stood_s += late_s + _TICK_S / 2
