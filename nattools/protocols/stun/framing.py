"""STUN over a stream: the length in the header is the frame (RFC 8489 6.2.2)."""

from __future__ import annotations

from nattools.errors import ProtocolError
from nattools.protocols.stun.constants import HEADER_SIZE


class Framer:
    """Cuts a TCP stream into STUN messages.

    Feed it what was read, in order; it returns the messages that are complete by now and keeps the rest. It
    looks at the header alone: `decode` each message. When what follows cannot be a STUN message, the ones
    before it are still returned, `broken` is True, and each further call raises: close the stream.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._problem: str | None = None

    @property
    def pending(self) -> int:
        """Bytes of an incomplete message kept; at most 20 + 65,532."""
        return len(self._buffer)

    @property
    def missing(self) -> int:
        """So many bytes at least complete the message that is begun. Whoever reads no more than these at a
        time leaves on the stream what is not STUN any more."""
        size = len(self._buffer)
        if size < 4:
            return HEADER_SIZE - size
        return HEADER_SIZE + int.from_bytes(self._buffer[2:4], "big") - size

    @property
    def broken(self) -> bool:
        """Did the peer send what is no STUN message?"""
        return self._problem is not None

    def feed(self, data: bytes) -> list[bytes]:
        """The messages completed by `data`. ProtocolError: none, and what comes next is no STUN message."""
        messages: list[bytes] = []
        if self._problem is None:
            self._buffer += data
            self._cut(messages)
        if self._problem is not None and not messages:
            raise ProtocolError(self._problem)
        return messages

    def _cut(self, messages: list[bytes]) -> None:
        position = 0
        while (end := self._end(position)) is not None:
            messages.append(bytes(self._buffer[position:end]))
            position = end
        del self._buffer[: position if self._problem is None else None]

    def _end(self, start: int) -> int | None:
        """Where the message that begins at `start` ends, None if it is not all there or none."""
        available = len(self._buffer) - start
        if available >= 1 and self._buffer[start] > 0x3F:
            self._problem = "a message of the stream does not begin with two zero bits"
            return None
        if available < 4:
            return None
        if self._buffer[start + 3] & 3:
            self._problem = "a message of the stream has a length that is not a multiple of 4"
            return None
        end = start + HEADER_SIZE + int.from_bytes(self._buffer[start + 2 : start + 4], "big")
        return end if end <= len(self._buffer) else None
