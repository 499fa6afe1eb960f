"""DNS messages read part by part (RFC 1035 4.1). Pure.

Whoever sends them may be hostile, so everything has a bound: names, their compression, and the whole message.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from nattools.errors import ProtocolError

LONGEST_NAME: Final = 255
_MOST_JUMPS: Final = 32
HEADER: Final = struct.Struct("!HHHHHH")
RECORD: Final = struct.Struct("!HHIH")
INTERNET: Final = 1
"""The class of all that is looked up."""
_QUESTION: Final = struct.Struct("!HH")


class RawRecord(NamedTuple):
    """A record whose value is not read yet: `start` and `end` are where its value is in the message. `bits`:
    its class, with whatever mDNS puts into the highest bit."""

    name: str
    kind: int
    bits: int
    ttl_s: int
    start: int
    end: int


class DnsReader:
    """Reads one part after the other, from `at` on. ProtocolError: the message is damaged."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def unpack(self, form: struct.Struct) -> tuple[int, ...]:
        """The numbers that come next."""
        if self.at + form.size > len(self.data):
            raise ProtocolError("a DNS message that ends too soon")
        found = form.unpack_from(self.data, self.at)
        self.at += form.size
        return found

    def question(self) -> tuple[str, int, int]:
        """Name, type and class."""
        name = self.name()
        kind, bits = self.unpack(_QUESTION)
        return name, kind, bits

    def record(self) -> RawRecord:
        """The next one; what follows it is read next."""
        name = self.name()
        kind, bits, ttl_s, length = self.unpack(RECORD)
        start, end = self.at, self.at + length
        if end > len(self.data):
            raise ProtocolError("a DNS record that ends too soon")
        self.at = end
        return RawRecord(name, kind, bits, ttl_s, start, end)

    def name(self) -> str:
        """Compressed as 4.1.4 has it; a pointer leads backwards alone, so that none leads in a circle. In
        lower case, without the last dot."""
        labels: list[str] = []
        at, after, jumps, size = self.at, None, 0, 0
        while True:
            if at >= len(self.data):
                raise ProtocolError("a DNS name that ends too soon")
            length = self.data[at]
            if length >= 0xC0:
                if at + 1 >= len(self.data):
                    raise ProtocolError("a DNS name that ends too soon")
                to = (length & 0x3F) << 8 | self.data[at + 1]
                after = at + 2 if after is None else after
                jumps += 1
                if to >= at or jumps > _MOST_JUMPS:
                    raise ProtocolError("a DNS name that leads in a circle")
                at = to
            elif length >= 0x40:
                raise ProtocolError("a DNS name with a label of an unknown kind")
            elif length == 0:
                self.at = at + 1 if after is None else after
                return ".".join(labels)
            else:
                size += length + 1
                if size > LONGEST_NAME or at + 1 + length > len(self.data):
                    raise ProtocolError("a DNS name that is too long")
                labels.append(_label(self.data[at + 1 : at + 1 + length]))
                at += 1 + length


def encode_name(name: str) -> bytes:
    """Labels with their lengths, without compression. ValueError: it is no name."""
    encoded = b""
    for label in name.rstrip(".").split("."):
        data = label.encode()
        if not 1 <= len(data) <= 63:
            raise ValueError(f"{name[:80]!r} is not a name")
        encoded += bytes([len(data)]) + data
    if len(encoded) >= LONGEST_NAME:
        raise ValueError(f"{name[:80]!r} is too long for a name")
    return encoded + b"\0"


def strings(data: bytes) -> list[bytes]:
    """The character strings of a TXT record's value (3.3.14); one that is cut off ends with the value."""
    found, at = [], 0
    while at < len(data):
        length = data[at]
        found.append(data[at + 1 : at + 1 + length])
        at += 1 + length
    return found


def _label(data: bytes) -> str:
    """In lower case; dots within a label are none between labels."""
    return data.decode("utf-8", "replace").lower().replace(".", "\u2024")
