"""Has a router lost its mappings? The seconds that it counts since its table was last empty tell. Pure."""

from __future__ import annotations


class EpochClock:
    """One router's count of seconds, compared with the time that passes here.

    It may lag behind by 2 s and by a share of the time, `drift`: 1/8 by RFC 6886 3.6, which UPnP's uptime is
    held to as well, 1/16 by RFC 6887 8.5. PCP's is checked `both_ways`: it may not run ahead by more either,
    nor go back by more than the 1 s by which responses overtake each other.
    """

    def __init__(self, *, drift: float = 1 / 8, both_ways: bool = False) -> None:
        self.server_s: int | None = None
        self._client_s = 0.0
        self._kept = 1 - drift
        self._both_ways = both_ways

    def update(self, epoch_s: int, now: float) -> bool:
        """Take a response's count; False: the router has restarted. `now` is any clock that only goes on."""
        valid = self.server_s is None or self._fits(epoch_s - self.server_s, now - self._client_s)
        self.server_s, self._client_s = epoch_s, now
        return valid

    def _fits(self, server_delta: float, client_delta: float) -> bool:
        if server_delta + 2 < client_delta * self._kept:
            return False
        ahead = client_delta + 2 < server_delta * self._kept
        return not (self._both_ways and (ahead or server_delta < -1))
