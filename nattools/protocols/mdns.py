"""Multicast DNS (RFC 6762) and DNS-based service discovery (RFC 6763): as much of DNS messages as finding
machines and their services takes. Pure.

Whatever is on the local network may answer, so everything has a bound: names, their compression, records,
and the whole message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from nattools.errors import ProtocolError
from nattools.model.endpoint import Family

PORT: Final = 5353
GROUPS: Final[dict[Family, str]] = {4: "224.0.0.251", 6: "ff02::fb"}
LARGEST: Final = 9000
"""Bytes of a message (RFC 6762 17)."""
MOST_RECORDS: Final = 200
A, PTR, TXT, AAAA, SRV = 1, 12, 16, 28, 33
ANY_SERVICE: Final = "_services._dns-sd._udp.local"
"""Who offers what, of any kind (RFC 6763 9)."""
_IN: Final = 1
_CLASS: Final = 0x7FFF
_ANSWER: Final = 0x8400
_LONGEST_NAME: Final = 255
_MOST_JUMPS: Final = 32
_HEADER: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")
_SRV: Final = struct.Struct("!HHH")


class DnsQuestion(NamedTuple):
    """`unicast`: the answer may come to the asker alone (RFC 6762 5.4)."""

    name: str
    kind: int
    unicast: bool = False


class DnsRecord(NamedTuple):
    """`value`: of PTR a name, of SRV `HOST:PORT`, of A and AAAA an address, of TXT its texts joined by a
    space, of any other kind nothing. Names have no last dot, and are in lower case."""

    name: str
    kind: int
    ttl_s: int
    value: str


class DnsMessage(NamedTuple):
    """`response`: it answers. `records`: answers, and what was added to them."""

    response: bool
    questions: tuple[DnsQuestion, ...] = ()
    records: tuple[DnsRecord, ...] = ()


def encode_query(questions: Iterable[DnsQuestion]) -> bytes:
    """A query as mDNS sends it: with id 0 (RFC 6762 18.1). ValueError: a name that is none."""
    asked = list(questions)
    parts = [_HEADER.pack(0, 0, len(asked), 0, 0, 0)]
    for each in asked:
        bits = _IN | (0x8000 if each.unicast else 0)
        parts += [encode_name(each.name), struct.pack("!HH", each.kind, bits)]
    return b"".join(parts)


def encode_response(records: Iterable[DnsRecord]) -> bytes:
    """An answer to whoever listens. ValueError: a name or value that is none."""
    given = list(records)
    parts = [_HEADER.pack(0, _ANSWER, 0, len(given), 0, 0)]
    for each in given:
        data = _encode_value(each)
        parts += [encode_name(each.name), _RECORD.pack(each.kind, _IN, each.ttl_s, len(data)), data]
    return b"".join(parts)


def encode_name(name: str) -> bytes:
    """Labels with their lengths, without compression. ValueError: it is no name."""
    encoded = b""
    for label in name.rstrip(".").split("."):
        data = label.encode()
        if not 1 <= len(data) <= 63:
            raise ValueError(f"{name[:80]!r} is not a name")
        encoded += bytes([len(data)]) + data
    if len(encoded) >= _LONGEST_NAME:
        raise ValueError(f"{name[:80]!r} is too long for a name")
    return encoded + b"\0"


def _encode_value(record: DnsRecord) -> bytes:
    if record.kind == PTR:
        return encode_name(record.value)
    if record.kind == A:
        return IPv4Address(record.value).packed
    if record.kind == AAAA:
        return IPv6Address(record.value).packed
    if record.kind == SRV:
        host, _, port = record.value.rpartition(":")
        return _SRV.pack(0, 0, int(port)) + encode_name(host)
    texts = [each.encode()[:255] for each in record.value.split(" ")]
    return b"".join(bytes([len(each)]) + each for each in texts)


def decode(data: bytes) -> DnsMessage:
    """Read a message. ProtocolError: it is none, or holds too much."""
    if not _HEADER.size <= len(data) <= LARGEST:
        raise ProtocolError(f"a DNS message of {len(data)} bytes")
    _, flags, asked, answers, authorities, additional = _HEADER.unpack_from(data)
    if flags & 0x7800:
        raise ProtocolError("a DNS message that is no query")
    if asked + answers + authorities + additional > MOST_RECORDS:
        raise ProtocolError(f"a DNS message with more than {MOST_RECORDS} records")
    reader = _Reader(data, _HEADER.size)
    questions = tuple(reader.question() for _ in range(asked))
    records = tuple(reader.record() for _ in range(answers + authorities + additional))
    return DnsMessage(bool(flags & 0x8000), questions, records)


class _Reader:
    """Reads one part after the other."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def _unpack(self, form: struct.Struct) -> tuple[int, ...]:
        if self._at + form.size > len(self._data):
            raise ProtocolError("a DNS message that ends too soon")
        found = form.unpack_from(self._data, self._at)
        self._at += form.size
        return found

    def question(self) -> DnsQuestion:
        name = self._name()
        kind, bits = self._unpack(struct.Struct("!HH"))
        return DnsQuestion(name, kind, bool(bits & 0x8000))

    def record(self) -> DnsRecord:
        name = self._name()
        kind, bits, ttl_s, length = self._unpack(_RECORD)
        end = self._at + length
        if end > len(self._data):
            raise ProtocolError("a DNS record that ends too soon")
        value = self._value(kind, end) if bits & _CLASS == _IN else ""
        self._at = end
        return DnsRecord(name, kind, ttl_s, value)

    def _value(self, kind: int, end: int) -> str:
        data = self._data[self._at : end]
        if kind == PTR:
            return self._name()
        if kind == A and len(data) == 4:
            return str(IPv4Address(data))
        if kind == AAAA and len(data) == 16:
            return str(IPv6Address(data))
        if kind == SRV and len(data) > _SRV.size:
            port = self._unpack(_SRV)[2]
            return f"{self._name()}:{port}"
        return _texts(data) if kind == TXT else ""

    def _name(self) -> str:
        """Compressed as RFC 1035 4.1.4 has it; a pointer leads backwards alone, so that none leads in a
        circle."""
        labels: list[str] = []
        at, after, jumps, size = self._at, None, 0, 0
        while True:
            if at >= len(self._data):
                raise ProtocolError("a DNS name that ends too soon")
            length = self._data[at]
            if length >= 0xC0:
                if at + 1 >= len(self._data):
                    raise ProtocolError("a DNS name that ends too soon")
                to = (length & 0x3F) << 8 | self._data[at + 1]
                after = at + 2 if after is None else after
                jumps += 1
                if to >= at or jumps > _MOST_JUMPS:
                    raise ProtocolError("a DNS name that leads in a circle")
                at = to
            elif length >= 0x40:
                raise ProtocolError("a DNS name with a label of an unknown kind")
            elif length == 0:
                self._at = at + 1 if after is None else after
                return ".".join(labels)
            else:
                size += length + 1
                if size > _LONGEST_NAME or at + 1 + length > len(self._data):
                    raise ProtocolError("a DNS name that is too long")
                labels.append(_label(self._data[at + 1 : at + 1 + length]))
                at += 1 + length


def _label(data: bytes) -> str:
    """In lower case; dots within a label are none between labels."""
    return data.decode("utf-8", "replace").lower().replace(".", "\u2024")


def _texts(data: bytes) -> str:
    texts, at = [], 0
    while at < len(data):
        length = data[at]
        texts.append(data[at + 1 : at + 1 + length].decode("utf-8", "replace"))
        at += 1 + length
    return " ".join(texts)
