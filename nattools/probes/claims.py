"""What an answer says besides our address. What cannot be read is taken as not said."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.message import Attribute

_OURS = frozenset({c.XOR_MAPPED_ADDRESS, c.MAPPED_ADDRESS})


class Claims(msgspec.Struct, frozen=True):
    """OTHER-ADDRESS (RFC 5780 7.4; or CHANGED-ADDRESS of RFC 3489), RESPONSE-ORIGIN (RFC 5780 7.3; or
    SOURCE-ADDRESS), ERROR-CODE's number, and NATTOOLS-HELLO."""

    other_address: Endpoint | None = None
    response_origin: Endpoint | None = None
    error_code: int | None = None
    hello: bytes | None = None
    other_address_text: str | None = None
    response_origin_text: str | None = None


NOTHING = Claims()


def claims(answer: stun.Message | None) -> Claims:
    """All of it. The same server says the same each time, so it is read once."""
    if answer is None:
        return NOTHING
    return _claims(answer.kind, tuple([each for each in answer.attributes if each[0] not in _OURS]))


@lru_cache(maxsize=256)
def _claims(kind: stun.Kind, attributes: tuple[Attribute, ...]) -> Claims:
    answer = stun.Message(c.BINDING, kind, bytes(12), attributes)
    other, origin = told(lambda: answer.other_address), told(lambda: answer.response_origin)
    return Claims(other, origin, _error_code(answer), answer.hello, text_of(other), text_of(origin))


def told(address: Callable[[], Endpoint | None]) -> Endpoint | None:
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
