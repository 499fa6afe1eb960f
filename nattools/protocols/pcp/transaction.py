"""PCP's client side: one request until its response (RFC 6887 8.1.1, 8.3, 9 and 11.4)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, Literal

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols.backoff import Backoff
from nattools.protocols.pcp.message import (
    VERSION,
    PeerBody,
    Request,
    Response,
    decode_response,
    encode_request,
    is_natpmp_answer,
)

State = Literal["running", "succeeded", "failed", "downgrade", "timed out", "abandoned"]

DAY_S: Final = 86400
_MIN_RENEWAL_PAUSE_S: Final = 4.0


class Transaction:
    """Sends a request until a response comes or patience ends. Pure: the caller has the socket and the clock.

    How to drive it, with one `now` in seconds from any clock that does not run backwards:

    1. Send what `datagrams_to_send(now)` returns to `server`: at first, and after each of the calls below.
    2. Pass what arrives to `receive_datagram(data, source, now)`.
    3. Call `handle_timeout(now)` when `next_timeout()` is reached. Too early is harmless.
    4. Stop as soon as `state` is not "running"; `next_timeout()` is None then.

    "succeeded" and "failed" have a `response`; "downgrade": the server knows NAT-PMP alone (RFC 6887 9), so
    ask it that way. RFC 6887 has a first pause of 3 s; 250 ms, as NAT-PMP's, suits a router on the LAN.

    A response counts when it comes from the server and repeats opcode and, for MAP and PEER, nonce, protocol
    and internal port. From another port of the server's address only what knows the nonce is believed.
    `ignored` says why the last response that did not count did not.
    """

    def __init__(
        self,
        request: Request,
        server: Endpoint,
        *,
        initial_s: float = 0.25,
        maximum_s: float = 1024.0,
        patience_s: float = 2.2,
        jitter: Callable[[], float] | None = None,
    ) -> None:
        options = {} if jitter is None else {"jitter": jitter}
        self.request = request
        self.server = server
        self.state: State = "running"
        self.response: Response | None = None
        self.source: Endpoint | None = None
        self.rtt_s: float | None = None
        self.ignored = ""
        self._data = encode_request(request)
        self._backoff = Backoff(initial_s=initial_s, maximum_s=maximum_s, patience_s=patience_s, **options)

    @property
    def sent(self) -> int:
        """How many times the request was sent."""
        return len(self._backoff.sent_at)

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

    def abandon(self) -> None:
        """End it for the caller's reasons, as after an ICMP error."""
        if self.state == "running":
            self.state = "abandoned"

    def receive_datagram(self, data: bytes, source: Endpoint, now: float) -> bool:
        """Take what arrived; True if it ended the transaction."""
        if self.state != "running" or not self.sent:
            return False
        if source.host != self.server.host:
            self.ignored = f"an answer from {source} instead of {self.server}"
            return False
        try:
            self._take(data, source)
        except ProtocolError as error:
            self.ignored = str(error)
            return False
        self.source = source
        if self.sent == 1:
            # with several requests out nobody knows which one was answered
            self.rtt_s = now - self._backoff.sent_at[0]
        return True

    def _take(self, data: bytes, source: Endpoint) -> None:
        if is_natpmp_answer(data):
            self._only_from_server(source)
            self.state = "downgrade"
            return
        response = decode_response(data)
        self._check(response, source)
        self.response = response
        self.state = "failed" if response.result else "succeeded"

    def _check(self, response: Response, source: Endpoint) -> None:
        """Raise ProtocolError with the reason to ignore a response."""
        if response.version != VERSION:
            self._only_from_server(source)
            return
        if response.opcode != self.request.opcode:
            raise ProtocolError("an answer to another opcode")
        asked, told = self.request.body, response.body
        if asked is None or (told is None and response.result):
            self._only_from_server(source)
        elif told is None or told.nonce != asked.nonce:
            raise ProtocolError("an answer with a wrong nonce")
        elif (told.protocol, told.internal_port) != (asked.protocol, asked.internal_port):
            raise ProtocolError("an answer about another port")
        elif isinstance(asked, PeerBody) and isinstance(told, PeerBody) and told.remote != asked.remote:
            raise ProtocolError("an answer about another peer")

    def _only_from_server(self, source: Endpoint) -> None:
        if source != self.server:
            raise ProtocolError(f"an answer without a nonce from {source} instead of {self.server}")


def believable_lifetime_s(lifetime_s: int) -> int:
    """What to make of a lifetime that a server assigns: at most 24 hours (RFC 6887 7.2 and 15)."""
    return min(lifetime_s, DAY_S)


def renewal_delay_s(
    lifetime_s: float, attempt: int = 0, draw: Callable[[], float] = random.random
) -> float | None:
    """Seconds from the assignment to renewal number `attempt`, counted from 0 (RFC 6887 11.2.1): between 1/2
    and 5/8 of the lifetime, then 3/4 to 3/4 + 1/16, 7/8 to 7/8 + 1/32 and so on. `draw` gives 0..1.

    None: renewals would come less than 4 s after one another; let it expire and begin anew.
    """
    step = 0.5 ** (attempt + 1)
    if attempt and lifetime_s * step < _MIN_RENEWAL_PAUSE_S:
        return None
    return lifetime_s * (1 - step + draw() * step / 4)
