"""What a game console would call this network, and what people can do on it.

Microsoft's and Sony's names are what their support pages say in words. Nintendo's letters follow what its
console asks two servers, as those who took its protocol apart describe it. None of them publishes a rule.
"""

from __future__ import annotations

from typing import NamedTuple

from nattools.model.nat import Nat
from nattools.model.report import Report


class GameNames(NamedTuple):
    """Xbox and most games on computers; PlayStation; Nintendo Switch."""

    xbox: str
    playstation: str
    nintendo: str

    def __str__(self) -> str:
        return f"{self.xbox} (PlayStation {self.playstation}, Nintendo {self.nintendo})"


def game_names(nat: Nat | None, *, opens_ports: bool = False) -> GameNames | None:
    """From what was found over UDP and IPv4, which games use; None where that does not tell. `opens_ports`:
    the router was seen to open a port for everybody."""
    if nat is None:
        return None
    if nat.reachable is False:
        return GameNames("Strict", "Type 3", "F")
    if nat.present is None or nat.mapping == "unknown" or nat.filtering == "unknown":
        return None
    stable = nat.mapping in ("none", "endpoint-independent")
    by_port = nat.filtering == "address-and-port-dependent"
    if not stable:
        predictable = nat.port_allocation in ("preserving", "sequential")
        return GameNames("Open" if opens_ports else "Strict", "Type 3", "C" if predictable else "D")
    is_open = opens_ports or nat.filtering == "endpoint-independent"
    kind = "Type 1" if nat.present is False else "Type 2"
    return GameNames("Open" if is_open else "Moderate", kind, "B" if by_port else "A")


def game_names_of(report: Report) -> GameNames | None:
    """The names that games have for the network of a report."""
    opened = any((each.verified_inbound or each.arrives_at) and each.family == 4 for each in report.mappings)
    return game_names(report.nat.udp4, opens_ports=opened)


def what_works(report: Report) -> str:
    """Calls, joining and hosting, as far as it is known; empty where nothing is."""
    if report.advice is None or report.advice.reachable in ("offline", "unknown") or not report.peers:
        return ""
    direct = sum(one.path == "direct" for one in report.peers)
    unknown = sum(one.path == "unknown" for one in report.peers)
    if unknown > len(report.peers) // 2:
        return ""
    return f"{_calls(direct, len(report.peers))}, {_joining(report)}; {_hosting(report)}"


def _joining(report: Report) -> str:
    """A game that is hosted in a program sends from its port all the time: a full cone lets all in there."""
    over_udp = [nat for nat in (report.nat.udp4, report.nat.udp6) if nat and nat.reachable is not False]
    over_tcp = [nat for nat in (report.nat.tcp4, report.nat.tcp6) if nat and nat.reachable]
    if not over_udp and over_tcp and all(nat.blocked_ports for nat in over_tcp):
        return "joining few games"
    if any(why.code == "udp-ports-restricted" for one in report.techniques for why in one.reason):
        return "joining few games"
    names = game_names(report.nat.udp4)
    if names is not None and names.xbox == "Open" and not _hosts(report):
        return "joining, hosting games"
    return "joining games" if over_udp else "joining games that use TCP"


def _calls(direct: int, kinds: int) -> str:
    if direct == kinds:
        return "calls"
    return "calls (some through a relay)" if direct else "calls through a relay"


def _hosts(report: Report) -> bool:
    """Can it host over IPv4 in any other way?"""
    direct = any(one.id == "direct-ipv4" and one.verdict == "works" for one in report.techniques)
    return direct or any(
        (each.verified_inbound or each.arrives_at) and each.family == 4 for each in report.mappings
    )


def _hosting(report: Report) -> str:
    verdicts = {one.id: one.verdict for one in report.techniques}
    games_too = "hosting" in _joining(report)
    hosting = "a server" if games_too else "hosting"
    if verdicts.get("direct-ipv4") == "works":
        return "hosting too"
    if any((each.verified_inbound or each.arrives_at) and each.family == 4 for each in report.mappings):
        return "hosting on a port that the router opens"
    if verdicts.get("direct-ipv6") == "works":
        return f"{hosting} over IPv6 alone"
    if any(each.verified_inbound for each in report.mappings):
        return f"{hosting} over IPv6, on a port that the router opens"
    return "no server" if games_too else "not hosting a server"
