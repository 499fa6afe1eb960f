"""How long IPv6 takes beside IPv4, and which of them a program that tries both would use. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import inf
from typing import Final, Literal

from nattools.engine.analysis.evidence import FAMILIES, TRANSPORTS
from nattools.engine.analysis.findings import Findings, milliseconds
from nattools.model.endpoint import Family, read_endpoint
from nattools.model.ipv6 import LatencyByFamily
from nattools.model.observation import Binding, Connection

CONNECTION_ATTEMPT_DELAY_MS: Final = 250.0
"""RFC 8305 5: so long an answer over the preferred family is waited for."""
_REPEATED_SYN_S: Final = 1.0  # RFC 6298 2.1
_SLOW_FACTOR: Final = 3.0
_SLOW_MS: Final = 50.0
_MUCH_MS: Final = 150.0
"""So much more is noticed whatever IPv4 takes, or seems to on a busy machine, whose own time is in both."""


def latency(findings: Findings) -> LatencyByFamily:
    """The shortest round trip to one server by both families; else to the nearest by each."""
    return compared(findings) or _shortest(_by_server(findings))


def compared(findings: Findings) -> LatencyByFamily | None:
    """The shortest ones to servers that answered over both families; None: there are none, and what two
    servers take says nothing of the families."""
    both = [known for known in _by_server(findings) if len(known) == 2]
    return _shortest(both) if both else None


def _by_server(findings: Findings) -> list[dict[Family, float]]:
    """The shortest round trips, in seconds."""
    by_server: dict[str, dict[Family, float]] = defaultdict(dict)
    names = {server.address: server.uri for server in findings.measurement.servers if server.address}
    hosts = {at.host: uri for address, uri in names.items() if (at := read_endpoint(address)) is not None}
    for host, family, rtt_s in _round_trips(findings):
        known = by_server[hosts.get(host, host)]
        known[family] = min(rtt_s, known.get(family, rtt_s))
    return list(by_server.values())


def _shortest(chosen: list[dict[Family, float]]) -> LatencyByFamily:
    four, six = (
        min((known[family] for known in chosen if family in known), default=None) for family in (4, 6)
    )
    return LatencyByFamily(ipv4=milliseconds(four), ipv6=milliseconds(six))


def _round_trips(findings: Findings) -> list[tuple[str, Family, float]]:
    """Over UDP each copy of a question has an answer of its own; where none came, how long connections took,
    but for those of which a SYN may have been lost."""
    found: list[tuple[str, Family, float]] = []
    for family in FAMILIES:
        udp, tcp = (findings.by_path.get((transport, family)) for transport in TRANSPORTS)
        asked = [(each.asked, each) for each in (udp.path.bindings if udp is not None else ())]
        made = [(each.remote, each) for each in (tcp.path.connections if tcp is not None else ())]
        found += _answered(family, asked, inf) or _answered(family, made, _REPEATED_SYN_S)
    return found


def _answered(
    family: Family, seen: Sequence[tuple[str, Binding | Connection]], below_s: float
) -> list[tuple[str, Family, float]]:
    return [
        (at.host, family, each.rtt_s)
        for asked, each in seen
        if each.outcome == "answered" and each.rtt_s is not None and 0 <= each.rtt_s < below_s
        if (at := read_endpoint(asked)) is not None
    ]


def preferred(
    works4: bool | None, works6: bool | None, found: LatencyByFamily | None
) -> Literal[4, 6] | None:
    """IPv6, unless it takes longer than IPv4 by more than a connection attempt is waited for (RFC 8305 5)."""
    if works6 is not True:
        return 4 if works4 and works6 is False else None
    if not works4:
        return 6 if works4 is False else None
    if found is None or found.ipv4 is None or found.ipv6 is None:
        return None
    return 6 if found.ipv6 <= found.ipv4 + CONNECTION_ATTEMPT_DELAY_MS else 4


def is_slow(found: LatencyByFamily | None) -> bool:
    """Does IPv6 take so much longer that people notice?"""
    if found is None or found.ipv4 is None or found.ipv6 is None:
        return False
    more = found.ipv6 - found.ipv4
    return more >= _MUCH_MS or (more >= _SLOW_MS and found.ipv6 >= _SLOW_FACTOR * found.ipv4)
