"""Datagrams over a TCP stream: each with its length before it (RFC 4571 2, as RFC 6544 3 asks)."""

from __future__ import annotations

from typing import Final

MAX_FRAME: Final = 0xFFFF


def frame(data: bytes) -> bytes:
    """One datagram for the stream. ValueError: longer than 65,535 bytes."""
    if len(data) > MAX_FRAME:
        raise ValueError(f"{len(data)} bytes do not fit into a frame")
    return len(data).to_bytes(2, "big") + data


class DatagramDeframer:
    """Cuts a stream into datagrams. It never holds more than one frame and what was fed last."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The datagrams that are complete now, empty ones left out."""
        self._buffer += data
        frames, position = [], 0
        while len(self._buffer) >= position + 2:
            end = position + 2 + int.from_bytes(self._buffer[position : position + 2], "big")
            if len(self._buffer) < end:
                break
            if end > position + 2:
                frames.append(bytes(self._buffer[position + 2 : end]))
            position = end
        del self._buffer[:position]
        return frames
