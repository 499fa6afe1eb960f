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
from nattools.protocols.dnsreader import HEADER, INTERNET, RECORD, DnsReader, RawRecord, encode_name, strings

PORT: Final = 5353
GROUPS: Final[dict[Family, str]] = {4: "224.0.0.251", 6: "ff02::fb"}
LARGEST: Final = 9000
"""Bytes of a message (RFC 6762 17)."""
MOST_RECORDS: Final = 200
A, PTR, TXT, AAAA, SRV = 1, 12, 16, 28, 33
ANY_SERVICE: Final = "_services._dns-sd._udp.local"
"""Who offers what, of any kind (RFC 6763 9)."""
_CLASS: Final = 0x7FFF
_ANSWER: Final = 0x8400
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
    parts = [HEADER.pack(0, 0, len(asked), 0, 0, 0)]
    for each in asked:
        bits = INTERNET | (0x8000 if each.unicast else 0)
        parts += [encode_name(each.name), struct.pack("!HH", each.kind, bits)]
    return b"".join(parts)


def encode_response(records: Iterable[DnsRecord]) -> bytes:
    """An answer to whoever listens. ValueError: a name or value that is none."""
    given = list(records)
    parts = [HEADER.pack(0, _ANSWER, 0, len(given), 0, 0)]
    for each in given:
        data = _encode_value(each)
        parts += [encode_name(each.name), RECORD.pack(each.kind, INTERNET, each.ttl_s, len(data)), data]
    return b"".join(parts)


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
    if not HEADER.size <= len(data) <= LARGEST:
        raise ProtocolError(f"a DNS message of {len(data)} bytes")
    _, flags, asked, answers, authorities, additional = HEADER.unpack_from(data)
    if flags & 0x7800:
        raise ProtocolError("a DNS message that is not a query")
    if asked + answers + authorities + additional > MOST_RECORDS:
        raise ProtocolError(f"a DNS message with more than {MOST_RECORDS} records")
    reader = DnsReader(data, HEADER.size)
    questions = tuple(_question(reader) for _ in range(asked))
    records = tuple(_record(reader) for _ in range(answers + authorities + additional))
    return DnsMessage(bool(flags & 0x8000), questions, records)


def _question(reader: DnsReader) -> DnsQuestion:
    name, kind, bits = reader.question()
    return DnsQuestion(name, kind, bool(bits & 0x8000))


def _record(reader: DnsReader) -> DnsRecord:
    raw = reader.record()
    value = _value(reader.data, raw) if raw.bits & _CLASS == INTERNET else ""
    return DnsRecord(raw.name, raw.kind, raw.ttl_s, value)


def _value(message: bytes, raw: RawRecord) -> str:
    data = message[raw.start : raw.end]
    if raw.kind == PTR:
        return DnsReader(message, raw.start).name()
    if raw.kind == A and len(data) == 4:
        return str(IPv4Address(data))
    if raw.kind == AAAA and len(data) == 16:
        return str(IPv6Address(data))
    if raw.kind == SRV and len(data) > _SRV.size:
        place = DnsReader(message, raw.start)
        port = place.unpack(_SRV)[2]
        return f"{place.name()}:{port}"
    return " ".join(each.decode("utf-8", "replace") for each in strings(data)) if raw.kind == TXT else ""
