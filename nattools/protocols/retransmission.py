"""What NAT-PMP and PCP have in common: a request sent again until its response, and an epoch. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, Literal, Protocol, TypeVar

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint

State = Literal["running", "succeeded", "failed", "upgrade", "downgrade", "timed out", "abandoned"]


class RouterResponse(Protocol):
    """What every response has."""

    @property
    def result(self) -> int:
        """How it went; 0 is success."""

    @property
    def epoch_s(self) -> int:
        """The seconds since the router's table was last empty."""

    @property
    def lifetime_s(self) -> int | None:
        """What is left of a mapping; of the end of one 0."""


R = TypeVar("R", bound=RouterResponse)


class RetransmittedRequest(ABC, Generic[R]):
    """Sends a request until a response comes or patience ends. The caller has the socket and the clock.

    Pauses are those of RFC 6887 8.1.1: RT = (1 + RAND) * IRT, then (1 + RAND) * min(2 * RT, MRT), with
    `initial_s`, `maximum_s` and `jitter` for IRT, MRT and RAND. RFC 6886 3.1 doubles likewise, without RAND
    and MRT. `patience_s` bounds the whole, counted from the first request; what a busy machine is late with a
    repetition is added to it, so that the answer to that has its time too.

    How to drive it, with one `now` in seconds from any clock that does not run backwards:

    1. Send what `datagrams_to_send(now)` returns to `server`: at first, and after each of the calls below.
    2. Pass what arrives to `receive_datagram(data, source, now)`.
    3. Call `handle_timeout(now)` when `next_timeout()` is reached. Too early is harmless.
    4. Stop as soon as `state` is not "running"; `next_timeout()` is None then.

    "succeeded" and "failed" have a `response`; after "upgrade" and "downgrade" ask by the other protocol.
    `ignored` says why the last response that did not count did not. A protocol fills in `_read`.
    """

    def __init__(
        self,
        data: bytes,
        server: Endpoint,
        *,
        initial_s: float = 0.25,
        maximum_s: float = 1024.0,
        patience_s: float = 2.2,
        jitter: Callable[[], float],
    ) -> None:
        self.server = server
        self.state: State = "running"
        self.response: R | None = None
        self.source: Endpoint | None = None
        self.rtt_s: float | None = None
        self.sent = 0
        self.ignored = ""
        self.problem = ""
        self._data = data
        self._pause_s = initial_s
        self._maximum_s = maximum_s
        self._patience_s = patience_s
        self._jitter = jitter
        self._began = 0.0
        self._next = 0.0

    @property
    def done(self) -> bool:
        """Is `state` final?"""
        return self.state != "running"

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Endpoint]]:
        """(datagram, destination) that are due."""
        if self.done or (self.sent and now < self._next) or self._is_over(now):
            return []
        if self.sent:
            self._patience_s += now - self._next
            self._pause_s = min(2 * self._pause_s, self._maximum_s)
        else:
            self._began = now
        self.sent += 1
        self._pause_s *= 1 + self._jitter()
        self._next = now + self._pause_s
        return [(self._data, self.server)]

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; None before the first request and after the end."""
        return None if self.done or not self.sent else min(self._next, self._end)

    def handle_timeout(self, now: float) -> None:
        """Give up if patience has ended; `datagrams_to_send` has what else is due."""
        if not self.done and self._is_over(now):
            self.state = "timed out"

    def shorten(self, until: float) -> None:
        """Give up at `until` at the latest."""
        if self.sent:
            self._patience_s = min(self._patience_s, max(0.0, until - self._began))

    def abandon(self, problem: str) -> None:
        """End it for the caller's reasons, as after an ICMP error; `problem` keeps the first."""
        if not self.done:
            self.state, self.problem = "abandoned", problem

    def receive_datagram(self, data: bytes, source: Endpoint, now: float) -> bool:
        """Take what arrived; True if it ended the transaction."""
        if self.done or not self.sent:
            return False
        if source.host != self.server.host:
            self.ignored = f"an answer from {source} instead of {self.server}"
            return False
        try:
            read = self._read(data, source)
        except ProtocolError as error:
            self.ignored = str(error)
            return False
        if isinstance(read, str):
            self.state = read
        else:
            self.response = read
            self.state = "failed" if read.result else "succeeded"
        self.source = source
        if self.sent == 1:
            # with several requests out nobody knows which one was answered
            self.rtt_s = now - self._began
        return True

    @abstractmethod
    def _read(self, data: bytes, source: Endpoint) -> R | Literal["upgrade", "downgrade"]:
        """The response, or that the server speaks the other protocol alone. ProtocolError: why it does not
        count."""

    @property
    def _end(self) -> float:
        return self._began + self._patience_s

    def _is_over(self, now: float) -> bool:
        return bool(self.sent) and now >= self._end and self._next >= self._end


_TELLING_S = 2.5
"""Over a shorter time every clock fits."""
_MOST_RESTARTS = 2


class EpochClock:
    """One router's count of seconds, compared with the time that passes here: has it lost its mappings?

    It may lag behind by 2 s and by a share of the time, `drift`: 1/8 by RFC 6886 3.6, which UPnP's uptime is
    held to as well, 1/16 by RFC 6887 8.5. PCP's is checked `both_ways`: it may not run ahead by more either,
    nor go back by more than the 1 s by which responses overtake each other.

    Unlike the RFCs' it believes no clock that is none: one that stands still tells nothing, and after two
    restarts on end without a time in between that fits, a third one is not believed.
    """

    def __init__(self, *, drift: float = 1 / 8, both_ways: bool = False) -> None:
        self._server_s: int | None = None
        self._client_s = 0.0
        self._kept = 1 - drift
        self._both_ways = both_ways
        self._restarts = 0
        self.tells = False
        """Has it gone on as time does? Only then it would show a restart."""

    def update(self, epoch_s: int, now: float) -> bool:
        """Take a response's count; False: the router has restarted. `now` is any clock that only goes on."""
        if self._server_s is None:
            self._server_s, self._client_s = epoch_s, now
            return True
        server_delta, client_delta = epoch_s - self._server_s, now - self._client_s
        self._server_s, self._client_s = epoch_s, now
        if not server_delta or self._fits(server_delta, client_delta):
            if client_delta >= _TELLING_S:
                self._restarts = 0
                self.tells = server_delta > 0
            return True
        self.tells = False
        self._restarts += 1
        return self._restarts > _MOST_RESTARTS

    def _fits(self, server_delta: float, client_delta: float) -> bool:
        if server_delta + 2 < client_delta * self._kept:
            return False
        ahead = client_delta + 2 < server_delta * self._kept
        return not (self._both_ways and (ahead or server_delta < -1))
