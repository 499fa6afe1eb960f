"""The keys by which DERP knows its clients, and the boxes in which server and client introduce themselves.

The boxes are NaCl's (X25519, XSalsa20, Poly1305), which `cryptography` does not have: PyNaCl does, the extra
`nattools[derp]`. It is imported with the first key.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from ipaddress import IPv6Address, IPv6Network
from typing import Final

from nattools.chance import random_bytes
from nattools.errors import CannotRun, ProtocolError, how_to_install
from nattools.model.endpoint import Endpoint
from nattools.protocols.derp.derpframes import KEY_SIZE, NONCE_SIZE

_BY_KEY: Final = IPv6Network("100::/64")
"""Discard-only (RFC 6666): what is sent there by mistake, past the relay, is dropped by every router."""


def why_no_keys() -> CannotRun | None:
    """None if DERP can be spoken here, else what is missing and how to get it."""
    if find_spec("nacl") is not None:
        return None
    return CannotRun("relaying by DERP needs PyNaCl, which is not installed here", how_to_install("pynacl"))


class KeyPair:
    """A client's, or a server's. `public` is how others name it: 32 bytes. CannotRun: see `why_no_keys`."""

    __slots__ = ("_private", "public")

    def __init__(self, private: bytes | None = None) -> None:
        """`private`: 32 bytes, for a key that is kept; else a new one. ValueError: it has another size."""
        missing = why_no_keys()
        if missing is not None:
            raise missing
        from nacl.bindings import crypto_scalarmult_base

        self._private = random_bytes(KEY_SIZE) if private is None else private
        if len(self._private) != KEY_SIZE:
            raise ValueError(f"a key of {len(self._private)} bytes")
        self.public: bytes = crypto_scalarmult_base(self._private)

    def seal(self, plain: bytes, to: bytes) -> bytes:
        """A nonce, and the box that only the holder of the other key opens. ProtocolError: `to` is none."""
        from nacl.bindings import crypto_box
        from nacl.exceptions import CryptoError

        nonce = random_bytes(NONCE_SIZE)
        try:
            return nonce + bytes(crypto_box(plain, nonce, to, self._private))
        except CryptoError as error:
            raise ProtocolError("a key with which nothing can be sealed") from error

    def open(self, sealed: bytes, by: bytes) -> bytes:
        """What `seal` closed. ProtocolError: it was not sealed for this key by that one."""
        from nacl.bindings import crypto_box_open
        from nacl.exceptions import CryptoError

        try:
            return bytes(crypto_box_open(sealed[NONCE_SIZE:], sealed[:NONCE_SIZE], by, self._private))
        except (CryptoError, ValueError) as error:
            raise ProtocolError("a box that this key cannot open") from error


@cache
def endpoint_of(key: bytes) -> Endpoint:
    """A place that stands for a key where a transport address is asked for: 64 bits of the key's hash, in
    100::/64. The same on both sides, and no address on any network."""
    host = IPv6Address(int(_BY_KEY.network_address) + int.from_bytes(sha256(key).digest()[:8], "big"))
    return Endpoint(str(host), 1)
