"""Does a QUIC server answer here? A packet of a version that nobody has is answered with the versions that
the server has (RFC 9000 6.1), without any cryptography. Silence says nothing: not every server answers.
"""

from __future__ import annotations

from typing import Final

from nattools.chance import random_bytes
from nattools.errors import ProtocolError

SIZE: Final = 1200
"""Bytes below which a server need not answer (RFC 9000 14.1)."""
_FORCED: Final = 0x0A0A0A0A
"""Of the pattern that no version has (RFC 9000 15)."""
_ID_SIZE: Final = 8
_MOST_VERSIONS: Final = 64


class VersionProbe:
    """One question. `packet`: what to send; `answered` reads what came back."""

    def __init__(self) -> None:
        self._destination, self._source = random_bytes(_ID_SIZE), random_bytes(_ID_SIZE)
        head = b"\xc0" + _FORCED.to_bytes(4, "big")
        for each in (self._destination, self._source):
            head += bytes((len(each),)) + each
        self.packet = head + random_bytes(SIZE - len(head))

    def answered(self, data: bytes) -> tuple[int, ...]:
        """The versions that the server has. ProtocolError: it is not an answer to this packet (RFC 9000
        17.2.1)."""
        if len(data) < 7 or not data[0] & 0x80 or data[1:5] != bytes(4):
            raise ProtocolError("no version negotiation")
        destination, at = _connection_id(data, 5)
        source, at = _connection_id(data, at)
        if (destination, source) != (self._source, self._destination):
            raise ProtocolError("an answer to another packet")
        rest = data[at : at + 4 * _MOST_VERSIONS]
        if not rest or len(rest) % 4:
            raise ProtocolError("version negotiation without versions")
        return tuple(int.from_bytes(rest[each : each + 4], "big") for each in range(0, len(rest), 4))


def _connection_id(data: bytes, at: int) -> tuple[bytes, int]:
    if at >= len(data) or at + 1 + data[at] > len(data):
        raise ProtocolError("a connection id is cut off")
    end = at + 1 + data[at]
    return data[at + 1 : end], end
