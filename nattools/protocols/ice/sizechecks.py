"""Checks that fill a datagram, to find out how large the datagrams may be that a path carries (RFC 8899 4.1).

Whoever answers checks answers these: PADDING (RFC 5780 7.6) says nothing to ICE, and an agent that does not
know it refuses the check (RFC 8489 6.3.1), which is an answer as well. What one side has found it tells the
other by a comprehension-optional attribute, which others ignore. Pure.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from nattools.errors import ProtocolError
from nattools.protocols import stun
from nattools.protocols.ice.checkmessages import CheckRefusal, Credentials, read_check, why_not_believed
from nattools.protocols.stun import constants as c

FOUND: Final = 0xFF4D
"""Nattools' own: the largest IP packet in bytes that got through, and whether larger ones vanish."""
_BODY: Final = Struct("!HBx")
_HOLES: Final[tuple[bool | None, ...]] = (False, True, None)
_LEAST: Final = 576


class FoundSize(NamedTuple):
    """`size` as an IP packet, 576 to 65,535; `black_hole` None: not known."""

    size: int
    black_hole: bool | None


def size_check(check: bytes, transaction_id: bytes, remote: Credentials, payload: int) -> bytes:
    """Of a check of the agent's own, one with this ID that is `payload` bytes long: a multiple of 4, and more
    than the check itself has."""
    bare = _with(check, transaction_id, remote, (c.PADDING, b""))
    return _with(check, transaction_id, remote, (c.PADDING, bytes(max(0, payload - len(bare)))))


def telling_check(check: bytes, transaction_id: bytes, remote: Credentials, found: FoundSize) -> bytes:
    """Of a check of the agent's own, one with this ID that tells the peer what was found."""
    body = _BODY.pack(found.size, _HOLES.index(found.black_hole))
    return _with(check, transaction_id, remote, (FOUND, body))


def told_by(message: stun.Message, local: Credentials, remote: Credentials) -> FoundSize | None:
    """What the peer's check tells; None: nothing, or it is not to be believed."""
    body = message.get(FOUND)
    if message.kind != "request" or body is None or len(body) != _BODY.size:
        return None
    size, hole = _BODY.unpack(body)
    if size < _LEAST or hole >= len(_HOLES):
        return None
    try:
        read_check(message, local, remote.ufrag)
    except CheckRefusal:
        return None
    return FoundSize(size, _HOLES[hole])


def proves_arrival(message: stun.Message, remote: Credentials) -> bool:
    """Is it an answer, or a refusal, that only somebody who has seen the check can have sent?"""
    return message.kind in ("success", "error") and why_not_believed(message, remote) is None


def binding_message(data: bytes) -> stun.Message | None:
    """One of ICE's, or None."""
    try:
        message = stun.decode(data)
    except ProtocolError:
        return None
    return message if message.method == stun.BINDING and not message.legacy else None


def _with(check: bytes, transaction_id: bytes, remote: Credentials, *more: tuple[int, bytes]) -> bytes:
    attributes = (*stun.decode(check).attributes, *more)  # what signs the first is left out
    message = stun.Message(stun.BINDING, "request", transaction_id, attributes)
    return stun.encode(message, key=remote.key, fingerprint=True)
