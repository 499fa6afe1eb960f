"""The server's side of error trials: one crafted ICMP error on request, to the asker's own proven address;
and which crafted errors have arrived here."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import IcmpError, Network
from nattools.protocols import errortrial, provenrequest, pwnat, stun
from nattools.protocols.errortrial import TrialAsk, TrialOutcome, TrialResult
from nattools.server.dialbackserver import Cookies
from nattools.server.endpoints import Role, ServerEndpoints
from nattools.server.limits import RateLimit
from nattools.server.socketerrors import SocketErrors

MOST: Final = 1024
"""Errors that are remembered, and answers: of each kind."""


Key = TypeVar("Key")
Value = TypeVar("Value")


class TrialLimits(msgspec.Struct, frozen=True):
    """Per address and for all: a diagnosis asks for two rounds of eight errors."""

    errors: RateLimit = msgspec.field(
        default_factory=lambda: RateLimit(rate=1, burst=40, total_rate=50, total_burst=400)
    )


class ErrorTrialServer:
    """One address family's. `crafts`: may it send crafted packets? `dials`: may something go to this address?

    Driving contract: set `errors`; give each request to `answer`, whose bytes are to be sent back. A request
    that comes again gets the same answer, and nothing is sent for it. Who wants to be told of an error asks
    once before it is sent, since only then the server listens."""

    errors: SocketErrors | None = None

    def __init__(
        self,
        network: Network,
        site: ServerEndpoints,
        cookies: Cookies,
        dials: Callable[[str], bool],
        *,
        crafts: bool,
    ) -> None:
        self.crafts = crafts
        self._network, self._site, self._cookies, self._dials = network, site, cookies, dials
        self._limits = TrialLimits()
        self._arrived: OrderedDict[bytes, str] = OrderedDict()
        self._answered: OrderedDict[tuple[Endpoint, bytes], bytes] = OrderedDict()

    def heard(self, error: IcmpError) -> None:
        """An ICMP error that came to one of the sockets."""
        if error.destination not in pwnat.TARGETS or len(error.quoted) < errortrial.NONCE_SIZE:
            return
        _keep(self._arrived, error.quoted[: errortrial.NONCE_SIZE], error.offender or "")

    def answer(self, request: stun.Message, source: Endpoint, role: Role, now: float) -> bytes | None:
        """The answer to a request over UDP that came to `role`; None: there is none."""
        try:
            ask, cookie = errortrial.decode_request(request)
        except ProtocolError:
            return None
        identity = request.transaction_id
        if not self._cookies.accepts(cookie, source, now):
            made = self._cookies.make(source, now)
            challenge = provenrequest.encode_challenge(errortrial.METHOD, identity, made)
            return challenge if len(challenge) <= len(request.raw) else None
        known = self._answered.get((source, identity))
        if known is not None:
            return known
        answer = errortrial.encode_result(identity, self._result(ask, source, role, now))
        _keep(self._answered, (source, identity), answer)
        return answer

    def _result(self, ask: TrialAsk, source: Endpoint, role: Role, now: float) -> TrialResult:
        if ask.kind == "tell":
            if self.errors is not None:
                self.errors.hear(role, self.heard)
            if ask.nonce not in self._arrived:
                return TrialResult("missing", source)
            return TrialResult("arrived", source, self._arrived[ask.nonce] or None)
        return TrialResult(self._craft(ask, source, role, now), source)

    def _craft(self, ask: TrialAsk, source: Endpoint, role: Role, now: float) -> TrialOutcome:
        allowed = self.crafts and source.family == 4 and self._dials(source.host)
        if not allowed or not self._limits.errors.take(source, now, ask.copies):
            return "denied"
        own = self._site.at(role)
        target = pwnat.TARGETS[0] if ask.kind == "quote-beacon" else own
        asker = Endpoint(source.host, ask.port)
        packet = errortrial.crafted_error(own.host, asker, target, ask.nonce)
        try:
            sent = [self._network.send_packet(packet) is None for _ in range(ask.copies)]
        except CannotRun:
            return "denied"
        return "sent" if any(sent) else "error"


def error_trials(
    network: Network, site: ServerEndpoints, cookies: Cookies, dials: Callable[[str], bool]
) -> ErrorTrialServer | None:
    """For pwnat, which is one of IPv4; None where this system does not tell of ICMP errors."""
    if site.at((0, 0)).family == 6 or network.missing("icmp-errors") is not None:
        return None
    return ErrorTrialServer(network, site, cookies, dials, crafts=network.missing("raw-packets") is None)


def _keep(kept: OrderedDict[Key, Value], key: Key, value: Value) -> None:
    kept[key] = value
    if len(kept) > MOST:
        kept.popitem(last=False)
