"""PCP's client side: one request until its response (RFC 6887 8.1.1, 8.3, 9 and 11.4)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, Literal

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols.backoff import Backoff, random_jitter
from nattools.protocols.pcp.codec import (
    VERSION,
    PeerBody,
    RequestMessage,
    ResponseMessage,
    decode_response,
    encode_request,
    is_natpmp_answer,
)
from nattools.protocols.retransmission import RetransmittedRequest

DAY_S: Final = 86400
_MIN_RENEWAL_PAUSE_S: Final = 4.0


class PcpTransaction(RetransmittedRequest[ResponseMessage]):
    """`RetransmittedRequest` has how to drive it.

    "downgrade": the server knows NAT-PMP alone (RFC 6887 9), so ask it that way. RFC 6887 has a first pause
    of 3 s; 250 ms, as NAT-PMP's, suits a router on the LAN.

    A response counts when it comes from the server and repeats opcode and, for MAP and PEER, nonce, protocol
    and internal port. From another port of the server's address only what knows the nonce is believed.
    """

    def __init__(
        self,
        request: RequestMessage,
        server: Endpoint,
        *,
        initial_s: float = 0.25,
        maximum_s: float = 1024.0,
        patience_s: float = 2.2,
        jitter: Callable[[], float] = random_jitter,
    ) -> None:
        backoff = Backoff(initial_s=initial_s, maximum_s=maximum_s, patience_s=patience_s, jitter=jitter)
        super().__init__(encode_request(request), server, backoff)
        self.request = request

    def _read(self, data: bytes, source: Endpoint) -> ResponseMessage | Literal["downgrade"]:
        if is_natpmp_answer(data):
            self._only_from_server(source)
            return "downgrade"
        response = decode_response(data)
        self._check(response, source)
        return response

    def _check(self, response: ResponseMessage, source: Endpoint) -> None:
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
