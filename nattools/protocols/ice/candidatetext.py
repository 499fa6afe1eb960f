"""Candidates as text: the value of SDP's candidate attribute, alone (RFC 8839 5.1, RFC 6544 4.5).

A port mapping's candidate is a server-reflexive one with the extension `via mapping`, which others ignore.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final, cast, get_args

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Transport
from nattools.protocols.ice.candidate import Candidate, CandidateType, TcpType, bare

MAX_LENGTH: Final = 512
MAX_PRIORITY: Final = 2**31 - 1
_PREFIX: Final = "candidate:"
_FOUNDATION: Final = re.compile(r"[A-Za-z0-9+/]{1,32}")
_TYPES: Final = frozenset(get_args(CandidateType))
_TCP_TYPES: Final = frozenset(get_args(TcpType))


def encode(candidate: Candidate) -> str:
    """`candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host`."""
    host, port = bare(candidate.endpoint)
    text = f"{_PREFIX}{candidate.foundation} 1 {candidate.transport} {candidate.priority} {host} {port}"
    text += f" typ {candidate.kind}"
    if candidate.related is not None:
        related = bare(candidate.related)
        text += f" raddr {related.host} rport {related.port}"
    if candidate.tcp_type is not None:
        text += f" tcptype {candidate.tcp_type}"
    return text + " via mapping" if candidate.mapped else text


def parse(text: str) -> Candidate:
    """Read a peer's candidate; the attribute's `a=` may stand before it.

    ProtocolError: not one, one for another component than 1, or one whose address is a name: to look up a
    name that a peer chose would tell the resolver of it.
    """
    if len(text) > MAX_LENGTH:
        raise ProtocolError(f"a candidate of {len(text)} characters")
    if not text.isascii() or not text.isprintable():
        raise ProtocolError("a candidate with characters that are not printable ASCII")
    parts = text.removeprefix("a=").split()
    if len(parts) < 8 or parts[6].lower() != "typ":
        raise ProtocolError(
            "a candidate needs foundation, component, transport, priority, address, port, type"
        )
    extensions = _extensions(parts[8:])
    transport = _transport(parts[2])
    return Candidate(
        kind=_kind(parts[7]),
        endpoint=Endpoint(_address(parts[4]), _number(parts[5], "port", 0, 65535)),
        priority=_number(parts[3], "priority", 1, MAX_PRIORITY),
        foundation=_foundation(parts[0], parts[1]),
        transport=transport,
        tcp_type=_tcp_type(transport, extensions),
        related=_related(extensions),
        mapped=parts[7] == "srflx" and extensions.get("via") == "mapping",
    )


def _extensions(parts: list[str]) -> dict[str, str]:
    """Pairs of names and values; of a name that comes twice the first counts."""
    if len(parts) % 2:
        raise ProtocolError("a candidate's extension has no value")
    found: dict[str, str] = {}
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        found.setdefault(name, value)
    return found


def _foundation(text: str, component: str) -> str:
    if not text.startswith(_PREFIX):
        raise ProtocolError("a candidate begins with 'candidate:'")
    name = text[len(_PREFIX) :]
    if not _FOUNDATION.fullmatch(name):
        raise ProtocolError("a foundation has 1 to 32 letters, digits, + or /")
    if _number(component, "component", 1, 256) != 1:
        raise ProtocolError(f"a candidate for component {component}; there is only 1 here")
    return name


def _transport(text: str) -> Transport:
    name = text.lower()
    if name not in ("udp", "tcp"):
        raise ProtocolError("a candidate's transport is udp or tcp")
    return cast(Transport, name)


def _kind(text: str) -> CandidateType:
    if text not in _TYPES:
        raise ProtocolError("a candidate's type is host, srflx, prflx or relay")
    return cast(CandidateType, text)


def _tcp_type(transport: Transport, extensions: dict[str, str]) -> TcpType | None:
    if transport == "udp":
        return None
    text = extensions.get("tcptype", "")
    if text not in _TCP_TYPES:
        raise ProtocolError("a TCP candidate's tcptype is active, passive or so")
    return cast(TcpType, text)


def _related(extensions: dict[str, str]) -> Endpoint | None:
    """For people only, so what cannot be read is left out; browsers write 0.0.0.0 to hide theirs."""
    if "raddr" not in extensions or "rport" not in extensions:
        return None
    try:
        return Endpoint(_address(extensions["raddr"]), _number(extensions["rport"], "rport", 0, 65535))
    except ProtocolError:
        return None


def _address(text: str) -> str:
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        raise ProtocolError("a candidate's address is not an IP address") from None


def _number(text: str, name: str, lowest: int, highest: int) -> int:
    if not text.isdecimal() or len(text) > 10 or not lowest <= int(text) <= highest:
        raise ProtocolError(f"a candidate's {name} is a number from {lowest} to {highest}")
    return int(text)
