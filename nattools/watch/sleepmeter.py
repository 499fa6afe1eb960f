"""The machine's sleep, which the event loop's clock does not count on Linux and macOS."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since some moment."""
SHORTEST_S = 5.0
"""A shorter sleep is none: no NAT forgets anything meanwhile, and clocks may differ a little."""

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
