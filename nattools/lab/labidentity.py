"""Certificates of a lab's servers: they follow from a server's first address, so that its clients in the lab
know them without asking."""

from __future__ import annotations

import hashlib
import ssl
import tempfile
from pathlib import Path

from nattools.traversal.identity import Identity, identity


def identity_at(addresses: tuple[str, ...]) -> Identity:
    """The key and certificate of the server that has these addresses."""
    return identity(hashlib.sha256(f"server at {addresses[0]}".encode()).digest(), leads=False)


def fingerprint_at(addresses: tuple[str, ...]) -> str:
    """The SHA-256 of its certificate, in hexadecimal."""
    return hashlib.sha256(identity_at(addresses).der).hexdigest()


def pem_of(own: Identity) -> bytes:
    """The certificate and its key."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return own.pem + own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def context_of(own: Identity) -> ssl.SSLContext:
    """What a server with this certificate speaks TLS by."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="nattools-") as directory:
        path = Path(directory) / "server.pem"
        path.write_bytes(pem_of(own))
        context.load_cert_chain(path)
    return context
