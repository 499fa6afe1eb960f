"""What an Allocate request asks for, and the answers to requests, by RFC 8656's steps. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Final, NamedTuple

from nattools.model.endpoint import Family
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.message import Attribute
from nattools.protocols.turn import turnconstants as t
from nattools.server.relay.turncredentials import Client, User

UNDERSTOOD: Final = frozenset(
    {
        c.USERNAME,
        c.MESSAGE_INTEGRITY,
        c.MESSAGE_INTEGRITY_SHA256,
        c.REALM,
        c.NONCE,
        c.PASSWORD_ALGORITHM,
        c.CHANNEL_NUMBER,
        c.LIFETIME,
        c.XOR_PEER_ADDRESS,
        c.DATA,
        c.REQUESTED_ADDRESS_FAMILY,
        c.EVEN_PORT,
        c.REQUESTED_TRANSPORT,
        c.DONT_FRAGMENT,
        c.RESERVATION_TOKEN,
        c.CONNECTION_ID,
    }
)
"""Comprehension-required attributes of a client's messages."""
_MAX_UNKNOWN: Final = 32


class TurnError(Exception):
    """An error response."""

    def __init__(self, code: int, *attributes: Attribute) -> None:
        super().__init__(code)
        self.code = code
        self.attributes = attributes


class RequestedAllocation(NamedTuple):
    """What a client asks for. `unavailable`: families of a dual allocation that there are not."""

    protocol: int
    families: tuple[Family, ...]
    lifetime_s: int
    dont_fragment: bool
    even: bool = False
    reserve: bool = False
    token: bytes | None = None
    unavailable: tuple[Family, ...] = ()


def read_allocate(
    request: stun.Message, client: Client, families: Container[Family], *, can_forbid_fragments: bool
) -> RequestedAllocation:
    """By RFC 8656 7.2 and RFC 6062 5.1. TurnError: it cannot be; ProtocolError: it is malformed (400)."""
    protocol = request.requested_transport
    if protocol is None:
        raise TurnError(t.BAD_REQUEST)
    if protocol not in (t.UDP, t.TCP):
        raise TurnError(t.UNSUPPORTED_TRANSPORT)
    if request.dont_fragment and not can_forbid_fragments:
        raise TurnError(t.UNKNOWN_ATTRIBUTE, (c.UNKNOWN_ATTRIBUTES, stun.pack_types((c.DONT_FRAGMENT,))))
    even, token = request.even_port, request.reservation_token
    if protocol == t.TCP and (
        client.transport == "udp" or even is not None or token or request.dont_fragment
    ):
        raise TurnError(t.BAD_REQUEST)
    wanted, unavailable = _families(request, families)
    lifetime_s = granted_lifetime_s(request)
    return RequestedAllocation(
        protocol, wanted, lifetime_s, request.dont_fragment, even is not None, bool(even), token, unavailable
    )


def _families(
    request: stun.Message, families: Container[Family]
) -> tuple[tuple[Family, ...], tuple[Family, ...]]:
    """The families to allocate, and those asked for that are not served here."""
    requested = request.get(c.REQUESTED_ADDRESS_FAMILY) is not None
    additional = _wants_both(request)
    token, even = request.reservation_token, request.even_port
    if token is not None and (even is not None or requested or additional):
        raise TurnError(t.BAD_REQUEST)
    if additional and (
        requested or even or 6 not in (request.additional_family, request.old_additional_family)
    ):
        raise TurnError(t.BAD_REQUEST)
    family = request.requested_family if requested else 4
    wanted: tuple[Family | None, ...] = (4, 6) if additional else (family,)
    there = tuple(each for each in wanted if each is not None and each in families)
    if not there and token is None:
        raise TurnError(t.FAMILY_NOT_SUPPORTED)
    return there, tuple(each for each in wanted if each is not None and each not in families)


def _wants_both(request: stun.Message) -> bool:
    """Is another address asked for, by either number of the attribute?"""
    numbers = (c.ADDITIONAL_ADDRESS_FAMILY, c.OLD_ADDITIONAL_ADDRESS_FAMILY)
    return any(request.get(each) is not None for each in numbers)


def granted_lifetime_s(request: stun.Message) -> int:
    """Not less than the default, not more than an hour (RFC 8656 7.2)."""
    return max(t.DEFAULT_LIFETIME_S, min(request.lifetime_s or 0, t.MAX_LIFETIME_S))


def lifetime(seconds: float) -> Attribute:
    """LIFETIME."""
    return c.LIFETIME, max(0, int(seconds)).to_bytes(4, "big")


def unavailable_families(request: stun.Message, families: Iterable[Family], code: int) -> list[Attribute]:
    """ADDRESS-ERROR-CODE of a dual allocation, by the number that goes with the request's."""
    old = request.get(c.ADDITIONAL_ADDRESS_FAMILY) is None
    number = c.OLD_ADDRESS_ERROR_CODE if old else c.ADDRESS_ERROR_CODE
    return [(number, turn.pack_address_error(each, code, t.REASONS[code])) for each in families]


def success(request: stun.Message, user: User, attributes: Iterable[Attribute] = ()) -> bytes:
    """A success response, signed as the request was."""
    return _signed(request, user, "success", tuple(attributes))


def failure(request: stun.Message, user: User, error: TurnError) -> bytes:
    """An error response, signed as the request was."""
    reason = stun.pack_error_code(error.code, t.REASONS[error.code])
    return _signed(request, user, "error", ((c.ERROR_CODE, reason), *error.attributes))


def unknown_attributes(request: stun.Message) -> TurnError | None:
    """The error of a request with attributes that it must not have here (RFC 8489 6.3.1)."""
    unknown = request.unknown_required(UNDERSTOOD)
    if not unknown:
        return None
    return TurnError(t.UNKNOWN_ATTRIBUTE, (c.UNKNOWN_ATTRIBUTES, stun.pack_types(unknown[:_MAX_UNKNOWN])))


def bare_failure(request: stun.Message, code: int, attributes: Iterable[Attribute] = ()) -> bytes:
    """An error response to one who has not shown who he is: without a word more than needed."""
    error = (c.ERROR_CODE, stun.pack_error_code(code, ""))
    message = stun.Message(request.method, "error", request.transaction_id, (error, *attributes))
    return stun.encode(message)


def _signed(request: stun.Message, user: User, kind: stun.Kind, attributes: tuple[Attribute, ...]) -> bytes:
    message = stun.Message(request.method, kind, request.transaction_id, attributes)
    fingerprint = request.get(c.FINGERPRINT) is not None
    return stun.encode(message, key=user.key, algorithm=user.algorithm, fingerprint=fingerprint)


def is_unharmed(message: stun.Message) -> bool:
    """RFC 8489 6.3: what has a wrong FINGERPRINT is dropped; and TURN came after the magic cookie."""
    if message.legacy:
        return False
    return message.get(c.FINGERPRINT) is None or stun.verify_fingerprint(message)
