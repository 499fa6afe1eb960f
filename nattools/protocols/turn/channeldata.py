"""ChannelData messages (RFC 8656 12.4), and the stream that they share with STUN messages."""

from __future__ import annotations

from struct import Struct
from typing import ClassVar, Final

from nattools.errors import ProtocolError
from nattools.protocols import stun
from nattools.protocols.stun.turnattributes import FIRST_CHANNEL, LAST_CHANNEL

HEADER_SIZE: Final = 4
LONGEST: Final = 0xFFFF
"""Bytes of data that a message can carry."""

_HEAD: Final = Struct(">HH")
_FIRST_BYTES: Final = range(FIRST_CHANNEL >> 8, (LAST_CHANNEL >> 8) + 1)


def encode_channel_data(channel: int, data: bytes, *, padded: bool = False) -> bytes:
    """The message; over TCP and TLS it must be `padded` to a multiple of 4 bytes (RFC 8656 12.5)."""
    size = len(data)
    head = _HEAD.pack(channel, size)
    return head + data + bytes(-size % 4) if padded else head + data


def is_channel_data(data: bytes) -> bool:
    """Does this begin as ChannelData and not as STUN (RFC 8656 12)?"""
    return bool(data) and data[0] in _FIRST_BYTES


def decode_channel_data(message: bytes) -> tuple[int, bytes]:
    """(channel, data); what stands behind the data is padding (RFC 8656 12.6). ProtocolError: another number
    than a channel's, or less data than it says."""
    if len(message) < HEADER_SIZE:
        raise ProtocolError(f"{len(message)} bytes are no ChannelData message")
    channel, size = _HEAD.unpack_from(message)
    if not FIRST_CHANNEL <= channel <= LAST_CHANNEL:
        raise ProtocolError(f"{channel:#06x} is not a channel number")
    if HEADER_SIZE + size > len(message):
        raise ProtocolError(f"ChannelData of {size} bytes has {len(message) - HEADER_SIZE}")
    return channel, message[HEADER_SIZE : HEADER_SIZE + size]


class TurnFramer(stun.Framer):
    """Cuts a TCP stream into STUN and ChannelData messages, the latter with their padding."""

    LEAST: ClassVar = HEADER_SIZE
    CHANNELS: ClassVar = _FIRST_BYTES
    """How ChannelData begins."""

    def _wrong(self, head: bytes) -> str | None:
        return None if head[0] in self.CHANNELS else super()._wrong(head)

    def _size(self, head: bytes) -> int:
        if head[0] in self.CHANNELS:
            return HEADER_SIZE + (int.from_bytes(head[2:], "big") + 3 & ~3)
        return super()._size(head)
