"""One request to a router, sent again until its response: what NAT-PMP and PCP have in common. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Literal, Protocol, TypeVar

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols.backoff import Backoff

State = Literal["running", "succeeded", "failed", "upgrade", "downgrade", "timed out", "abandoned"]


class RouterResponse(Protocol):
    """What every response has."""

    @property
    def result(self) -> int:
        """How it went; 0 is success."""

    @property
    def epoch_s(self) -> int:
        """The seconds since the router's table was last empty."""


R = TypeVar("R", bound=RouterResponse)


class RetransmittedRequest(ABC, Generic[R]):
    """Sends a request until a response comes or patience ends. The caller has the socket and the clock.

    How to drive it, with one `now` in seconds from any clock that does not run backwards:

    1. Send what `datagrams_to_send(now)` returns to `server`: at first, and after each of the calls below.
    2. Pass what arrives to `receive_datagram(data, source, now)`.
    3. Call `handle_timeout(now)` when `next_timeout()` is reached. Too early is harmless.
    4. Stop as soon as `state` is not "running"; `next_timeout()` is None then.

    "succeeded" and "failed" have a `response`; after "upgrade" and "downgrade" ask by the other protocol.
    `ignored` says why the last response that did not count did not. A protocol fills in `_read`.
    """

    def __init__(self, data: bytes, server: Endpoint, backoff: Backoff) -> None:
        self.server = server
        self.state: State = "running"
        self.response: R | None = None
        self.source: Endpoint | None = None
        self.rtt_s: float | None = None
        self.ignored = ""
        self.problem = ""
        self._data = data
        self._backoff = backoff

    @property
    def sent(self) -> int:
        """How many times the request was sent."""
        return len(self._backoff.sent_at)

    @property
    def done(self) -> bool:
        """Is `state` final?"""
        return self.state != "running"

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Endpoint]]:
        """(datagram, destination) that are due."""
        if self.state != "running" or not self._backoff.due(now):
            return []
        return [(self._data, self.server)]

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; None before the first request and after the end."""
        return self._backoff.next_timeout() if self.state == "running" else None

    def handle_timeout(self, now: float) -> None:
        """Give up if patience has ended; `datagrams_to_send` has what else is due."""
        if self.state == "running" and self._backoff.expired(now):
            self.state = "timed out"

    def shorten(self, until: float) -> None:
        """Give up at `until` at the latest."""
        self._backoff.shorten(until)

    def abandon(self, problem: str) -> None:
        """End it for the caller's reasons, as after an ICMP error; `problem` keeps the first."""
        if self.state == "running":
            self.state, self.problem = "abandoned", problem

    def receive_datagram(self, data: bytes, source: Endpoint, now: float) -> bool:
        """Take what arrived; True if it ended the transaction."""
        if self.state != "running" or not self.sent:
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
            self.rtt_s = now - self._backoff.sent_at[0]
        return True

    @abstractmethod
    def _read(self, data: bytes, source: Endpoint) -> R | Literal["upgrade", "downgrade"]:
        """The response, or that the server speaks the other protocol alone. ProtocolError: why it does not
        count."""
