"""Has the server lost its mappings? Its epoch tells (RFC 6887 8.5)."""

from __future__ import annotations


class EpochClock:
    """One server's epoch time, compared with the client's own clock at each response. Pure.

    RFC 6887 8.5: a server counts seconds from when its table was last empty. When what it counts does not fit
    the time that has passed here (2 s and 1/16 of tolerance for bad clocks), the table was lost and all
    mappings must be made anew.
    """

    def __init__(self) -> None:
        self.server_s: int | None = None
        self._client_s = 0.0

    def update(self, epoch_s: int, now: float) -> bool:
        """Take a response's epoch; False: the server has restarted. `now` is any clock that only goes on."""
        valid = self.server_s is None or self._fits(self.server_s, epoch_s, now)
        self.server_s, self._client_s = epoch_s, now
        return valid

    def _fits(self, previous_s: int, epoch_s: int, now: float) -> bool:
        # responses may overtake one another: one second back is no restart
        if epoch_s + 1 < previous_s:
            return False
        client_delta = now - self._client_s
        server_delta = epoch_s - previous_s
        return not (
            client_delta + 2 < server_delta - server_delta / 16
            or server_delta + 2 < client_delta - client_delta / 16
        )
