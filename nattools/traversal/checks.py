"""The packets of a punch: STUN Binding requests with short-term integrity, as ICE checks are (RFC 8445 7).

Each side names itself, so that an own packet that a router turns back, or one replayed at its sender, is
nobody's.
"""

from __future__ import annotations

import hmac
from typing import Final

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun.constants import USE_CANDIDATE, USERNAME, XOR_MAPPED_ADDRESS

PREFIX: Final = b"punch:"
"""How the user names of these packets begin; ICE's are others."""
_NAMES: Final[dict[bool, bytes]] = {True: PREFIX + b"leads", False: PREFIX + b"follows"}


class Checks:
    """Makes and reads the packets of one side. `secret`: at least 16 bytes, never used as it is."""

    def __init__(self, secret: bytes, *, leads: bool) -> None:
        if len(secret) < 16:
            raise ValueError("the secret has fewer than 16 bytes")
        self._key = hmac.digest(secret, b"nattools punch", "sha256")
        self._own, self._peer = _NAMES[leads], _NAMES[not leads]

    def request(self, transaction: bytes, *, nominate: bool = False) -> bytes:
        """A check; with `nominate` it says that this path is the one to use."""
        attributes: tuple[tuple[int, bytes], ...] = ((USERNAME, self._own),)
        if nominate:
            attributes = (*attributes, (USE_CANDIDATE, b""))
        message = stun.Message(stun.BINDING, "request", transaction, attributes)
        return stun.encode(message, key=self._key, fingerprint=True)

    def answer(self, request: stun.Message, source: Endpoint) -> bytes:
        """The success response to a check of the peer."""
        mapped = stun.pack_xor_address(source, request.transaction_id)
        attributes = ((USERNAME, self._own), (XOR_MAPPED_ADDRESS, mapped))
        message = stun.Message(stun.BINDING, "success", request.transaction_id, attributes)
        return stun.encode(message, key=self._key, fingerprint=True)

    def read(self, data: bytes) -> stun.Message | None:
        """A request or success response that the peer, and nobody else, made; None for anything else."""
        try:
            message = stun.decode(data)
        except ProtocolError:
            return None
        if message.method != stun.BINDING or message.kind not in ("request", "success") or message.legacy:
            return None
        if message.get(USERNAME) != self._peer or not stun.verify_integrity(message, self._key):
            return None
        return message
