"""Unsigned numbers of any length, least significant group first, as multiformats and protobuf write them; and
messages with such a length in front."""

from __future__ import annotations

from typing import Final

from nattools.errors import ProtocolError

LONGEST: Final = 9
"""Bytes of a number, as multiformats bound it (63 bits)."""
LONGEST_PROTOBUF: Final = 10


def encode(number: int) -> bytes:
    """ValueError: a number below 0."""
    if number < 0:
        raise ValueError(f"no unsigned number: {number}")
    octets = bytearray()
    while number > 0x7F:
        octets.append(0x80 | (number & 0x7F))
        number >>= 7
    octets.append(number)
    return bytes(octets)


def decode(data: bytes | bytearray, at: int = 0, longest: int = LONGEST) -> tuple[int, int]:
    """(the number that begins at `at`, where it ends). ProtocolError: it is cut off, or too long."""
    found = _peek(data, at, longest)
    if found is None:
        raise ProtocolError("a number is cut off")
    return found


def _peek(data: bytes | bytearray, at: int = 0, longest: int = LONGEST) -> tuple[int, int] | None:
    """As `decode`; None: it is cut off, and more may come."""
    number = 0
    for count, octet in enumerate(data[at : at + longest]):
        number |= (octet & 0x7F) << (7 * count)
        if octet < 0x80:
            return number, at + count + 1
    if len(data) - at >= longest:
        raise ProtocolError("a number is too long")
    return None


def delimited(message: bytes) -> bytes:
    """A message with its length in front."""
    return encode(len(message)) + message


class DelimitedReader:
    """Messages with their length in front, out of what is read from a stream, in whatever pieces it comes. It
    holds one message of `most` bytes at most, beside what was fed last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._buffer = bytearray()

    @property
    def rest(self) -> bytes:
        """What is behind the last whole message."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> None:
        """What came next."""
        self._buffer += data

    def next(self) -> bytes | None:
        """The next whole message, None if it is not all there. ProtocolError: it is too long; nothing can be
        read behind it."""
        found = _peek(self._buffer)
        if found is None:
            return None
        size, start = found
        if size > self._most:
            raise ProtocolError(f"a message of {size} bytes where at most {self._most} are taken")
        if len(self._buffer) < start + size:
            return None
        message = bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        return message
