"""All findings about one transport and address family, put together."""

from __future__ import annotations

import msgspec

from nattools.engine.analysis.allocation import AllocationFinding, allocation
from nattools.engine.analysis.evidence import Path
from nattools.engine.analysis.external import External, external
from nattools.engine.analysis.filtering import FilteringFinding, filtering
from nattools.engine.analysis.finding import Finding
from nattools.engine.analysis.hairpin import HairpinFinding, hairpinning
from nattools.engine.analysis.layers import LayersFinding, layers
from nattools.engine.analysis.lifetime import LifetimeFinding, lifetime
from nattools.engine.analysis.mapping import MappingFinding, mapping, present
from nattools.engine.analysis.reach import ports, reachable
from nattools.engine.analysis.servers import Conduct
from nattools.model.nat import Classic, Nat
from nattools.traversal.side import moving


class Behaviour(msgspec.Struct, frozen=True, dict=True):
    """The findings as the report has them (`nat`), and what they rest on."""

    nat: Nat
    path: Path
    outside: External
    mapping: MappingFinding
    filtering: FilteringFinding
    hairpin: HairpinFinding
    lifetime: LifetimeFinding
    layers: LayersFinding


class _Notes(msgspec.Struct):
    """Reasons of what is unknown and observations behind what is known, by field."""

    unknowns: dict[str, str] = msgspec.field(default_factory=dict)
    evidence: dict[str, tuple[int, ...]] = msgspec.field(default_factory=dict)

    def add(self, name: str, finding: Finding[object]) -> None:
        """Note a finding under its field's name."""
        if finding.evidence:
            self.evidence[name] = finding.evidence
        if finding.value is None or finding.value == "unknown":
            self.unknowns[name] = finding.why


def behaviour(
    path: Path, twin: Path, conducts: dict[str, Conduct], beside: Behaviour | None = None
) -> Behaviour | None:
    """Analyse one path; None if nothing was asked over it. `twin` is the same family's other transport,
    `beside` what is known of it: both go through the same routers, which are looked for over UDP."""
    if not path.touched:
        return None
    outside = external(path)
    nat = present(path, outside)
    maps = mapping(path, outside, nat.value)
    filters = filtering(path, conducts)
    way = beside.layers if beside is not None and beside.nat.present == nat.value else None
    findings = _Findings(
        reachable=reachable(path, twin),
        present=nat,
        mapping=maps,
        filtering=filters,
        allocation=allocation(path, outside, nat=nat.value, varies=maps.varies),
        hairpin=hairpinning(path, nat=nat.value, varies=maps.varies, filtering=filters.value),
        lifetime=lifetime(path),
        layers=way if way is not None else layers(path, outside, nat=nat.value, filtering=filters.value),
    )
    found = _nat(path, outside, findings)
    return Behaviour(
        found, path, outside, maps, filters, findings.hairpin, findings.lifetime, findings.layers
    )


class _Findings(msgspec.Struct, frozen=True):
    reachable: Finding[bool | None]
    present: Finding[bool | None]
    mapping: MappingFinding
    filtering: FilteringFinding
    allocation: AllocationFinding
    hairpin: HairpinFinding
    lifetime: LifetimeFinding
    layers: LayersFinding

    def notes(self) -> _Notes:
        """Reasons and evidence of all of them."""
        notes = _Notes()
        notes.add("reachable", self.reachable)
        notes.add("present", self.present)
        notes.add("mapping", self.mapping)
        notes.add("filtering", self.filtering)
        notes.add("port_allocation", self.allocation)
        notes.add("hairpinning", self.hairpin)
        notes.add("binding_lifetime_s", self.lifetime)
        way = self.layers
        notes.add("cgnat", Finding(way.cgnat, way.evidence, way.why))
        notes.add("double_nat", Finding(way.double_nat, way.evidence, way.why))
        if self.present.value is not False:
            notes.add("distance_hops", Finding(way.distance_hops, way.evidence, way.why))
        return notes


def _nat(path: Path, outside: External, found: _Findings) -> Nat:
    opened, blocked = ports(path)
    round_trips = sorted(b.rtt_s for b in path.bindings if b.outcome == "answered" and b.rtt_s is not None)
    share = path.loss.share if path.transport == "udp" else None
    notes = found.notes()
    return Nat(
        reachable=found.reachable.value,
        present=found.present.value,
        mapping=found.mapping.value,
        mapping_depends_on_port=found.mapping.by_port,
        filtering=found.filtering.value,
        port_allocation=found.allocation.value,
        port_step=found.allocation.step,
        port_range=found.allocation.port_range,
        port_block=found.allocation.block,
        hairpinning=found.hairpin.value,
        hairpinning_confidence=found.hairpin.confidence,
        binding_lifetime_s=found.lifetime.value,
        binding_lifetime_bounds_s=found.lifetime.bounds,
        refreshed_by_inbound=found.lifetime.refreshed_by_inbound,
        external=outside.hosts,
        cgnat=found.layers.cgnat,
        double_nat=found.layers.double_nat,
        distance_hops=found.layers.distance_hops,
        layers=found.layers.layers,
        classic=_classic(path, found.reachable.value, found.present.value, found.mapping, found.filtering),
        blocked_ports=blocked,
        open_ports=opened,
        loss=None if share is None else round(share, 4),
        rtt_ms=round(1000 * round_trips[len(round_trips) // 2], 3) if round_trips else None,
        unknowns=notes.unknowns,
        evidence=notes.evidence,
    )


def _classic(
    path: Path, answers: bool | None, nat: bool | None, maps: MappingFinding, filters: FilteringFinding
) -> Classic:
    """RFC 3489 section 5's name. It knows no filtering behind a symmetric NAT and one kind of firewall."""
    if answers is False:
        return "udp blocked" if path.transport == "udp" else "unknown"
    if nat is False and filters.open_to_all is not None:
        return "open internet" if filters.open_to_all else "symmetric firewall"
    if nat is not True:
        return "unknown"
    if maps.varies:
        return "symmetric"
    if maps.value != "endpoint-independent":
        return "unknown"
    return _CONES.get(filters.value, "unknown")


_CONES: dict[str, Classic] = {
    "endpoint-independent": "full cone",
    "address-dependent": "restricted cone",
    "address-and-port-dependent": "port-restricted cone",
}


varies = moving
"""The rules of punching and the analysis mean the same by it."""
