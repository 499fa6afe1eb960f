"""Checks of the peer that overtake its introduction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nattools.engine.punch.gathering import Base
from nattools.model.endpoint import Endpoint
from nattools.protocols import ice
from nattools.traversal.icedriver import IceDriver

MOST: Final = 32


class Early:
    """Keeps what comes to an attempt's sockets until there is somebody to read it (RFC 8445 7.3): a side
    that introduces itself second begins at once, and its first check may be the only one that comes in."""

    def __init__(self, bases: Sequence[Base]) -> None:
        self._kept: list[tuple[ice.Path, bytes]] = []
        for base in bases:
            self._listen(base)

    def _listen(self, base: Base) -> None:
        def arrived(data: bytes, source: Endpoint) -> None:
            if len(self._kept) < MOST:
                self._kept.append((("udp", base.socket.local, source), data))

        base.socket.on_datagram = arrived

    def hand_to(self, driver: IceDriver) -> None:
        """What has come so far; from now on the driver listens itself."""
        for path, data in self._kept:
            driver.arrived(path, data)
        self._kept.clear()
