"""Who vouches for a certificate, in words: what tells a server's own from that of a middlebox."""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 80


def issuer_of(certificate: bytes | None) -> str:
    """The organization that issued a certificate in DER, or its common name; "" if that cannot be read."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    if not certificate:
        return ""
    try:
        issuer = x509.load_der_x509_certificate(certificate).issuer
        for wanted in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
            for each in issuer.get_attributes_for_oid(wanted):
                if isinstance(each.value, str) and each.value.strip():
                    return each.value.strip()[:_LONGEST]
    except ValueError:
        pass
    return ""
