"""What goes through a connection at the moment, in one line."""

from __future__ import annotations

import asyncio
from typing import Final

from nattools.protocols.tunnel import Accepted, Bench, Pipe, TcpTo, UdpTo
from nattools.traversal.tunnel import Tunnel
from nattools.wording.terms import seconds

_CONVERSATIONS: Final = (TcpTo, UdpTo, Accepted, Pipe, Bench)
_RATE_OVER_S: Final = 1.0
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


class TrafficLine:
    """Call it now and then for the line as it is then. The rate is that of the last second or more."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self._clock = asyncio.get_running_loop().time
        self._began = self._since = self._clock()
        self._carried, self._mbps = 0, 0.0

    def __call__(self) -> str:
        """The line."""
        tunnel, now = self._tunnel, self._clock()
        carried = tunnel.sent + tunnel.received
        if now - self._since >= _RATE_OVER_S:
            self._mbps = (carried - self._carried) * 8e-6 / (now - self._since)
            self._since, self._carried = now, carried
        open_now = sum(isinstance(each, _CONVERSATIONS) for each in tunnel.purposes())
        state = "Connected" if tunnel.present.is_set() else "Reconnecting"
        return (
            f"{state}, {seconds(int(now - self._began))}: {open_now} open, {_size(tunnel.received)} in, "
            f"{_size(tunnel.sent)} out, {self._mbps:.1f} Mbit/s; Ctrl-C ends it"
        )


def _size(count: float) -> str:
    for unit in _UNITS:
        if count < 1000 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
