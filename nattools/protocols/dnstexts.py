"""The TXT records of a name, asked of a name server (RFC 1035, RFC 7766 8 over TCP). Pure.

Only what answers the question counts: the same id and name, and records of that name, or of one that it is
another name for."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from nattools.errors import ProtocolError
from nattools.protocols.dnsreader import HEADER, INTERNET, DnsReader, encode_name, strings

PORT: Final = 53
LARGEST: Final = 16384
MOST_RECORDS: Final = 200
MOST_TEXTS: Final = 100
LONGEST_TEXT: Final = 2048
_CNAME: Final = 5
_TXT: Final = 16
_OPT: Final = struct.pack("!BHHIH", 0, 41, 1232, 0, 0)
"""EDNS(0) with room for 1232 bytes (RFC 6891 6.1.2), which no path breaks into pieces."""
_CODES: Final = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
NO_SUCH_NAME: Final = "NXDOMAIN"


class TextsAnswer(NamedTuple):
    """`code`: "" where the server answers, else its error (RFC 1035 4.1.1). `truncated`: it is to be had over
    TCP."""

    texts: tuple[str, ...] = ()
    code: str = ""
    truncated: bool = False


def encode_question(name: str, number: int) -> bytes:
    """A question for a name's TXT records, for whoever looks up on behalf of others. `number`: its id, 16
    bits. ValueError: it is no name."""
    asked = encode_name(name) + struct.pack("!HH", _TXT, INTERNET)
    return HEADER.pack(number, 0x0100, 1, 0, 0, 1) + asked + _OPT


def decode_answer(data: bytes, name: str, number: int) -> TextsAnswer:
    """The answer to that question. ProtocolError: it is none, or holds too much."""
    if not HEADER.size <= len(data) <= LARGEST:
        raise ProtocolError(f"a DNS message of {len(data)} bytes")
    answered, flags, asked, answers, _, _ = HEADER.unpack_from(data)
    if answered != number or not flags & 0x8000 or flags & 0x7800 or asked != 1:
        raise ProtocolError("a DNS message that does not answer the question")
    reader = DnsReader(data, HEADER.size)
    wanted = name.rstrip(".").lower()
    if reader.question() != (wanted, _TXT, INTERNET):
        raise ProtocolError("a DNS message that answers another question")
    truncated, code = bool(flags & 0x0200), flags & 0xF
    if code:
        return TextsAnswer(code=_CODES.get(code, f"error {code}"))
    if truncated:
        return TextsAnswer(truncated=True)
    if answers > MOST_RECORDS:
        raise ProtocolError(f"a DNS message with more than {MOST_RECORDS} records")
    return TextsAnswer(_texts(reader, answers, wanted))


def _texts(reader: DnsReader, answers: int, wanted: str) -> tuple[str, ...]:
    """Servers put the names that a name is another one for before what is there (RFC 1034 3.6.2)."""
    names: set[str] = {wanted}
    found: list[str] = []
    for _ in range(answers):
        raw = reader.record()
        if raw.name not in names or raw.bits != INTERNET:
            continue
        if raw.kind == _CNAME:
            names.add(DnsReader(reader.data, raw.start).name())
        elif raw.kind == _TXT and len(found) < MOST_TEXTS:
            text = b"".join(strings(reader.data[raw.start : raw.end]))[:LONGEST_TEXT]
            found.append(text.decode("utf-8", "replace"))
    return tuple(found)
