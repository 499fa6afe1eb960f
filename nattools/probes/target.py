"""A server that answered: what its answer says, and the server as a target of further probes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.message import Attribute

_OURS = frozenset({c.XOR_MAPPED_ADDRESS, c.MAPPED_ADDRESS})


class StunAnswer(msgspec.Struct, frozen=True):
    """OTHER-ADDRESS (RFC 5780 7.4; or CHANGED-ADDRESS of RFC 3489), RESPONSE-ORIGIN (RFC 5780 7.3; or
    SOURCE-ADDRESS), ERROR-CODE's number, and NATTOOLS-HELLO."""

    other_address: Endpoint | None = None
    response_origin: Endpoint | None = None
    error_code: int | None = None
    hello: bytes | None = None
    other_address_text: str | None = None
    response_origin_text: str | None = None


NOTHING = StunAnswer()


def read_answer(answer: stun.Message | None) -> StunAnswer:
    """All of it. The same server says the same each time, so it is read once."""
    if answer is None:
        return NOTHING
    return _claims(answer.kind, tuple([each for each in answer.attributes if each[0] not in _OURS]))


@lru_cache(maxsize=256)
def _claims(kind: stun.Kind, attributes: tuple[Attribute, ...]) -> StunAnswer:
    answer = stun.Message(c.BINDING, kind, bytes(12), attributes)
    other, origin = readable(lambda: answer.other_address), readable(lambda: answer.response_origin)
    return StunAnswer(other, origin, _error_code(answer), answer.hello, text_of(other), text_of(origin))


def readable(address: Callable[[], Endpoint | None]) -> Endpoint | None:
    """An address that a message holds; None where it holds none, or one that cannot be read."""
    try:
        return address()
    except ProtocolError:
        return None


def _error_code(answer: stun.Message) -> int | None:
    try:
        return answer.error[0] if answer.error is not None else None
    except ProtocolError:
        return None


def text_of(endpoint: Endpoint | None) -> str | None:
    """An endpoint as observations hold it."""
    return None if endpoint is None else str(endpoint)


def credible_other(answer: stun.Message | None, asked: Endpoint) -> Endpoint | None:
    """OTHER-ADDRESS, unless it is the server's own address or of another family: some servers advertise
    such, and a careless client then takes every NAT for the most permissive."""
    other = read_answer(answer).other_address
    if other is None or other.family != asked.family or other == asked:
        return None
    if other.port == 0 or other.host in ("0.0.0.0", "::"):
        return None
    return other


def services(answer: stun.Message | None) -> int | None:
    """The service flags of a `nattools serve`; None for every other server."""
    value = answer.get(stun.NATTOOLS_HELLO) if answer is not None else None
    return value[1] if value is not None and len(value) >= 2 and value[0] >= 1 else None


def second_port(answer: stun.Message | None, asked: Endpoint) -> Endpoint | None:
    """The other port of a nattools server that has a single address, as its NATTOOLS-HELLO tells."""
    value = answer.get(stun.NATTOOLS_HELLO) if answer is not None else None
    port = int.from_bytes(value[2:4], "big") if value is not None and len(value) >= 4 else 0
    if services(answer) is None or port in (0, asked.port):
        return None
    return Endpoint(asked.host, port)


class Lane(msgspec.Struct, frozen=True):
    """One transport over one address family; lanes run side by side."""

    transport: Transport
    family: Family

    @property
    def key(self) -> tuple[Transport, Family]:
        """As tables are sorted by."""
        return self.transport, self.family

    @property
    def name(self) -> str:
        """As the report's `nat` table calls it: "udp4"."""
        return f"{self.transport}{self.family}"


class Target(msgspec.Struct):
    """A server address that answered. `other` is its OTHER-ADDRESS if that truly is another address or port;
    `rtt_s` the first round trip; `local_host` the own address that the question left from. `services`: what a
    nattools server says that it does (bit 0: dial-back over UDP, bit 1: over TCP, bit 2: mailbox, bit 3:
    dial-back over UDP to lists of ports)."""

    uri: str
    endpoint: Endpoint
    transport: Transport
    mapped: Endpoint | None
    rtt_s: float
    other: Endpoint | None = None
    nattools: bool = False
    dial_back_tcp: bool = False
    services: int = 0
    local_host: str | None = None

    @property
    def family(self) -> Family:
        """Of the server's address."""
        return self.endpoint.family

    def dials_back(self, transport: Transport) -> bool:
        """Does it send or connect back on request?"""
        return bool(self.services & (1 if transport == "udp" else 2))

    @property
    def meets_ports(self) -> bool:
        """Does it write to many ports from its second address, on request?"""
        return self.two_addresses and bool(self.services & 8)

    @property
    def two_addresses(self) -> bool:
        """Can it answer from another IP address (RFC 5780 6)?"""
        return self.other is not None and self.other.host != self.endpoint.host

    def corners(self) -> list[Endpoint]:
        """Its endpoints: both addresses with both ports where it has them (RFC 5780 4.3's order)."""
        if self.other is None:
            return [self.endpoint]
        both = [
            self.endpoint,
            Endpoint(self.other.host, self.endpoint.port),
            self.other,
            Endpoint(self.endpoint.host, self.other.port),
        ]
        return list(dict.fromkeys(both))
