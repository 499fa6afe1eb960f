"""What a relay grants towards peers, and for how long: permissions and channels (RFC 8656 9 and 12)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final, Literal

from nattools.model.endpoint import Endpoint
from nattools.protocols.turn import requests
from nattools.protocols.turn.refusal import Asked, TurnRefusal
from nattools.protocols.turn.turnconstants import CHANNEL_LIFETIME_S, CHANNEL_REUSE_S, PERMISSION_LIFETIME_S

GrantState = Literal["wanted", "granted", "refused", "lapsed"]
_Event = Literal["success", "failure", "end", "use"]

_NEXT: Final[dict[tuple[GrantState, _Event], GrantState]] = {
    ("wanted", "success"): "granted",  # RFC 8656 10.3, 12.3
    ("wanted", "failure"): "refused",  # 403, 443, 486, 508; 437 ends the whole allocation
    ("granted", "success"): "granted",  # renewed
    ("granted", "failure"): "granted",  # what was granted stays until its end, and is asked for again
    ("granted", "end"): "lapsed",
    ("refused", "end"): "lapsed",  # after a pause
    ("lapsed", "use"): "wanted",
}
"""What an event makes of a state; what is not here changes nothing."""

RENEW_BEFORE_S: Final = 60.0
_MARGIN_S: Final = 10.0  # the server began to count before its answer was here
_RETRY_S: Final = 15.0
_REFUSED_S: Final = 60.0
MOST_WAITING: Final = 16


class Grant(ABC):
    """One of either kind. `asked`: a request for it is under way. `kept`: it is renewed whether it is used or
    not. Times are the caller's, in seconds."""

    kind: ClassVar[Asked]
    lifetime_s: ClassVar[float]
    rests_s: ClassVar[float] = 0.0
    """So long after its end it is still known."""

    def __init__(self, now: float) -> None:
        self.state: GrantState = "wanted"
        self.asked = False
        self.kept = False
        self.used_at = now
        self.refusal: TurnRefusal | None = None
        self._ends = self._due = now

    @abstractmethod
    def request(self) -> bytes:
        """What asks for it."""

    def use(self, now: float) -> None:
        """Something is sent by it."""
        self.used_at = now
        self._go("use", now)

    def answered(self, refusal: TurnRefusal | None, now: float) -> None:
        """The request is over."""
        self.asked = False
        self.refusal = refusal
        if refusal is None:
            self._ends = now + self.lifetime_s - _MARGIN_S
            self._due = now + self.lifetime_s - RENEW_BEFORE_S
        elif self.state == "wanted":
            self._ends = now + _REFUSED_S
        else:
            self._due = now + _RETRY_S
        self._go("success" if refusal is None else "failure", now)

    def wants(self, now: float) -> bool:
        """Is it to be asked for now?"""
        if self.asked or self.state not in ("wanted", "granted") or now < self._due:
            return False
        return self.state == "wanted" or self.kept or now - self.used_at < self.lifetime_s

    def next_timeout(self) -> float | None:
        """When to look again."""
        if self.state == "lapsed":
            return self._ends + self.rests_s
        if self.state == "wanted":
            return None if self.asked else self._due
        return self._ends if self.state == "refused" or self.asked else min(self._due, self._ends)

    def handle_timeout(self, now: float) -> bool:
        """Let it lapse when its time is over; False: it can be forgotten."""
        if self.state in ("granted", "refused") and now >= self._ends:
            self._go("end", now)
            if self.kept:
                self._go("use", now)
        elif self.state == "granted" and now >= self._due and not self.asked and not self.wants(now):
            self._due = min(now + _RETRY_S, self._ends)  # it is not used: let it end
        return self.state != "lapsed" or now < self._ends + self.rests_s

    def _go(self, event: _Event, now: float) -> None:
        before, self.state = self.state, _NEXT.get((self.state, event), self.state)
        if before == "lapsed" and self.state == "wanted":
            self._due = now


class Permission(Grant):
    """For all ports of one address; what is to be sent there waits for it."""

    kind = "permission"
    lifetime_s = PERMISSION_LIFETIME_S

    def __init__(self, host: str, now: float) -> None:
        super().__init__(now)
        self.host = host
        self.waiting: list[tuple[bytes, Endpoint]] = []

    def request(self) -> bytes:
        """CreatePermission."""
        return requests.create_permission(self.host)


class PeerChannel(Grant):
    """For one peer; its number and its peer stay together for some minutes after its end (RFC 8656 12)."""

    kind = "channel"
    lifetime_s = CHANNEL_LIFETIME_S
    rests_s = CHANNEL_REUSE_S + 2 * _MARGIN_S

    def __init__(self, number: int, peer: Endpoint, now: float) -> None:
        super().__init__(now)
        self.number = number
        self.peer = peer

    def request(self) -> bytes:
        """ChannelBind."""
        return requests.channel_bind(self.number, self.peer)
