"""The server's side of DERP as a test says it, frame by frame."""

from __future__ import annotations

from nattools.protocols.derp import KeyPair
from nattools.protocols.derp import derpframes as f

UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\nDerp-Version: 2\r\n\r\n"
)


def greeting(server: KeyPair) -> bytes:
    """The answer to the request, and the server's key."""
    return UPGRADED + f.encode(f.SERVER_KEY, f.MAGIC, server.public)


def introduction(server: KeyPair, client: bytes, about: bytes = b'{"version":2}') -> bytes:
    """What lets the holder of a key in."""
    return f.encode(f.SERVER_INFO, server.seal(about, client))
