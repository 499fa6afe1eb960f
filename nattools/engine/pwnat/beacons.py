"""Keeps the listener's NAT open for an error about what it sends."""

from __future__ import annotations

import asyncio
from typing import Final

from nattools.chance import chance
from nattools.engine.pwnat.beaconsources import BeaconSource
from nattools.engine.pwnat.knockoptions import PwnatCounts

INTERVAL_S: Final = 5.0
"""No NAT forgets a UDP session that soon (RFC 4787 REQ-5: 2 minutes; some take 20 s)."""
LONGEST_S: Final = 60.0
JITTER: Final = 0.2
_AGAIN_S: Final = 0.5
"""After the first beacon, which may be lost."""


def interval_s(lifetime_s: float | None) -> float:
    """How often, where the own NAT keeps a session so long (None: not known): one of three may be lost."""
    return INTERVAL_S if lifetime_s is None else max(1.0, min(LONGEST_S, lifetime_s / 3))


class Beacons:
    """`start` and `stop`. `failure`: why the last one did not leave."""

    def __init__(self, counts: PwnatCounts, interval: float) -> None:
        self._counts = counts
        self._interval_s = interval
        self._timer: asyncio.TimerHandle | None = None
        self.failure: str | None = None

    def start(self, source: BeaconSource) -> None:
        """From now on through this source, the first at once."""
        self.stop()
        self._send(source, _AGAIN_S)

    def stop(self) -> None:
        """Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _send(self, source: BeaconSource, pause_s: float) -> None:
        for failure in source.send():
            self.failure = failure
            self._counts.beacons += failure is None
        spread = 1 + JITTER * (2 * chance().random() - 1)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(pause_s * spread, self._send, source, self._interval_s)
