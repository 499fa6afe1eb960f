"""What two machines that share a secret prove themselves to each other with.

Everything follows from the secret by HKDF-SHA256 (RFC 5869), under a label of its own for each use, so that
each side can make the other's certificate too and knows beforehand what it must see. Nobody signs anything
for others, and no name or clock matters: who has the key is the peer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.x509 import Certificate

SECRET_SIZE: Final = 32
NAME: Final = "nattools"
"""What the certificates call themselves, since a client must ask for a name."""
UNPROVEN: Final = "the peer did not prove that it knows the secret"

_CONTEXT: Final = b"nattools link 1 "
_FIRST_DAY: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_DAY: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
# "no well-defined expiration date" (RFC 5280 4.1.2.5)


class Identity(msgspec.Struct, frozen=True):
    """The key and certificate (Ed25519, RFC 8410) of one of the two roles."""

    key: Ed25519PrivateKey
    certificate: Certificate

    @property
    def der(self) -> bytes:
        """The certificate's bytes: the same wherever it is made, since nothing in it is drawn at random."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        """Key and certificate in PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return self.certificate.public_bytes(Encoding.PEM)


def derive(secret: bytes, use: bytes) -> bytes:
    """32 bytes for one use. ValueError: the secret does not have 32 bytes."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    if len(secret) != SECRET_SIZE:
        raise ValueError(f"the secret has {len(secret)} bytes, not {SECRET_SIZE}")
    return HKDF(SHA256(), length=32, salt=None, info=_CONTEXT + use).derive(secret)


def identity(secret: bytes, *, leads: bool) -> Identity:
    """The identity of the side that leads, or of the one that follows."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    role = "leader" if leads else "follower"
    key = Ed25519PrivateKey.from_private_bytes(derive(secret, b"key of the " + role.encode()))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{NAME} {role}")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=_FIRST_DAY,
        not_valid_after=_LAST_DAY,
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
    return Identity(key, builder.sign(key, algorithm=None))
