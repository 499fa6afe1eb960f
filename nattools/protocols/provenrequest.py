"""A request over STUN's framing that a server follows only once its source address is proven: first it
answers with a cookie (error 438), which the client sends back. Over TCP the handshake is the proof.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from typing import Final, Generic, TypeVar

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun import constants as c

COOKIE_SIZE: Final = 16
NO_COOKIE: Final = bytes(COOKIE_SIZE)
_MAX_CHALLENGES: Final = 3
_STALE_NONCE: Final = struct.pack("!HBB", 0, 4, 38)
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


def encode_challenge(method: int, transaction_id: bytes, cookie: bytes) -> bytes:
    """The answer to an unproven source: error 438 with a cookie of 16 bytes; 48 bytes in all."""
    attributes = ((c.ERROR_CODE, _STALE_NONCE), (c.NONCE, cookie))
    return stun.encode(stun.Message(method, "error", transaction_id, attributes))


def decode_challenge(method: int, message: stun.Message) -> bytes | None:
    """The cookie; None if the message is no challenge. ProtocolError if its cookie or error is malformed."""
    if message.method != method or message.kind != "error":
        return None
    error = message.error
    if error is None or error[0] != 438:
        return None
    cookie = message.get(c.NONCE)
    if cookie is None or len(cookie) != COOKIE_SIZE:
        raise ProtocolError("a challenge without a cookie of 16 bytes")
    return cookie


class ProvenRequest(ABC, Generic[Asked, Answer]):
    """The client's side, from what is `ask`ed up to the server's answer; pure. `method`: the STUN method.

    Driving contract: send what `datagrams_to_send(now)` returns, after the constructor and after every other
    call; call `handle_timeout(now)` when `next_timeout()` is reached; hand in what arrives with
    `receive_datagram`. Done when there is a `result` or a `failure`: "no answer", "rejected" (the server
    knows no such method), or what it was abandoned for; `next_timeout()` is None then. Over TCP (`reliable`)
    a datagram is one framed message and nothing is sent twice. `cookie`: what another request to this server
    was given.

    Retransmission as in RFC 8489 6.2.1: after `rto_s` seconds and doubling. `patience_s` bounds the whole.
    """

    method: int

    def __init__(
        self,
        ask: Asked,
        server: Endpoint,
        now: float,
        *,
        rto_s: float = 0.5,
        patience_s: float = 8.0,
        reliable: bool = False,
        cookie: bytes = NO_COOKIE,
    ) -> None:
        self.ask = ask
        self.server = server
        self.result: Answer | None = None
        self.failure: str | None = None
        self._reliable = reliable
        self._rto_s = rto_s
        self._give_up_at = now + patience_s
        self._challenges = 0
        self._begin(cookie, now)

    @abstractmethod
    def encode(self, transaction_id: bytes, cookie: bytes) -> bytes:
        """The request."""

    @abstractmethod
    def decode(self, message: stun.Message) -> Answer:
        """What the server answers to a proven source. ProtocolError: it is no answer."""

    def _begin(self, cookie: bytes, now: float) -> None:
        self.cookie = cookie
        self._transaction_id = stun.new_transaction_id()
        self._request = self.encode(self._transaction_id, cookie)
        self._wait_s = self._rto_s
        self._send_at: float | None = now

    @property
    def done(self) -> bool:
        """There is a result, or there will be none."""
        return self.result is not None or self.failure is not None

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Endpoint]]:
        """(datagram, destination) that are due."""
        if self.done or self._send_at is None or now < self._send_at:
            return []
        self._send_at = None if self._reliable else now + self._wait_s
        self._wait_s *= 2
        return [(self._request, self.server)]

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`, on the clock of `now`; None when done."""
        if self.done:
            return None
        return self._give_up_at if self._send_at is None else min(self._send_at, self._give_up_at)

    def handle_timeout(self, now: float) -> None:
        """The time has come; `datagrams_to_send` has what is due."""
        if not self.done and now >= self._give_up_at:
            self.failure = "no answer"

    def abandon(self, problem: str) -> None:
        """End it for the caller's reasons, as after an ICMP error."""
        if not self.done:
            self.failure = problem

    def receive_datagram(self, data: bytes, source: Endpoint, now: float) -> bool:
        """True if this was the answer that was waited for; everything else is left to others."""
        if self.done or source != self.server:
            return False
        try:
            message = stun.decode(data)
            return message.transaction_id == self._transaction_id and self._take(message, now)
        except ProtocolError:
            return False

    def _take(self, message: stun.Message, now: float) -> bool:
        cookie = decode_challenge(self.method, message)
        if cookie is not None and self._challenges < _MAX_CHALLENGES:
            self._challenges += 1
            self._begin(cookie, now)
        elif message.kind == "error" and message.method == self.method:
            self.failure = "rejected"
        else:
            self.result = self.decode(message)
        return True
