"""What becomes of what nobody asked for over IPv6, and who stops it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nattools.engine.analysis.evidence import PathEvidence
from nattools.engine.analysis.findings import Findings
from nattools.engine.analysis.inbounddrops import Stopped, who_stops
from nattools.model.confidence import CERTAIN_ERROR, WORST_LOSS, chance_of_silence
from nattools.model.droppedat import DroppedAt
from nattools.model.endpoint import Family
from nattools.model.ipv6 import Inbound, InboundByTransport, ReachableByTransport
from nattools.model.ipv6trial import InboundCheck, tried

_SAID: dict[str, Inbound] = {
    "arrived": "open",
    "refused": "rejected",
    "unreachable": "rejected",
    "prohibited": "prohibited",
}
_REACHED: dict[Inbound, bool] = {"open": True, "filtered": False, "rejected": False, "prohibited": False}


class InboundFinding(msgspec.Struct, frozen=True):
    """`by_address` has those of each address that was tried, `first` the one that the system chooses."""

    first: InboundByTransport = InboundByTransport()
    icmp: Inbound = "unknown"
    by_address: dict[str, InboundByTransport] = {}
    dropped_at: DroppedAt | None = None
    evidence: tuple[int, ...] = ()

    @property
    def reachable(self) -> ReachableByTransport:
        """In three values."""
        return ReachableByTransport(
            udp=_REACHED.get(self.first.udp), tcp=_REACHED.get(self.first.tcp), icmp=_REACHED.get(self.icmp)
        )


def inbound(findings: Findings, family: Family) -> InboundFinding:
    """From what was tried; nothing, where nothing was."""
    checks = checks_of(findings, family)
    if not checks:
        return InboundFinding()
    by_address = {each.address: _of_address(findings, checks, each.address) for each in checks}
    first = checks[0].address
    of_first = [each for each in checks if each.address == first]
    pings: list[Inbound] = [_state(findings, each) for each in of_first if each.transport == "icmp"]
    return InboundFinding(
        by_address[first],
        pings[0] if pings else "unknown",
        by_address,
        _dropped_at(findings, family, [each for each in of_first if each.transport != "icmp"]),
        tuple(each.id for each in checks),
    )


def checks_of(findings: Findings, family: Family) -> list[InboundCheck]:
    """All that were made over this family, those of the address that the system chooses first, whichever was
    answered first."""
    seen, way = findings.measurement.observations, findings.way(family)
    checks = [each for each in seen if isinstance(each, InboundCheck) and each.family == family]
    return sorted(checks, key=lambda each: way is not None and each.address != way.source)


def _of_address(findings: Findings, checks: Iterable[InboundCheck], address: str) -> InboundByTransport:
    states = {each.transport: _state(findings, each) for each in checks if each.address == address}
    return InboundByTransport(udp=states.get("udp", "unknown"), tcp=states.get("tcp", "unknown"))


def _state(findings: Findings, check: InboundCheck) -> Inbound:
    """Silence counts where chance cannot explain it."""
    if check.outcome in _SAID:
        return _SAID[check.outcome]
    return "filtered" if check.outcome == "timeout" and _conclusive(findings, check) else "unknown"


def _conclusive(findings: Findings, check: InboundCheck) -> bool:
    path = findings.by_path.get(("udp", check.family))
    if path is not None and path.path.loss.sent:
        return path.path.loss.conclusive(tried(check.transport, check.sent, path.path.loss.lost))
    return chance_of_silence(check.sent, WORST_LOSS) < CERTAIN_ERROR


def _dropped_at(findings: Findings, family: Family, checks: list[InboundCheck]) -> DroppedAt | None:
    """By what reached the interface; by who says so; by how far a packet has to go to open the filter."""
    stopped = [each for each in checks if _state(findings, each) in ("filtered", "rejected", "prohibited")]
    if not stopped:
        return None
    seen = [Stopped(each.reached_card, each.offender == each.address) for each in stopped]
    return who_stops(seen, path_of(findings, family))


def path_of(findings: Findings, family: Family) -> PathEvidence | None:
    """What was seen over UDP."""
    found = findings.by_path.get(("udp", family))
    return None if found is None else found.path
