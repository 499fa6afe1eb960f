"""DERP's frames: a type, a length, and the body.

    0     type
    1..4  length of the body, unsigned, in network byte order
    5...  body

A key is 32 bytes, and a packet has at most 64 KiB. Where a body is as long as it likes, it may be longer than
what is known of it, and the rest is of a later version.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final, NamedTuple

from nattools.errors import ProtocolError

KEY_SIZE: Final = 32
NONCE_SIZE: Final = 24
TOKEN_SIZE: Final = 8
MAX_PACKET: Final = 65_536
MAGIC: Final = "DERP\N{KEY}".encode()

SERVER_KEY: Final = 0x01
CLIENT_INFO: Final = 0x02
SERVER_INFO: Final = 0x03
SEND: Final = 0x04
RECEIVED: Final = 0x05
KEEP_ALIVE: Final = 0x06
PEER_GONE: Final = 0x08
PING: Final = 0x12
PONG: Final = 0x13
HEALTH: Final = 0x14
RESTARTING: Final = 0x15

_HEAD: Final = Layout(">BI")
MAX_BODY: Final = KEY_SIZE + MAX_PACKET
_SHORTEST: Final = {
    SERVER_KEY: len(MAGIC) + KEY_SIZE,
    CLIENT_INFO: KEY_SIZE + NONCE_SIZE,
    SERVER_INFO: NONCE_SIZE,
    SEND: KEY_SIZE,
    RECEIVED: KEY_SIZE,
    PEER_GONE: KEY_SIZE,
    PING: TOKEN_SIZE,
    PONG: TOKEN_SIZE,
    RESTARTING: 8,
}


class Frame(NamedTuple):
    """A frame of any type, unknown ones included."""

    kind: int
    body: bytes


def encode(kind: int, *parts: bytes) -> bytes:
    """One frame. ValueError: a body that no receiver takes."""
    size = sum(map(len, parts))
    if not _SHORTEST.get(kind, 0) <= size <= MAX_BODY:
        raise ValueError(f"a frame of type {kind:#x} with {size} bytes")
    return b"".join((_HEAD.pack(kind, size), *parts))


class DerpFrameReader:
    """Frames out of what is read from a stream, in whatever pieces it comes. It holds one frame at most."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now. ProtocolError: one is too long, or too short for its type; it is
        of no use then."""
        buffer = self._buffer
        buffer += data
        frames, at = [], 0
        while len(buffer) - at >= _HEAD.size:
            kind, size = _HEAD.unpack_from(buffer, at)
            if not _SHORTEST.get(kind, 0) <= size <= MAX_BODY:
                raise ProtocolError(f"a frame of type {kind:#x} with {size} bytes")
            end = at + _HEAD.size + size
            if len(buffer) < end:
                break
            frames.append(Frame(kind, bytes(buffer[at + _HEAD.size : end])))
            at = end
        del buffer[:at]
        return frames
