"""As much of protobuf as libp2p's messages have: numbers, 64 bits of fixed length, and byte strings.

Fields that are not known are skipped, and of a field that may come once the last one counts, as protobuf
has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nattools.errors import ProtocolError
from nattools.protocols.libp2p import uvarint

MOST_FIELDS: Final = 1000
_VARINT, _FIXED64, _OCTETS, _FIXED32 = 0, 1, 2, 5


def number_field(field: int, value: int) -> bytes:
    """One number. ValueError: it is below 0."""
    return uvarint.encode(field << 3 | _VARINT) + uvarint.encode(value)


def fixed64_field(field: int, value: int) -> bytes:
    """One number of 64 bits. ValueError: it does not fit."""
    if not 0 <= value < 1 << 64:
        raise ValueError(f"not a number of 64 bits: {value}")
    return uvarint.encode(field << 3 | _FIXED64) + value.to_bytes(8, "little")


def octets_field(field: int, value: bytes) -> bytes:
    """One byte string, text, or message."""
    return uvarint.encode(field << 3 | _OCTETS) + uvarint.delimited(value)


def octets_fields(field: int, values: Iterable[bytes]) -> bytes:
    """A repeated field."""
    return b"".join(octets_field(field, value) for value in values)


class Fields:
    """The fields of a message. ProtocolError of `parse_fields` and of each method here: it is malformed, or a
    field is of another type."""

    def __init__(self, found: dict[int, list[int | bytes]]) -> None:
        self._found = found

    def number(self, field: int, default: int | None = None) -> int:
        """A number. ProtocolError: it is missing, and there is no `default`."""
        value = self._last(field)
        if value is None and default is not None:
            return default
        if not isinstance(value, int):
            raise ProtocolError(f"field {field} is not a number")
        return value

    def octets(self, field: int, most: int) -> bytes | None:
        """A byte string of up to `most` bytes; None: it is missing."""
        value = self._last(field)
        return None if value is None else _octets(field, value, most)

    def all_octets(self, field: int, most: int) -> list[bytes]:
        """All of a repeated field."""
        return [_octets(field, value, most) for value in self._found.get(field, ())]

    def text(self, field: int, most: int) -> str:
        """Text of up to `most` bytes, whatever is no UTF-8 replaced; "" if it is missing."""
        return (self.octets(field, most) or b"").decode("utf-8", "replace")

    def message(self, field: int) -> Fields | None:
        """A message within the message; None: it is missing."""
        value = self.octets(field, 1 << 20)
        return None if value is None else parse_fields(value)

    def _last(self, field: int) -> int | bytes | None:
        values = self._found.get(field)
        return values[-1] if values else None


def parse_fields(data: bytes) -> Fields:
    """ProtocolError: this is no protobuf message, or has too many fields."""
    found: dict[int, list[int | bytes]] = {}
    at, count = 0, 0
    while at < len(data):
        count += 1
        if count > MOST_FIELDS:
            raise ProtocolError(f"a message of more than {MOST_FIELDS} fields")
        key, at = uvarint.decode(data, at, uvarint.LONGEST_PROTOBUF)
        value, at = _value(data, at, key & 7)
        found.setdefault(key >> 3, []).append(value)
    return Fields(found)


def _value(data: bytes, at: int, kind: int) -> tuple[int | bytes, int]:
    if kind == _VARINT:
        number, end = uvarint.decode(data, at, uvarint.LONGEST_PROTOBUF)
        return number & (1 << 64) - 1, end
    if kind == _OCTETS:
        size, at = uvarint.decode(data, at, uvarint.LONGEST_PROTOBUF)
    elif kind in (_FIXED64, _FIXED32):
        size = 8 if kind == _FIXED64 else 4
    else:
        raise ProtocolError(f"a field of type {kind}")
    end = at + size
    if end > len(data):
        raise ProtocolError("a field is cut off")
    octets = data[at:end]
    return octets if kind == _OCTETS else int.from_bytes(octets, "little"), end


def _octets(field: int, value: int | bytes, most: int) -> bytes:
    if not isinstance(value, bytes):
        raise ProtocolError(f"field {field} is a number")
    if len(value) > most:
        raise ProtocolError(f"field {field} has {len(value)} bytes, more than {most}")
    return value
