"""A server that answered: what its answer says, and the server as a target of further probes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.observation import Binding, Outcome, Purpose
from nattools.net.mappedaddress import as_ipv4, why_impossible
from nattools.protocols import stun
from nattools.protocols.nat64 import WELL_KNOWN, embed, embedded, prefix_of
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.message import Attribute

_OURS = frozenset({c.XOR_MAPPED_ADDRESS, c.MAPPED_ADDRESS})
_MASKED = frozenset({c.XOR_MAPPED_ADDRESS, c.OLD_XOR_MAPPED_ADDRESS})


class StunAnswer(msgspec.Struct, frozen=True):
    """OTHER-ADDRESS (RFC 5780 7.4; or CHANGED-ADDRESS of RFC 3489), RESPONSE-ORIGIN (RFC 5780 7.3; or
    SOURCE-ADDRESS), ERROR-CODE in words and its number, and NATTOOLS-HELLO."""

    other_address: Endpoint | None = None
    response_origin: Endpoint | None = None
    error: str = ""
    error_code: int | None = None
    hello: bytes | None = None
    other_address_text: str | None = None
    response_origin_text: str | None = None


_SAYS_NOTHING = StunAnswer()


def read_answer(answer: stun.Message | None) -> StunAnswer:
    """All of it. The same server says the same each time, so it is read once."""
    if answer is None:
        return _SAYS_NOTHING
    return _claims(answer.kind, tuple([each for each in answer.attributes if each[0] not in _OURS]))


@lru_cache(maxsize=256)
def _claims(kind: stun.Kind, attributes: tuple[Attribute, ...]) -> StunAnswer:
    answer = stun.Message(c.BINDING, kind, bytes(12), attributes)
    other, origin = readable(lambda: answer.other_address), readable(lambda: answer.response_origin)
    code, words = _error(answer)
    return StunAnswer(other, origin, words, code, answer.hello, text_of(other), text_of(origin))


def readable(address: Callable[[], Endpoint | None]) -> Endpoint | None:
    """An address that a message holds; None where it holds none, or one that cannot be read."""
    try:
        return address()
    except ProtocolError:
        return None


def _error(answer: stun.Message) -> tuple[int | None, str]:
    """ERROR-CODE's number; and in words, with the server that it says to ask instead (RFC 8489 10)."""
    try:
        found = answer.error
    except ProtocolError as error:
        return None, str(error)
    if found is None:
        return None, ""
    code, phrase = found
    instead = readable(lambda: answer.alternate_server)
    return code, f"{code} {phrase}".strip() + (f", ask {instead}" if instead is not None else "")


def _unmasked(answer: stun.Message | None, mapped: Endpoint | None) -> Endpoint | None:
    """MAPPED-ADDRESS where it is all that was said, or differs from the XOR-MAPPED-ADDRESS `mapped`."""
    if answer is None:
        return None
    plain, alone = None, True
    for number, value in answer.attributes:
        if number == c.MAPPED_ADDRESS and plain is None:
            plain = value
        elif number in _MASKED:
            alone = False
    if plain is None:
        return None
    try:
        said: Endpoint | None = stun.unpack_address(plain)
    except ProtocolError:
        said = None
    return said if alone or said != mapped else None


@lru_cache(maxsize=512)
def text_of(endpoint: Endpoint | None) -> str | None:
    """An endpoint as observations hold it."""
    return None if endpoint is None else str(endpoint)


class BindingQuestion(msgspec.Struct, eq=False):
    """One Binding question, over UDP or TCP, and what came of it. `mapped` is what the answer said of us,
    None without answer or if it did not say."""

    asked: Endpoint
    purpose: Purpose
    answer: stun.Message | None = None
    mapped: Endpoint | None = None
    rtt_s: float | None = None
    failure: Outcome | None = None
    offender: str | None = None
    detail: str = ""

    def outside(self, local: Endpoint | None) -> Endpoint | None:
        """Our outside address, for a question from `local`: None if nothing that can be true was said."""
        if self.mapped is None or self.outcome != "answered":
            return None
        seen = as_ipv4(self.mapped)
        unmasked = _unmasked(self.answer, self.mapped) == self.mapped
        return None if why_impossible(seen, self.asked, local, unmasked=unmasked) else seen

    @property
    def outcome(self) -> Outcome:
        """In one word."""
        if self.answer is not None:
            return "error" if self.answer.kind == "error" else "answered"
        return self.failure or "timeout"

    def observed(self, transport: Transport, local: Endpoint | None, waited_s: float, **more: Any) -> Binding:
        """As the record has it; `more`: what only one transport knows."""
        said = read_answer(self.answer)
        unmasked = _unmasked(self.answer, self.mapped)
        return Binding(
            probe=self.purpose,
            purpose=self.purpose,
            transport=transport,
            family=6 if ":" in self.asked.host else 4,
            local=text_of(local),
            asked=text_of(self.asked) or "",
            outcome=self.outcome,
            waited_s=round(waited_s, 6),
            rtt_s=None if self.rtt_s is None else round(self.rtt_s, 6),
            mapped=text_of(self.mapped),
            unmasked=text_of(unmasked),
            other_address=said.other_address_text,
            response_origin=said.response_origin_text,
            nattools_server=said.hello is not None,
            error_code=said.error_code,
            offender=self.offender,
            detail=self.detail or said.error,
            **more,
        )


def _other(answer: stun.Message, asked: Endpoint) -> Endpoint | None:
    """OTHER-ADDRESS, unless it is the server's own address or of another family: some servers advertise
    such, and a careless client then takes every NAT for the most permissive. Else the other port of a
    nattools server that has a single address, as its NATTOOLS-HELLO tells."""
    other, hello = read_answer(answer).other_address, answer.hello or b""
    usable = other is not None and other.port != 0 and other.host not in ("0.0.0.0", "::")
    prefix = prefix_of(asked.host)
    if other is not None and usable and other.family == 4 and prefix and _translated(asked, answer):
        other = embed(other, prefix)
    if other is not None and usable and other.family == asked.family and other != asked:
        return other
    port = int.from_bytes(hello[2:4], "big") if _services(answer) is not None and len(hello) >= 4 else 0
    return None if port in (0, asked.port) else Endpoint(asked.host, port)


def _translated(asked: Endpoint, answer: stun.Message) -> bool:
    """Was the server reached through a NAT64, of which it knows nothing?"""
    origin = read_answer(answer).response_origin
    prefix = prefix_of(asked.host)
    return prefix is not None and (prefix == WELL_KNOWN or embedded(asked, prefix) == origin)


def _services(answer: stun.Message) -> int | None:
    """The service flags of a `nattools serve`; None for every other server."""
    hello = answer.hello or b""
    return hello[1] if len(hello) >= 2 and hello[0] >= 1 else None


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
    """A server address that answered. `mapped`: how it sees us, None if that cannot be. `other` is its
    OTHER-ADDRESS if that truly is another address or port; `rtt_s` the first round trip; `lost`: so many
    copies of the first question were, before one was answered; `local_host` the own address that the question
    left from; `services` what a nattools server says that it does
    (`stun.constants.SERVICE_*`)."""

    uri: str
    endpoint: Endpoint
    transport: Transport
    mapped: Endpoint | None
    rtt_s: float
    other: Endpoint | None = None
    nattools: bool = False
    services: int = 0
    local_host: str | None = None
    lost: int = 0

    @property
    def family(self) -> Family:
        """The family of the server's address."""
        return self.endpoint.family

    def dials_back(self, transport: Transport) -> bool:
        """Does it send or connect back on request?"""
        return bool(
            self.services & (c.SERVICE_DIAL_BACK_UDP if transport == "udp" else c.SERVICE_DIAL_BACK_TCP)
        )

    @property
    def listens(self) -> bool:
        """Does it tell what came back to a dial-back instead, and send echo requests?"""
        return bool(self.services & c.SERVICE_DIAL_BACK_LISTENS)

    @property
    def meets_ports(self) -> bool:
        """Does it write to many ports from its second address, on request?"""
        return self.two_addresses and bool(self.services & c.SERVICE_DIAL_BACK_PORTS)

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


def target_of(uri: str, question: BindingQuestion, transport: Transport, local: Endpoint) -> Target | None:
    """The server as a target of further questions from `local`; None if it did not answer with an address."""
    if question.answer is None or question.outcome != "answered" or question.rtt_s is None:
        return None
    services = _services(question.answer)
    return Target(
        uri=uri,
        endpoint=question.asked,
        transport=transport,
        mapped=question.outside(local),
        rtt_s=question.rtt_s,
        other=_other(question.answer, question.asked),
        nattools=services is not None,
        services=services or 0,
        local_host=local.host,
    )
