"""The other side by a token that was pasted: all that is known of it, and no way to say anything more.

Steps that both sides must begin together begin by the wall clock: every `SLOT_S` seconds of UTC one of them
does, the same one on both sides. Clocks set by NTP agree well enough: the plan's pauses allow for a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nattools.engine.punch.messages import Introduction, Story
from nattools.engine.punch.partner import Gone, Superseded, Turn
from nattools.engine.punch.tokenterms import introduction_of, outside_of
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpStream, UdpSocket
from nattools.traversal.tokens import Token

SLOT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Told:
    """Where a server sees this side's sockets for the steps: over UDP, and over TCP by a connection that
    stays open. None: it was not seen."""

    udp: tuple[UdpSocket, Endpoint] | None = None
    tcp: tuple[TcpStream, Endpoint] | None = None

    def close(self) -> None:
        """Idempotent."""
        if self.udp is not None:
            self.udp[0].close()
        if self.tcp is not None:
            self.tcp[0].abort()


class TokenPartner:
    """`secret` is known to the two who have each other's token alone; `wall` gives UTC in seconds."""

    live = False

    def __init__(self, peer: Token, secret: bytes, told: Told, wall: Callable[[], float]) -> None:
        self.secret = secret
        self.told = told
        self.attempt = self.heard_of = 0
        self._peer = peer
        self._wall = wall
        self._last_slot = -1

    def begin(self, attempt: int) -> None:
        """Nobody can be told."""

    def doubt(self) -> None:
        """There is no conversation."""

    def settle(self) -> None:
        """There is no conversation."""

    async def within_reach(self) -> Gone | None:
        """It knows the token: nothing more can be said."""
        return None

    @property
    def apart(self) -> str:
        """See `Partner`."""
        return "Tokens are exchanged once."

    async def introduce(self, own: Introduction) -> Introduction | Gone | Superseded:
        """What the token says."""
        return introduction_of(self._peer)

    async def ready(self, attempt: int, turn: Turn, told: Endpoint | None) -> Endpoint | Gone | None:
        """Wait for the step's next slot."""
        slot = max(int(self._wall() // SLOT_S), self._last_slot) + 1
        while slot % turn.of != turn.step % turn.of:
            slot += 1
        self._last_slot = slot
        await asyncio.sleep(max(0.0, slot * SLOT_S - self._wall()))
        return outside_of(self._peer, turn.transport)

    def on_candidate(self, attempt: int, take: Callable[[str], None]) -> None:
        """None comes."""

    def tell_candidate(self, attempt: int, candidate: str) -> None:
        """The token was told before."""

    async def swap_stories(self, own: Story) -> Story | None:
        """There is no way to."""
        return None
