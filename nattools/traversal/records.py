"""What a TLS link sends within TLS: records with a header of 2 bytes, the kind in the upper 2 bits and the
length of what follows in the lower 14. A full one fits into one TLS record (RFC 8446 5.1)."""

from __future__ import annotations

from typing import Final, Literal

Kind = Literal["bytes", "datagram", "alive", "goodbye"]

HEADER_SIZE: Final = 2
LONGEST: Final = 16384 - HEADER_SIZE
_KINDS: Final[tuple[Kind, ...]] = ("bytes", "datagram", "alive", "goodbye")
_LENGTH_BITS: Final = 14


def record(kind: Kind, data: bytes = b"") -> bytes:
    """One record. ValueError: more than `LONGEST` bytes."""
    if len(data) > LONGEST:
        raise ValueError(f"{len(data)} bytes do not fit into a record")
    return (_KINDS.index(kind) << _LENGTH_BITS | len(data)).to_bytes(HEADER_SIZE, "big") + data


def records_of(data: bytes) -> bytes:
    """Bytes of any length as records."""
    view = memoryview(data)
    pieces = (bytes(view[start : start + LONGEST]) for start in range(0, len(data), LONGEST))
    return b"".join(record("bytes", piece) for piece in pieces)


class RecordReader:
    """Any bytes are records; the last one may be incomplete. It keeps less than one record."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Kind, bytes]]:
        """The records that are complete now."""
        buffer = self._buffer
        buffer += data
        found: list[tuple[Kind, bytes]] = []
        start = 0
        while len(buffer) - start >= HEADER_SIZE:
            head = int.from_bytes(buffer[start : start + HEADER_SIZE], "big")
            end = start + HEADER_SIZE + (head & (1 << _LENGTH_BITS) - 1)
            if end > len(buffer):
                break
            found.append((_KINDS[head >> _LENGTH_BITS], bytes(buffer[start + HEADER_SIZE : end])))
            start = end
        del buffer[:start]
        return found
