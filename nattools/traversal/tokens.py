"""Tokens for `--manual`: all that a peer must know, as text that survives any chat.

`NT1` and then Crockford's base32: letters and digits only (what chats do to _, * and - does no harm), case,
blanks and line ends do not matter, and O, I and L are read as 0, 1 and 1. Within: two bytes of length, the
content, and a CRC-32 that catches slips of the keyboard; it does not authenticate: whoever can change a token
in the chat can put in another peer's, so the way a token takes must be trusted as the message beside it is.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal, get_args

from nattools.errors import UsageError
from nattools.model.endpoint import Endpoint, Transport

VERSION: Final = 1
MAX_CANDIDATES: Final = 32
MAX_TEXT: Final = 2000
KEY_SIZE: Final = 32
_MAX_CONTENT: Final = 1100

CandidateKind = Literal["host", "server-reflexive", "peer-reflexive", "relayed", "mapped"]
TcpKind = Literal["active", "passive", "simultaneous-open"]
Mapping = Literal[
    "unknown", "none", "endpoint-independent", "address-dependent", "address-and-port-dependent"
]
Filtering = Literal[
    "unknown", "none", "endpoint-independent", "address-dependent", "address-and-port-dependent"
]
Relaying = Literal["reserve", "only", "never"]
"""When nothing direct works; whatever else works; not at all."""
Allocation = Literal["unknown", "preserving", "sequential", "random", "block", "blocked"]

_KINDS: Final[tuple[CandidateKind, ...]] = get_args(CandidateKind)
_WAYS: Final[tuple[tuple[Transport, TcpKind | None], ...]] = (
    ("udp", None),
    ("tcp", "active"),
    ("tcp", "passive"),
    ("tcp", "simultaneous-open"),
)
_MAPPINGS: Final[tuple[Mapping, ...]] = get_args(Mapping)
_FILTERINGS: Final[tuple[Filtering, ...]] = get_args(Filtering)
_RELAYING: Final[tuple[Relaying, ...]] = get_args(Relaying)
_ALLOCATIONS: Final[tuple[Allocation, ...]] = get_args(Allocation)
_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)} | {"O": 0, "I": 1, "L": 1}
_ICE: Final = re.compile(r"[A-Za-z0-9+/]{4,256}\Z")


@dataclass(frozen=True, slots=True)
class TokenCandidate:
    """An address to try (RFC 8445 5.1); their order in a token is the order of preference."""

    kind: CandidateKind
    endpoint: Endpoint
    transport: Transport = "udp"
    tcp: TcpKind | None = None


@dataclass(frozen=True, slots=True)
class TokenBehaviour:
    """How a NAT treats a transport, in RFC 4787's terms. "blocked": the transport does not get out at all.

    `step`: of a sequential allocation, in ports. `block`: (first port, ports) where allocation is "block".
    `last_port`: the last mapped port seen, to predict from. `low_ports`: may this side send from ports below
    1024? `pooled`: each new mapping may get any of several outside addresses, which the candidates tell.
    """

    transport: Transport = "udp"
    mapping: Mapping = "unknown"
    filtering: Filtering = "unknown"
    allocation: Allocation = "unknown"
    step: int = 0
    block: tuple[int, int] | None = None
    last_port: int | None = None
    low_ports: bool = False
    pooled: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    """One side's. `ufrag` and `pwd` are ICE's (RFC 8445 5.3); `public_key` is what its certificate's key
    hashes to or is, KEY_SIZE bytes. `relaying`: when it is willing to use a relay."""

    public_key: bytes
    ufrag: str
    pwd: str
    candidates: tuple[TokenCandidate, ...] = ()
    behaviours: tuple[TokenBehaviour, ...] = field(default=())
    relaying: Relaying = "reserve"


def encode_token(token: Token) -> str:
    """The text to paste. ValueError: a field is out of bounds."""
    content = bytes(_content(token))
    body = len(content).to_bytes(2, "big") + content
    body += zlib.crc32(body).to_bytes(4, "big")
    return f"NT{VERSION}" + _to_base32(body)


def decode_token(text: str) -> Token:
    """Read what was pasted. UsageError: it is no token, and why."""
    content = _checked(_to_bytes(_digits(text)))
    reader = _Reader(content)
    token = Token(
        public_key=reader.take(KEY_SIZE),
        ufrag=reader.ice_text(),
        pwd=reader.ice_text(),
        candidates=tuple(_candidate(reader) for _ in range(reader.count(MAX_CANDIDATES))),
        behaviours=tuple(_behaviour(reader) for _ in range(reader.count(2))),
        relaying=_RELAYING[0 if reader.at_end else reader.count(len(_RELAYING) - 1)],
    )
    reader.end()
    if not _ICE.match(token.ufrag) or not 22 <= len(token.pwd) <= 256:
        raise _wrong("its credentials are too short")
    return token


# The text.


def _to_base32(data: bytes) -> str:
    bits = int.from_bytes(data, "big") << (-len(data) * 8) % 5
    count = -(-len(data) * 8 // 5)
    return "".join(_DIGITS[bits >> 5 * place & 31] for place in range(count - 1, -1, -1))


def _digits(text: str) -> str:
    """What follows the mark, in capitals and without blanks."""
    if len(text) > 2 * MAX_TEXT:
        raise UsageError(f"that is not a token: {len(text)} characters, and a token has at most {MAX_TEXT}")
    plain = re.sub(r"[\s\u200b\u200c\u200d\u2060\ufeff-]+", "", text).strip("\"'`*_<>.,").upper()
    if not plain:
        raise UsageError("there is no token")
    mark = re.match(r"NT([0-9A-Z])", plain)
    if mark is None:
        raise UsageError("that is not a nattools token: a token begins with NT1. Is its beginning missing?")
    if mark.group(1) not in (str(VERSION), "I", "L"):
        raise UsageError(
            f"that is a token of version {mark.group(1)}; this nattools reads version {VERSION}: "
            "both sides need the same nattools"
        )
    return plain[3:]


def _to_bytes(digits: str) -> bytes:
    bits = 0
    for place, digit in enumerate(digits):
        value = _VALUES.get(digit)
        if value is None:
            raise UsageError(
                f"the token is damaged: character {place + 4} is {digit!r}, which is not used in tokens"
            )
        bits = bits << 5 | value
    count = len(digits) * 5 // 8
    return (bits >> len(digits) * 5 - count * 8).to_bytes(count, "big")


def _checked(body: bytes) -> bytes:
    """The content, whole and undamaged."""
    if len(body) < 2:
        raise UsageError("the token is cut off near its beginning; copy all of it")
    size = int.from_bytes(body[:2], "big")
    if size > _MAX_CONTENT:
        raise UsageError("the token is damaged near its beginning; copy it again")
    wanted, have = (_length(each) for each in (size + 6, len(body)))
    if len(body) < size + 6:
        raise UsageError(f"the token is cut off: it has about {have} of {wanted} characters; copy all of it")
    if len(body) > size + 6:
        raise UsageError(
            f"the token is too long: it should have {wanted} characters; was something pasted after it, "
            "or a character repeated?"
        )
    if zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "big"):
        raise UsageError("the token is damaged: one of its characters was changed; copy it again")
    return body[2:-4]


def _length(size: int) -> int:
    return 3 + -(-size * 8 // 5)


# The content.


def _content(token: Token) -> Iterator[int]:
    if len(token.public_key) != KEY_SIZE:
        raise ValueError(f"a public key has {KEY_SIZE} bytes")
    if len(token.candidates) > MAX_CANDIDATES or len(token.behaviours) > 2:
        raise ValueError("too many candidates, or more than a behaviour for each transport")
    yield from token.public_key
    yield from _pack_ice_text(token.ufrag)
    yield from _pack_ice_text(token.pwd)
    yield len(token.candidates)
    for candidate in token.candidates:
        yield from _pack_candidate(candidate)
    yield len(token.behaviours)
    for behaviour in token.behaviours:
        yield from _pack_behaviour(behaviour)
    if token.relaying != _RELAYING[0]:
        yield _RELAYING.index(token.relaying)


def _pack_ice_text(text: str) -> bytes:
    """RFC 8445's ice-chars are the digits of base64: four of them take three bytes."""
    if not _ICE.match(text) or len(text) > 255:
        raise ValueError("credentials are 4 to 255 letters, digits, + and / (RFC 8839 5.4)")
    return bytes((len(text),)) + base64.b64decode(text + "A" * (-len(text) % 4))[: -(-len(text) * 6 // 8)]


def _pack_candidate(candidate: TokenCandidate) -> bytes:
    """A byte: kind (bits 0 to 3), way (4 and 5), IPv6 (6); the address; the port."""
    address = ip_address(candidate.endpoint.host)
    way = _WAYS.index((candidate.transport, candidate.tcp))
    head = _KINDS.index(candidate.kind) | way << 4 | (address.version == 6) << 6
    return bytes((head,)) + address.packed + candidate.endpoint.port.to_bytes(2, "big")


def _pack_behaviour(behaviour: TokenBehaviour) -> bytes:
    """Two bytes of choices, then what some of them need: step, block, last port."""
    block, last = behaviour.block, behaviour.last_port
    choices = (
        _MAPPINGS.index(behaviour.mapping)
        | _FILTERINGS.index(behaviour.filtering) << 3
        | _ALLOCATIONS.index(behaviour.allocation) << 6
        | (behaviour.transport == "tcp") << 9
        | behaviour.low_ports << 10
        | (behaviour.step != 0) << 11
        | (block is not None) << 12
        | (last is not None) << 13
        | behaviour.pooled << 14
    )
    parts = [choices.to_bytes(2, "big")]
    if behaviour.step:
        parts.append(behaviour.step.to_bytes(2, "big", signed=True))
    parts += [port.to_bytes(2, "big") for port in (*(block or ()), *_present(last))]
    return b"".join(parts)


def _present(value: int | None) -> Iterable[int]:
    return () if value is None else (value,)


class _Reader:
    """Takes a token's content apart. UsageError: it does not hold together."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def take(self, size: int) -> bytes:
        end = self._position + size
        if end > len(self._content):
            raise _wrong("its content ends too early")
        data = self._content[self._position : end]
        self._position = end
        return data

    def number(self, size: int = 2, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "big", signed=signed)

    def count(self, most: int) -> int:
        found = self.number(1)
        if found > most:
            raise _wrong(f"{found} entries where at most {most} are allowed")
        return found

    def ice_text(self) -> str:
        size = self.number(1)
        packed = self.take(-(-size * 6 // 8))
        return base64.b64encode(packed + bytes(-len(packed) % 3)).decode()[:size]

    @property
    def at_end(self) -> bool:
        return self._position == len(self._content)

    def end(self) -> None:
        if not self.at_end:
            raise _wrong("there is data after its content")


def _candidate(reader: _Reader) -> TokenCandidate:
    head = reader.number(1)
    if head & 15 >= len(_KINDS) or head & 0x80:
        raise _wrong("a candidate of a kind that version 1 does not have")
    transport, tcp = _WAYS[head >> 4 & 3]
    packed = reader.take(16 if head & 0x40 else 4)
    address = IPv6Address(packed) if head & 0x40 else IPv4Address(packed)
    return TokenCandidate(_KINDS[head & 15], Endpoint(str(address), reader.number()), transport, tcp)


def _behaviour(reader: _Reader) -> TokenBehaviour:
    choices = reader.number()
    mapping, filtering, allocation = choices & 7, choices >> 3 & 7, choices >> 6 & 7
    if mapping >= len(_MAPPINGS) or filtering >= len(_FILTERINGS) or allocation >= len(_ALLOCATIONS):
        raise _wrong("a NAT behaviour that version 1 does not have")
    return TokenBehaviour(
        transport="tcp" if choices & 1 << 9 else "udp",
        mapping=_MAPPINGS[mapping],
        filtering=_FILTERINGS[filtering],
        allocation=_ALLOCATIONS[allocation],
        low_ports=bool(choices & 1 << 10),
        step=reader.number(signed=True) if choices & 1 << 11 else 0,
        block=(reader.number(), reader.number()) if choices & 1 << 12 else None,
        last_port=reader.number() if choices & 1 << 13 else None,
        pooled=bool(choices & 1 << 14),
    )


def _wrong(why: str) -> UsageError:
    return UsageError(f"that token was not made by nattools: {why}")
