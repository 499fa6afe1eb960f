"""The server's side of dial-back: who may have it, from where, and how often. Pure.

The target's address is always the one that the request came from, and over UDP nothing is sent there before
a cookie has come back from it. Cookies are stateless: an HMAC of the source's address and the time.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import dialback, stun
from nattools.protocols.dialback import Ask, Outcome, Reason, Result
from nattools.protocols.provenrequest import COOKIE_SIZE
from nattools.server.endpoints import Role, ServerEndpoints
from nattools.server.limits import Occupancy, RateLimit

_REMEMBERED: Final = 1024
_REMEMBERED_FOR_S: Final = 40.0  # longer than a client repeats a request (RFC 8489 6.2.1: 39.5 s)
_WINDOW_S: Final = 60.0


class Cookies:
    """Proof that a source address can be reached: valid for one to two windows."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, source: Endpoint, now: float) -> bytes:
        """The cookie for a source's address."""
        return self._at(source, int(now // _WINDOW_S))

    def accepts(self, cookie: bytes, source: Endpoint, now: float) -> bool:
        """Was it made for this address, in this time window or the one before?"""
        window = int(now // _WINDOW_S)
        return any(hmac.compare_digest(cookie, self._at(source, each)) for each in (window, window - 1))

    def _at(self, source: Endpoint, window: int) -> bytes:
        return hmac.digest(self._secret, f"{source.host} {window}".encode(), "sha256")[:COOKIE_SIZE]


class DialBackLimits(msgspec.Struct, frozen=True):
    """Per address and for all: datagrams and attempts to connect, and orders going on at a time. Lists of
    ports have limits of their own: one whole trial of birthday probing passes at once, and the next one after
    a minute and a half."""

    datagrams: RateLimit = msgspec.field(
        default_factory=lambda: RateLimit(rate=20, burst=400, total_rate=2000, total_burst=8000)
    )
    attempts: RateLimit = msgspec.field(
        default_factory=lambda: RateLimit(rate=20, burst=400, total_rate=500, total_burst=4000)
    )
    listed: RateLimit = msgspec.field(
        default_factory=lambda: RateLimit(rate=20, burst=2560, total_rate=2000, total_burst=20480)
    )
    sending: Occupancy = msgspec.field(default_factory=lambda: Occupancy(per_source=8, total=256))
    connecting: Occupancy = msgspec.field(default_factory=lambda: Occupancy(per_source=16, total=128))
    listing: Occupancy = msgspec.field(default_factory=lambda: Occupancy(per_source=4, total=64))

    def rate(self, ask: Ask) -> RateLimit:
        """The rate limit that this request counts against."""
        if ask.ports:
            return self.listed
        return self.attempts if ask.transport == "tcp" else self.datagrams

    def places(self, ask: Ask) -> Occupancy:
        """The limit on concurrent work that this request counts against."""
        if ask.ports:
            return self.listing
        return self.connecting if ask.transport == "tcp" else self.sending


class Order(msgspec.Struct, frozen=True):
    """A dial-back to carry out: from `role` to `target`, with these datagrams: one each to send, or to
    write on a connection of its own. With a list of ports in `ask`, each goes to another of these."""

    ask: Ask
    source: Endpoint
    target: Endpoint
    role: Role
    transaction_id: bytes
    datagrams: tuple[bytes, ...]

    def target_of(self, number: int) -> Endpoint:
        """Where the datagram with this number goes."""
        return Endpoint(self.target.host, self.ask.ports[number]) if self.ask.ports else self.target


class DialBackServer:
    """Decides on dial-back requests in one address family. `dials`: may one go to this address at all?

    Driving contract: give each request to `receive`. Bytes are the answer to send back now. An `Order` is to
    be carried out and then handed to `finish`, whose bytes are the answer. None: there is no answer.
    A request that comes again while its order is going on gets none, and after that the same answer.
    """

    def __init__(
        self,
        site: ServerEndpoints,
        cookies: Cookies,
        limits: DialBackLimits,
        dials: Callable[[str], bool] = lambda address: True,
    ) -> None:
        self._site = site
        self._dials = dials
        self._cookies = cookies
        self._limits = limits
        self._answers: dict[tuple[Endpoint, bytes], tuple[float, bytes | None]] = {}

    def receive(
        self, request: stun.Message, source: Endpoint, role: Role, now: float, *, proven: bool = False
    ) -> bytes | Order | None:
        """Decide on a request that came to `role`; `proven`: over TCP, whose handshake proves the source."""
        try:
            ask, cookie = dialback.decode_request(request)
        except ProtocolError:
            return None
        if not proven and not self._cookies.accepts(cookie, source, now):
            challenge = dialback.encode_challenge(request.transaction_id, self._cookies.make(source, now))
            return challenge if len(challenge) <= len(request.raw) else None
        known = self._answers.get((source, request.transaction_id))
        if known is not None:
            return known[1]
        return self._decide(ask, source, role, request.transaction_id, now)

    def finish(
        self, order: Order, outcome: Outcome, origin: Endpoint, now: float, offender: str | None = None
    ) -> bytes:
        """The answer to the request behind an order, which is over now."""
        self._limits.places(order.ask).leave(order.source)
        form = order.ask.form if outcome == "sent" else "whole"
        answer = dialback.encode_result(
            order.transaction_id, Result(outcome, "", order.source, origin, offender, form)
        )
        self._answers[order.source, order.transaction_id] = (now, answer)
        return answer

    def _decide(
        self, ask: Ask, source: Endpoint, role: Role, transaction_id: bytes, now: float
    ) -> bytes | Order:
        if not self._dials(source.host):
            return _denied(transaction_id, source, "the server dials no such address")
        origin = self._origin(ask, role)
        if origin is None:
            return _denied(transaction_id, source, "the server has no such address or port")
        copies = _copies(ask)
        places = self._limits.places(ask)
        if not places.enter(source):
            return _denied(transaction_id, source, "the server is busy")
        if not self._limits.rate(ask).take(source, now, max(copies, ask.packets)):
            places.leave(source)
            return _denied(transaction_id, source, "too many requests")
        self._remember(source, transaction_id, now)
        size = dialback.FRAGMENTED_SIZE if ask.form == "fragments" else 0
        datagrams = tuple(
            dialback.encode_indication(ask.nonce, copy, padded_to=size) for copy in range(copies)
        )
        return Order(ask, source, Endpoint(source.host, ask.port), origin, transaction_id, datagrams)

    def _origin(self, ask: Ask, role: Role) -> Role | None:
        """Over TCP every address has other ports: the system chooses one."""
        change_port = ask.change_port and ask.transport == "udp"
        return self._site.changed(role, ask.change_address, change_port)

    def _remember(self, source: Endpoint, transaction_id: bytes, now: float) -> None:
        """Note the request as going on, and forget old ones: they stand in the order in which they came."""
        while self._answers:
            first = next(iter(self._answers))
            if len(self._answers) < _REMEMBERED and self._answers[first][0] > now - _REMEMBERED_FOR_S:
                break
            del self._answers[first]
        self._answers[source, transaction_id] = (now, None)


def _copies(ask: Ask) -> int:
    """From one port of its own a host can only make one connection at a time to another."""
    return ask.datagrams if ask.transport != "tcp" or ask.change_port else 1


def _denied(transaction_id: bytes, source: Endpoint, reason: Reason) -> bytes:
    return dialback.encode_result(transaction_id, Result("denied", reason, seen=source))
