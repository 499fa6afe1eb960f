"""The findings of each transport and address family, and of the measurement as a whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, wraps
from typing import Any, TypeVar, TypeVarTuple

import msgspec

from nattools.engine.analysis.evidence import Finding, IsPublic, PathEvidence
from nattools.engine.analysis.inbounddrops import dropped_at
from nattools.engine.analysis.nat.allocation import AllocationFinding, allocation
from nattools.engine.analysis.nat.connectivity import LayersFinding, forbidden_here, layers, ports, reachable
from nattools.engine.analysis.nat.externals import ExternalAddresses, PoolingFinding, external, pooling
from nattools.engine.analysis.nat.filtering import FilteringFinding, HairpinFinding, filtering, hairpinning
from nattools.engine.analysis.nat.mapping import LifetimeFinding, MappingFinding, lifetime, mapping, present
from nattools.engine.analysis.nat.quotefindings import quoted_checksum
from nattools.engine.analysis.servers import ServerBehaviour
from nattools.engine.analysis.verdicts.portmappings import RouterEvidence
from nattools.model.droppedat import DroppedAt
from nattools.model.endpoint import Family, Transport, read_endpoint
from nattools.model.host import Way
from nattools.model.nat import Classic, Nat, NatByTransport, QuotedChecksumKind
from nattools.model.networkleft import NetworkLeft
from nattools.model.observation import Binding, Connection, DialBack, Portal, Resolution
from nattools.model.observed import Observation
from nattools.model.relay import Relay
from nattools.model.relaytrial import RelayTrial
from nattools.model.report import Measurement, Technique, TechniqueId, Verdict
from nattools.model.statement import Reason, Statement
from nattools.net.addresses import leaves_link


class PathFindings(msgspec.Struct, frozen=True, dict=True):
    """What was found over one transport and address family, and what it rests on."""

    path: PathEvidence
    outside: ExternalAddresses
    reachable: Finding[bool | None]
    present: Finding[bool | None]
    mapping: MappingFinding
    filtering: FilteringFinding
    allocation: AllocationFinding
    pooling: PoolingFinding
    dropped_at: Finding[DroppedAt | None]
    hairpin: HairpinFinding
    quotes: Finding[QuotedChecksumKind | None]
    lifetime: LifetimeFinding
    layers: LayersFinding

    @cached_property
    def nat(self) -> Nat:
        """The findings as the report has them."""
        opened, blocked = ports(self.path)
        share = self.path.own_loss.share if self.path.transport == "udp" else None
        named = self._by_field()
        return Nat(
            reachable=self.reachable.value,
            present=self.present.value,
            mapping=self.mapping.value,
            mapping_depends_on_port=self.mapping.by_port,
            filtering=self.filtering.value,
            dropped_at=self.dropped_at.value,
            port_allocation=self.allocation.value,
            port_step=self.allocation.step,
            port_range=self.allocation.port_range,
            port_block=self.allocation.block,
            port_mask=self.allocation.mask,
            hairpinning=self.hairpin.value,
            hairpinning_confidence=self.hairpin.confidence,
            quoted_checksum=self.quotes.value,
            binding_lifetime_s=self.lifetime.value,
            binding_lifetime_bounds_s=self.lifetime.bounds,
            refreshed_by_inbound=self.lifetime.refreshed_by_inbound,
            external=self.outside.named,
            pooling=self.pooling.value,
            cgnat=self.layers.cgnat,
            double_nat=self.layers.double_nat,
            distance_hops=self.layers.distance_hops,
            layers=self.layers.layers,
            classic=self._classic(),
            blocked_ports=blocked,
            open_ports=opened,
            loss=None if share is None else round(share, 4),
            rtt_ms=_round_trip_ms(self.path),
            unknown_reasons={
                name: found.reason for name, found in named.items() if found.value in (None, "unknown")
            },
            evidence={name: found.evidence for name, found in named.items() if found.evidence},
        )

    def _by_field(self) -> dict[str, Finding[object]]:
        way = self.layers
        named: dict[str, Finding[object]] = {
            "reachable": self.reachable,
            "present": self.present,
            "mapping": self.mapping,
            "filtering": self.filtering,
            "port_allocation": self.allocation,
            "hairpinning": self.hairpin,
            "binding_lifetime_s": self.lifetime,
            "cgnat": Finding(way.cgnat, way.evidence, way.reason),
            "double_nat": Finding(way.double_nat, way.evidence, way.reason),
        }
        if self.pooling.value != "unknown" or len(self.outside.hosts) > 1:
            named["pooling"] = self.pooling
        if self.dropped_at.value is not None:
            named["dropped_at"] = self.dropped_at
        if self.quotes.value is not None:
            named["quoted_checksum"] = self.quotes
        if self.present.value is not False:
            named["distance_hops"] = Finding(way.distance_hops, way.evidence, way.reason)
        return named

    def _classic(self) -> Classic:
        """RFC 3489 section 5's name. It knows no filtering behind a symmetric NAT and one kind of
        firewall."""
        open_to_all = self.filtering.open_to_all
        if self.reachable.value is False:
            return "udp blocked" if self.path.transport == "udp" else "unknown"
        if self.present.value is False and open_to_all is not None:
            return "open internet" if open_to_all else "symmetric firewall"
        if self.present.value is not True:
            return "unknown"
        if self.mapping.varies:
            return "symmetric"
        if self.mapping.value != "endpoint-independent":
            return "unknown"
        return _CONES.get(self.filtering.value, "unknown")


def path_findings(
    path: PathEvidence,
    twin: PathEvidence,
    behaviours: dict[str, ServerBehaviour],
    beside: PathFindings | None = None,
) -> PathFindings | None:
    """Analyse one path; None if nothing was asked over it. `twin` is the same family's other transport,
    `beside` what is known of it: both go through the same routers, which are looked for over UDP."""
    if not path.touched:
        return None
    outside = external(path, twin)
    nat = present(path, outside)
    maps = mapping(path, outside, nat.value)
    filters = filtering(path, behaviours)
    way = beside.layers if beside is not None and beside.present.value == nat.value else None
    layered = way if way is not None else _layers(path, outside, nat.value, maps, filters)
    return PathFindings(
        path=path,
        outside=outside,
        reachable=reachable(path, twin),
        present=nat,
        mapping=maps,
        filtering=filters,
        dropped_at=dropped_at(path, twin, nat=nat.value),
        allocation=allocation(path, outside, nat=nat.value, varies=maps.varies),
        pooling=pooling(path, outside, nat.value),
        hairpin=hairpinning(path, nat=nat.value, varies=maps.varies, filtering=filters.value),
        quotes=quoted_checksum(path, nat.value, layered.distance_hops),
        lifetime=lifetime(path),
        layers=layered,
    )


def _layers(
    path: PathEvidence,
    outside: ExternalAddresses,
    nat: bool | None,
    maps: MappingFinding,
    filters: FilteringFinding,
) -> LayersFinding:
    return layers(path, outside, nat=nat, varies=maps.varies, filtering=filters.value)


def _round_trip_ms(path: PathEvidence) -> float | None:
    """The median over the servers (of two, the nearer) of the shortest to each, by whichever of its addresses
    and ports: what is longer waited in queues, this machine's own among them."""
    server_of: dict[str, frozenset[str]] = {}
    for binding in path.bindings:
        asked, other = read_endpoint(binding.asked), read_endpoint(binding.other_address)
        if asked is not None and other is not None:
            server_of[asked.host] = server_of[other.host] = frozenset((asked.host, other.host))
    shortest: dict[frozenset[str], float] = {}
    for binding in path.bindings:
        asked = read_endpoint(binding.asked)
        if binding.outcome == "answered" and binding.rtt_s is not None and asked is not None:
            server = server_of.get(asked.host, frozenset((asked.host,)))
            shortest[server] = min(binding.rtt_s, shortest.get(server, binding.rtt_s))
    ordered = sorted(shortest.values())
    return milliseconds(ordered[(len(ordered) - 1) // 2] if ordered else None)


def milliseconds(seconds: float | None) -> float | None:
    """As reports have them."""
    return None if seconds is None else round(1000 * seconds, 3)


_CONES: dict[str, Classic] = {
    "endpoint-independent": "full cone",
    "address-dependent": "restricted cone",
    "address-and-port-dependent": "port-restricted cone",
}


T = TypeVar("T")
Kind = TypeVar("Kind", bound=Observation)
Args = TypeVarTuple("Args")


def worked_out_once(work: Callable[[Any, *Args], T]) -> Callable[[Any, *Args], T]:
    """For a pure function of findings: what it gives is kept with them, for many verdicts rest on it."""

    @wraps(work)
    def known(findings: Findings, *about: *Args) -> T:
        kept, key = findings.kept, (work, *about)
        if key not in kept:
            kept[key] = work(findings, *about)
        result: T = kept[key]
        return result

    return known


class Findings(msgspec.Struct, frozen=True, dict=True):
    """A measurement with its findings by transport and family."""

    measurement: Measurement
    by_path: dict[tuple[Transport, Family], PathFindings]
    is_public: IsPublic
    routers: RouterEvidence

    @cached_property
    def kept(self) -> dict[tuple[object, ...], Any]:
        """Results that `worked_out_once` keeps."""
        return {}

    def nat(self, transport: Transport, family: Family) -> Nat | None:
        """The finding, or None if that was not measured."""
        found = self.by_path.get((transport, family))
        return None if found is None else found.nat

    @property
    def by_transport(self) -> NatByTransport:
        """As the report has it."""
        return NatByTransport(
            udp4=self.nat("udp", 4),
            udp6=self.nat("udp", 6),
            tcp4=self.nat("tcp", 4),
            tcp6=self.nat("tcp", 6),
        )

    def seen(self, kind: type[Kind]) -> list[Kind]:
        """The observations of one kind, in the order of the record."""
        found: list[Kind] = self._by_kind.get(kind, [])
        return found

    @cached_property
    def _by_kind(self) -> dict[type, list[Any]]:
        kinds: dict[type, list[Any]] = {}
        for each in self.measurement.observations:
            kinds.setdefault(type(each), []).append(each)
        return kinds

    @cached_property
    def relays(self) -> tuple[Relay, ...]:
        """The relays that were tried, the best first."""
        if not self.seen(RelayTrial):
            return ()
        from nattools.engine.analysis.verdicts.relays import relays

        return relays(self.measurement.observations)

    @cached_property
    def main(self) -> Family:
        """The family that hole punching is judged by."""
        return main_family(self.nat("udp", 4), self.nat("udp", 6))

    def way(self, family: Family) -> Way | None:
        """The route that packets to servers took, as far as the report has it."""
        return next((way for way in self.measurement.host.ways if way.family == family), None)

    @worked_out_once
    def tunnel(self, family: Family) -> str | None:
        """The VPN's interface that packets of a family leave by; None: they leave by no VPN, as far as is
        known."""
        host, way = self.measurement.host, self.way(family)
        name = host.measured_interface if way is None else way.interface
        return name if host.kind(name) == "vpn" else None

    @worked_out_once
    def forwarded(self, family: Family) -> dict[Transport, bool]:
        """By transport, did what a server sent to a port arrive that had written to nobody? Only what was
        tried."""
        came: dict[Transport, bool] = {}
        for (transport, of), found in self.by_path.items():
            backs = (each.outcome for each in found.path.dial_backs if each.untouched and of == family)
            for outcome in backs:
                if outcome not in ("error", "denied"):
                    came[transport] = outcome == "arrived"
        return came

    @property
    def forbids_udp(self) -> bool:
        """Is it this machine's own firewall that stops UDP?"""
        found = self.by_path.get(("udp", self.main))
        return found is not None and forbidden_here(found.path)

    @property
    def asked(self) -> bool:
        """Was any question put to the network?"""
        return any(kind in self._by_kind for kind in (Binding, Connection, DialBack, Resolution))

    @property
    def answered(self) -> bool:
        """Did anything at all come back? What a captive portal says in others' names is nothing."""
        met = self.portal
        passed = met is None or met.udp_passes
        return passed and any(found.nat.reachable for found in self.by_path.values())

    @cached_property
    def left(self) -> bool:
        """Did this machine leave the network meanwhile? Then nobody knows which silence was the network's."""
        return bool(self.seen(NetworkLeft))

    @cached_property
    def portal(self) -> Portal | None:
        """The captive portal that answered, if any."""
        return next(iter(self.seen(Portal)), None)

    @worked_out_once
    def own_addresses(self, family: Family) -> tuple[str, ...]:
        """This machine's addresses of a family, those that questions left from first, without loopback and
        link-local ones."""
        asked_from = []
        for (_, of), found in self.by_path.items():
            if of == family:
                locals_ = (read_endpoint(binding.local) for binding in found.path.bindings)
                asked_from += [at.host for at in locals_ if at is not None]
        way = self.way(family)
        asked_from += [] if way is None else [way.source]
        # bridges to virtual machines and containers come last
        known = sorted(self.measurement.host.interfaces, key=lambda each: each.kind == "virtual")
        configured = [
            address.partition("%")[0]
            for interface in known
            if interface.up and interface.kind != "loopback"
            for address in interface.addresses
        ]
        both = dict.fromkeys((*asked_from, *configured))
        return tuple(a for a in both if (":" in a) == (family == 6) and leaves_link(a))


def main_family(four: Nat | None, six: Nat | None) -> Family:
    """The family that hole punching is judged by, by both findings over UDP: IPv4 where it works, for that is
    where NATs are."""
    if six is not None and (four is None or (four.reachable is None and six.reachable)):
        return 6
    return 4


def technique(
    name: TechniqueId,
    verdict: Verdict,
    confidence: float,
    *reason: Statement,
    remedy: Reason = (),
    evidence: tuple[int, ...] = (),
) -> Technique:
    """As in `Technique`; `evidence` may name an observation several times."""
    return Technique(
        id=name,
        verdict=verdict,
        confidence=confidence,
        reason=reason,
        remedy=remedy,
        evidence=tuple(dict.fromkeys(evidence)),
    )
