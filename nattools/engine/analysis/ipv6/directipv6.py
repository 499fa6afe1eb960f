"""The verdict on IPv6 without any help: from what was tried from outside, who stops it, and what is wrong
with IPv6 here. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from nattools.engine.analysis.areas import AreaFindings
from nattools.engine.analysis.findings import technique
from nattools.model.droppedat import DroppedAt
from nattools.model.ipv6 import Ipv6, ProblemCode
from nattools.model.report import Technique
from nattools.model.statement import Statement, statement

_BROKEN: Final[tuple[ProblemCode, ...]] = (
    "no-route",
    "route-blocked",
    "tentative",
    "ula-only",
    "no-answer",
    "router-silent",
    "forbidden-here",
    "vpn-silent",
)
"""What keeps IPv6 from working at all; that there is no address is known without."""
_STOPPED_BY: Final[dict[DroppedAt, str]] = {
    "host": "direct-stopped-host",
    "router": "direct-stopped-router",
    "beyond": "direct-stopped-beyond",
    "unknown": "direct-stopped-unknown",
}
_STOPPED: Final = ("filtered", "rejected", "prohibited")


def direct_ipv6(findings: AreaFindings, by_filtering: Callable[[AreaFindings], Technique]) -> Technique:
    """`by_filtering` says what follows from addresses and from the filtering alone."""
    base, setup = by_filtering(findings), findings.measurement.host.ipv6
    without = setup is not None and not setup.addresses and not findings.own_addresses(6)
    found = None if without else findings.ipv6
    if found is None:
        return base
    broken = {each.code: each for each in found.problems}
    for code in _BROKEN:
        if code in broken and base.verdict != "works":
            reason, remedy = broken[code].reason, broken[code].remedy
            return technique(base.id, "fails", 0.95, *reason, remedy=remedy, evidence=base.evidence)
    if found.translation in ("nat66", "nptv6"):
        remedies = [each.remedy for each in found.problems if each.code == "nat66"]
        return replace(base, remedy=remedies[0]) if remedies and not base.remedy else base
    return _tried(base, found)


def _tried(base: Technique, found: Ipv6) -> Technique:
    """What arrived, and what was stopped by whom."""
    states = {"UDP": found.inbound.udp, "TCP": found.inbound.tcp}
    stopped = tuple(name for name, state in states.items() if state in _STOPPED)
    opened = [name for name, state in states.items() if state == "open"]
    ids = found.evidence.get("inbound", ())
    if len(opened) == 2:
        return technique(base.id, "works", 0.99, statement("direct-open"), evidence=ids)
    if not stopped or opened:
        return base
    remedy = next((each.remedy for each in found.problems if each.code == "filtered"), base.remedy)
    why: list[Statement] = [statement(_STOPPED_BY[found.dropped_at or "unknown"], filtered=stopped)]
    if found.pinhole is not None:
        why.append(statement(f"ipv6-pinhole-{found.pinhole.outcome}"))
    confidence = 0.99 if len(stopped) == 2 else 0.8
    return technique(base.id, "fails", confidence, *why, remedy=remedy, evidence=ids)
