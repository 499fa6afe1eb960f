"""Candidates: where an agent can be reached, how much it prefers that, and which of them stand and fall
together (RFC 8445 5.1; RFC 6544 for TCP; RFC 8421 for hosts with several addresses)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv6Network, ip_address
from typing import Final, Literal, cast, get_args
from zlib import crc32

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import BROADCAST, Endpoint, Transport, parse_address

CandidateType = Literal["host", "srflx", "prflx", "relay"]
TcpType = Literal["active", "passive", "so"]

MAX_PREFERENCE: Final = 65535
_TYPE_PREFERENCE: Final[dict[CandidateType, int]] = {"host": 126, "prflx": 110, "srflx": 100, "relay": 0}
_MAPPED_PREFERENCE: Final = 105
"""A port that a router was asked for stays open without traffic, so it goes before what STUN only saw."""
_TCP_HANDICAP: Final = 40
"""UDP before TCP of any direct kind (RFC 6544 4.2): TCP holds up everything behind a lost segment."""
_DIRECTION: Final[dict[bool, dict[TcpType, int]]] = {
    False: {"active": 6, "passive": 4, "so": 2},
    True: {"so": 6, "active": 4, "passive": 2},  # behind a NAT the simultaneous open is likeliest to work
}


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One way to reach an agent.

    `endpoint` is what the peer sends to; `base` where the agent itself sends from, the same for host and
    relayed candidates; remote candidates have None there. `related` is for diagnosis (RFC 8839 5.1, raddr).
    `mapped` marks a server-reflexive one that a port mapping protocol promised. Component is always 1.
    """

    kind: CandidateType
    endpoint: Endpoint
    priority: int
    foundation: str
    transport: Transport = "udp"
    tcp_type: TcpType | None = None
    base: Endpoint | None = None
    related: Endpoint | None = None
    mapped: bool = False

    @property
    def family(self) -> Literal[4, 6]:
        """4 or 6."""
        return self.endpoint.family

    @property
    def sends_from(self) -> Endpoint:
        """The base, or the endpoint itself where there is none."""
        return self.endpoint if self.base is None else self.base

    @property
    def name(self) -> str:
        """For people: "host 10.0.0.2:4000"."""
        kind = "mapped" if self.mapped else self.kind
        return f"{kind} {self.endpoint}" + ("" if self.tcp_type is None else f" tcp {self.tcp_type}")


def priority(
    kind: CandidateType,
    *,
    local_preference: int = MAX_PREFERENCE,
    tcp_type: TcpType | None = None,
    mapped: bool = False,
) -> int:
    """RFC 8445 5.1.2.1, with RFC 6544 4.2's local preference for TCP: its 3 bits of direction go first.

    `local_preference` is 0..65535. ValueError for others."""
    if not 0 <= local_preference <= MAX_PREFERENCE:
        raise ValueError(f"a local preference is 0 to {MAX_PREFERENCE}, not {local_preference}")
    type_preference = _MAPPED_PREFERENCE if mapped else _TYPE_PREFERENCE[kind]
    if tcp_type is not None:
        type_preference = max(0, type_preference - _TCP_HANDICAP)
        direction = _DIRECTION[kind in ("srflx", "prflx")][tcp_type]
        local_preference = direction << 13 | local_preference >> 3
    return type_preference << 24 | local_preference << 8 | 255


def local_preferences(hosts: Sequence[str]) -> dict[str, int]:
    """A local preference for each address of a host, given in its own order of preference.

    The families take turns, IPv6 first, so that neither is starved of checks when the other one is broken
    (RFC 8421 4)."""
    queues = {6: [h for h in hosts if ":" in h], 4: [h for h in hosts if ":" not in h]}
    ordered: list[str] = []
    while queues[6] or queues[4]:
        ordered += [queues[family].pop(0) for family in (6, 4) if queues[family]]
    return {host: max(0, MAX_PREFERENCE - 256 * place) for place, host in enumerate(ordered)}


def foundation(
    kind: CandidateType, base_host: str, transport: Transport = "udp", mapped: bool = False
) -> str:
    """The same for candidates of one type, base address and transport (RFC 8445 5.1.1.3)."""
    return f"{crc32(f'{kind} {base_host} {transport} {mapped}'.encode()):x}"


def local_candidate(
    kind: CandidateType,
    endpoint: Endpoint,
    *,
    base: Endpoint | None = None,
    transport: Transport = "udp",
    tcp_type: TcpType | None = None,
    local_preference: int = MAX_PREFERENCE,
    mapped: bool = False,
) -> Candidate:
    """A candidate of one's own."""
    from_where = endpoint if base is None else base
    return Candidate(
        kind=kind,
        endpoint=endpoint,
        priority=priority(kind, local_preference=local_preference, tcp_type=tcp_type, mapped=mapped),
        foundation=foundation(kind, from_where.host, transport, mapped),
        transport=transport,
        tcp_type=tcp_type,
        base=from_where,
        related=None if from_where == endpoint else from_where,
        mapped=mapped,
    )


def bare(endpoint: Endpoint) -> Endpoint:
    """Without the zone of a link-local address, which means nothing on another machine."""
    host, separator, _ = endpoint.host.partition("%")
    return Endpoint(host, endpoint.port) if separator else endpoint


def why_not_a_target(endpoint: Endpoint) -> str | None:
    """Why no check may go to this address: a peer could otherwise turn an agent against bystanders."""
    address = ip_address(endpoint.host.partition("%")[0])
    if address.is_multicast:
        return "a multicast address"
    if address.is_unspecified or str(address) == BROADCAST:
        return "not an address of one host"
    return "port 0" if endpoint.port == 0 else None


def scope(host: str) -> str:
    """Addresses pair with those of the same scope only (RFC 8445 6.1.2.2). What is sent to a discard-only one
    reaches nobody (RFC 6666): such stand for the keys of relays that know no addresses."""
    address = parse_address(host)
    if address.is_loopback:
        return f"loopback {address.version}"
    if address.version == 6 and address.is_link_local:
        return "link-local 6"
    if address.version == 6 and address in _DISCARD_ONLY:
        return "discard-only 6"
    return f"global {address.version}"


MAX_LENGTH: Final = 512
MAX_PRIORITY: Final = 2**31 - 1
_PREFIX: Final = "candidate:"
_FOUNDATION: Final = re.compile(r"[A-Za-z0-9+/]{1,32}")
_DISCARD_ONLY: Final = IPv6Network("100::/64")
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
