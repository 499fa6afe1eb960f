"""The keys by which hosts prove who they are: an own one (Ed25519), and others' public keys of any type that
libp2p has, as they stand in messages:

    PublicKey { Type = 1 (RSA 0, Ed25519 1, Secp256k1 2, ECDSA 3), Data = 2 }
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nattools.chance import random_bytes
from nattools.errors import ProtocolError
from nattools.protocols.libp2p import uvarint
from nattools.protocols.libp2p.peerid import peer_id_of
from nattools.protocols.libp2p.protobuf import number_field, octets_field, parse_fields

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

MAX_KEY: Final = 4096
"""Bytes of a public key, as large as RSA's of 16,384 bits need at most; larger numbers cost too much."""
MAX_SIGNATURE: Final = 2048
_RSA, _ED25519, _SECP256K1, _ECDSA = 0, 1, 2, 3
_RSA_BITS: Final = range(2048, 8193)
SEED_SIZE: Final = 32


class HostKey:
    """An own key. `seed`: the 32 bytes that it follows from; None: a new one.

    `public`: the public key as messages have it; `peer`: the id that follows from it."""

    def __init__(self, seed: bytes | None = None) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.from_private_bytes(random_bytes(SEED_SIZE) if seed is None else seed)
        raw = self._key.public_key().public_bytes_raw()
        self.public = number_field(1, _ED25519) + octets_field(2, raw)
        self.peer = peer_id_of(self.public)

    def sign(self, data: bytes) -> bytes:
        """A signature that `verify` takes."""
        return self._key.sign(data)

    def seal(self, domain: bytes, payload_type: bytes, payload: bytes) -> bytes:
        """A signed envelope (libp2p RFC 0002)."""
        signature = self.sign(_enveloped(domain, payload_type, payload))
        return (
            octets_field(1, self.public)
            + octets_field(2, payload_type)
            + octets_field(3, payload)
            + octets_field(5, signature)
        )


def _enveloped(*parts: bytes) -> bytes:
    return b"".join(map(uvarint.delimited, parts))


def verify(public: bytes, data: bytes, signature: bytes) -> None:
    """Did the holder of this public key sign that? ProtocolError: no, or the key is none."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    fields = parse_fields(public)
    kind, raw = fields.number(1, _RSA), fields.octets(2, MAX_KEY)
    if raw is None:
        raise ProtocolError("a public key without its data")
    if len(signature) > MAX_SIGNATURE:
        raise ProtocolError("a signature is too long")
    try:
        _verify(kind, raw, data, signature)
    except InvalidSignature:
        raise ProtocolError("a signature is wrong") from None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ProtocolError(f"a public key that cannot be used: {error}") from None


def _verify(kind: int, raw: bytes, data: bytes, signature: bytes) -> None:
    """InvalidSignature, ValueError and others: see `verify`."""
    from cryptography.hazmat.primitives.asymmetric import ec, padding
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

    if kind == _ED25519:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, data)
    elif kind == _RSA:
        _rsa(raw).verify(signature, data, padding.PKCS1v15(), SHA256())
    elif kind in (_SECP256K1, _ECDSA):
        _curve(kind, raw).verify(signature, data, ec.ECDSA(SHA256()))
    else:
        raise ValueError(f"type {kind}")


def _rsa(raw: bytes) -> RSAPublicKey:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    key = load_der_public_key(raw)
    if not isinstance(key, RSAPublicKey) or key.key_size not in _RSA_BITS:
        raise ValueError("no RSA key of 2048 to 8192 bits")
    return key


def _curve(kind: int, raw: bytes) -> EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    if kind == _SECP256K1:
        return EllipticCurvePublicKey.from_encoded_point(SECP256K1(), raw)
    key = load_der_public_key(raw)
    if not isinstance(key, EllipticCurvePublicKey):
        raise ValueError("no key on a curve")
    return key
