"""STUN over a stream: the length in the header is the frame (RFC 8489 6.2.2)."""

from __future__ import annotations

from nattools.errors import ProtocolError
from nattools.protocols.stun.constants import HEADER_SIZE


class Framer:
    """Cuts a TCP stream into STUN messages.

    Feed it what was read, in order; it returns the messages that are complete by now and keeps the rest. It
    looks at the header alone: `decode` each message. After a ProtocolError the stream cannot be trusted any
    more; close it (each further call raises again).
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._broken = False

    @property
    def pending(self) -> int:
        """Bytes of an incomplete message kept; at most 20 + 65,532."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages completed by `data`. ProtocolError: what comes next is no STUN message."""
        if self._broken:
            raise ProtocolError("the stream broke the framing before")
        self._buffer += data
        messages, position = [], 0
        while (end := self._end(position)) is not None:
            messages.append(bytes(self._buffer[position:end]))
            position = end
        del self._buffer[:position]
        return messages

    def _end(self, start: int) -> int | None:
        """Where the message that begins at `start` ends, None if it is not all there."""
        available = len(self._buffer) - start
        if available >= 1 and self._buffer[start] > 0x3F:
            raise self._fail("a stream's message does not begin with two zero bits")
        if available < 4:
            return None
        if self._buffer[start + 3] & 3:
            raise self._fail("a stream's message has a length that is not a multiple of 4")
        end = start + HEADER_SIZE + int.from_bytes(self._buffer[start + 2 : start + 4], "big")
        return end if end <= len(self._buffer) else None

    def _fail(self, reason: str) -> ProtocolError:
        self._broken = True
        self._buffer.clear()
        return ProtocolError(reason)
