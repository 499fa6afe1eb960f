"""A client transaction: one request, its retransmissions, and the response (RFC 8489 6.2 and 6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols.stun.binding import new_transaction_id
from nattools.protocols.stun.codec import decode, verify_fingerprint
from nattools.protocols.stun.constants import FINGERPRINT
from nattools.protocols.stun.message import Message

if TYPE_CHECKING:
    from nattools.protocols.stun.authentication import Authentication

State = Literal["running", "succeeded", "failed", "timed out", "not authentic", "abandoned"]
_Event = Literal["success", "failure", "challenge", "end of patience", "forgery", "abandon"]

_NEXT: Final[dict[_Event, State]] = {
    "success": "succeeded",  # a success response that may be believed
    "failure": "failed",  # an error response, or a success response that cannot be understood
    "challenge": "running",  # 401 or 438: a new request with credentials, as a new transaction
    "end of patience": "timed out",  # Rm * RTO after the last request, or Ti over a reliable transport
    "forgery": "not authentic",  # message integrity is missing or wrong, and no better response came
    "abandon": "abandoned",  # by the caller
}
"""Where an event leads from "running", the only state that is not final."""

TI_S: Final = 39.5


class Transaction:
    """Sends a request until a response comes or patience ends. Pure: the caller has sockets and a clock.

    How to drive it, with one `now` in seconds from any clock that does not run backwards:

    1. Send what `datagrams_to_send(now)` returns: at first, and after each of the calls below.
    2. Pass what arrives to `receive_datagram(data, source, now)`; over a stream, each frame of a `Framer`.
    3. Call `handle_timeout(now)` when `next_timeout()` is reached. Too early is harmless.
    4. Stop as soon as `state` is not "running"; `next_timeout()` is None then.

    Over UDP the request is sent up to `rc` times with pauses of `rto_s`, twice that, and so on; `rm` times
    `rto_s` after the last one the transaction has timed out. With `reliable` it is sent once, and Ti of
    39.5 s is the limit. `now` of the first `datagrams_to_send` is the start.

    A response counts by transaction id and method, by its FINGERPRINT if it has one, and by the source
    address with `check_source`; leave that off where another address may answer (CHANGE-REQUEST). With
    `authentication` it must be signed, and challenges are answered: once for 401, once for 438.
    """

    def __init__(
        self,
        request: bytes,
        destination: Endpoint,
        *,
        rto_s: float = 0.5,
        rc: int = 7,
        rm: float = 16,
        reliable: bool = False,
        check_source: bool = False,
        authentication: Authentication | None = None,
    ) -> None:
        """`request` is a whole one; `authentication` adds what belongs to it. ProtocolError: it is none."""
        self._request = decode(request)
        if self._request.kind != "request":
            raise ProtocolError(f"a transaction begins with a request, not with a {self._request.kind}")
        self.destination = destination
        self.state: State = "running"
        self.response: Message | None = None
        self.source: Endpoint | None = None
        self.rtt_s: float | None = None
        self.sent = 0
        self.problem = ""
        self._schedule = (TI_S,) if reliable else _udp_schedule(rto_s, rc, rm)
        self._reliable = reliable
        self._check_source = check_source
        self._authentication = authentication
        self._challenged: set[int] = set()
        self._forged = False
        self._data = request if authentication is None else self._sign(authentication)
        self._tries = 0
        self._due = True
        self._sent_at = 0.0
        self._deadline: float | None = None

    @property
    def challenged(self) -> bool:
        """Did the server ask for credentials, and get them?"""
        return bool(self._challenged)

    @property
    def done(self) -> bool:
        """Is `state` final?"""
        return self.state != "running"

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Endpoint]]:
        """(datagram, destination) that are due."""
        if not self._due or self.state != "running":
            return []
        self._due = False
        self._deadline = now + self._schedule[self._tries]
        self._sent_at = now
        self._tries += 1
        self.sent += 1
        return [(self._data, self.destination)]

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; None before the first request and after the end."""
        return self._deadline

    def handle_timeout(self, now: float) -> None:
        """Make the next request due, or end the transaction after the last."""
        if self._deadline is None or now < self._deadline or self._due:
            return
        if self._tries < len(self._schedule):
            self._due = True
        else:
            self._finish("forgery" if self._forged else "end of patience")

    def abandon(self, problem: str) -> None:
        """End it for the caller's reasons, as after a hard ICMP error (RFC 8489 6.2.1)."""
        if self.state == "running":
            self.problem = problem
            self._finish("abandon")

    def receive_datagram(self, data: bytes, source: Endpoint, now: float) -> bool:
        """Take what arrived; True if it was a response to this request, believed or not.

        `problem` says why the last one that was not believed was not.
        """
        if self.state != "running":
            return False
        try:
            response = decode(data)
        except ProtocolError as error:
            if data[8:20] != self._request.transaction_id[-12:]:
                return False
            self.problem = str(error)
            return True
        if not self._concerns(response):
            return False
        try:
            self._judge(response, source, now)
        except ProtocolError as error:
            self.problem = str(error)
        return True

    def _concerns(self, response: Message) -> bool:
        request = self._request
        return (
            response.transaction_id == request.transaction_id
            and response.method == request.method
            and response.kind in ("success", "error")
        )

    def _judge(self, response: Message, source: Endpoint, now: float) -> None:
        """Believe a response or raise ProtocolError with the reason to ignore it."""
        if self._check_source and source != self.destination:
            raise ProtocolError(f"the answer came from {source} instead of {self.destination}")
        if response.get(FINGERPRINT) is not None and not verify_fingerprint(response):
            raise ProtocolError("the answer's FINGERPRINT is wrong")
        error = response.error if response.kind == "error" else None
        if response.kind == "error" and error is None:
            raise ProtocolError("an error response without ERROR-CODE")
        if error is not None and error[0] in (401, 438) and self._authentication is not None:
            self._take_challenge(self._authentication, error[0], response, source, now)
        elif self._authentication is not None and not self._authentication.verify(response):
            self._take_forgery(error)
        else:
            self._take_response(response, source, now)

    def _take_challenge(
        self, authentication: Authentication, code: int, response: Message, source: Endpoint, now: float
    ) -> None:
        """Sign a new request, or hand a refusal on: it need not be signed, or it could never be reported."""
        again = "the server repeats its challenge" if code in self._challenged else None
        refusal = authentication.renew(response) or again
        if refusal is not None:
            self._take_response(response, source, now)
            self.problem = refusal
            return
        self._challenged.add(code)
        self._request = msgspec.structs.replace(self._request, transaction_id=new_transaction_id())
        self._data = self._sign(authentication)
        self._tries, self._due = 0, True
        self.state = _NEXT["challenge"]

    def _take_forgery(self, error: tuple[int, str] | None) -> None:
        """Wait for a better response over UDP; over a reliable transport none will come (RFC 8489 9.2.5)."""
        self._forged = True
        what = "the answer" if error is None else f"the answer, error {error[0]} {error[1]}".rstrip()
        self.problem = f"{what}: its message integrity is missing or wrong"
        if self._reliable:
            self._finish("forgery")

    def _take_response(self, response: Message, source: Endpoint, now: float) -> None:
        self.response, self.source, self.problem = response, source, ""
        if self._tries == 1:
            # With several requests out nobody knows which one was answered (Karn's algorithm, 6.2.1).
            self.rtt_s = now - self._sent_at
        unknown = response.unknown_required()
        if unknown:
            self.problem = "the answer has unknown attributes that must be understood: " + ", ".join(
                f"{number:#06x}" for number in unknown
            )
        self._finish("failure" if unknown or response.kind == "error" else "success")

    def _finish(self, event: _Event) -> None:
        self.state = _NEXT[event]
        self._deadline, self._due = None, False

    def _sign(self, authentication: Authentication) -> bytes:
        return authentication.sign(self._request, fingerprint=self._request.get(FINGERPRINT) is not None)


def _udp_schedule(rto_s: float, rc: int, rm: float) -> tuple[float, ...]:
    """The pause after each of the `rc` requests (RFC 8489 6.2.1)."""
    if rc < 1 or rto_s <= 0 or rm <= 0:
        raise ValueError("a transaction needs at least one request and positive times")
    return (*(rto_s * 2**number for number in range(rc - 1)), rto_s * rm)
