"""What a listener or a caller was asked to do, and what both count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nattools.engine.punch.options import PunchOptions
from nattools.model.endpoint import Endpoint
from nattools.model.pwnat import RefusedErrors
from nattools.protocols.pwnat.outside import Outside

PORT: Final = 2222
"""Of the listener, if nothing else is said: the original's."""
CALL_WAIT_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PwnatOptions(PunchOptions):
    """`secret`: the text that both sides know. `port`: the listener's own (0: one that the system chooses).
    `listener`: where the caller knocks, the listener's outside address and port; `outside`: what the listener
    has read of its outside ports, if it has: the port follows from it. `wait_s`: how long the listener
    waits for a caller, or the caller knocks. `compat`: with the original pwnat's packets. Servers
    are asked only if the user has named some."""

    secret: str
    port: int = PORT
    listener: Endpoint | None = None
    outside: Outside | None = None
    compat: bool = False


@dataclass(slots=True)
class PwnatCounts:
    """What was counted in all attempts."""

    beacons: int = 0
    knocks: int = 0
    errors: int = 0
    forged: int = 0
    foreign: int = 0
    replayed: int = 0
    stale: int = 0

    @property
    def refused(self) -> RefusedErrors:
        """As the report tells it."""
        return RefusedErrors(
            forged=self.forged, foreign=self.foreign, replayed=self.replayed, stale=self.stale
        )
