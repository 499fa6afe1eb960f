"""Can the router be asked for port mappings, and are they true? A verdict for each protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nattools.engine.analysis.findings import Findings, technique
from nattools.engine.analysis.obstacles import (
    gateways_off_path,
    nat_beyond,
    obstacle,
    remedies,
    router_address,
    router_notices,
)
from nattools.engine.analysis.verdicts.portmappings import ADDRESS_MISMATCH, NO_SUCH_MAPPING
from nattools.model.mappingseen import MapAttempt, MapOffer
from nattools.model.portmapping import MappingProtocol, PortMapping, PortMappingError
from nattools.model.report import Technique
from nattools.model.statement import Reason, Statement, statement

_SETTLE = statement("settle-mapping-with-serve")
_NOT_HERE = {("upnp-igd", 501), ("nat-pmp", 3), ("pcp", 8), ADDRESS_MISMATCH}

Ids = tuple[int, ...]


def port_mapping(findings: Findings, protocol: MappingProtocol) -> Technique:
    """What the router offers by one protocol, what it did, and what was seen from outside."""
    seen = findings.routers.offers_of(protocol)
    made = [each for each in findings.routers.mappings if each.protocol == protocol]
    if not seen and not made:
        return _not_asked(findings, protocol)
    answered = [offer for offer in seen if offer.outcome == "answered"]
    true = any(each.verified_inbound or each.arrives_at for each in made)
    if answered and all(offer.other for offer in answered) and gateways_off_path(findings) and not true:
        return _of_another(findings, protocol, answered)
    if made:
        return _tried(findings, protocol, made, seen)
    if answered:
        return _not_tried(protocol, answered)
    return _silent(findings, protocol, seen)


def _of_another(findings: Findings, protocol: MappingProtocol, answered: list[MapOffer]) -> Technique:
    """What speaks it is not the router that routes lead to."""
    ids = tuple(offer.id for offer in answered)
    hosts = gateways_off_path(findings)
    return technique(
        protocol,
        "fails",
        0.9,
        statement("gateway-off-path", hosts=hosts),
        remedy=_enable(findings, protocol),
        evidence=ids,
    )


def mapping_notices(findings: Findings) -> list[Statement]:
    """What a reader should know about the routers, and what could not be removed."""
    found = router_notices(findings)
    for each in findings.routers.mappings:
        removal = _removal(findings, each)
        if removal is not None and not each.removed:
            found.append(_left(each, removal))
    return [*found, *_contradictions(findings)]


def _contradictions(findings: Findings) -> Iterator[Statement]:
    """Where a router's table said something else than its answer did."""
    for granted, what, listed in findings.routers.contradictions:
        which = {"protocol": granted.protocol, "transport": granted.transport, "internal": granted.internal}
        if what == "not listed":
            yield statement("mapping-not-listed", **which)
        elif what == "port":
            yield statement("mapping-listed-elsewhere", **which, port=listed)
        elif granted.lifetime_s is not None and listed is None:
            yield statement("mapping-listed-for-ever", **which, lifetime_s=granted.lifetime_s)
        elif granted.lifetime_s is not None:
            yield statement(
                "mapping-listed-otherwise", **which, lifetime_s=granted.lifetime_s, listed_s=listed
            )


def _removal(findings: Findings, mapping: PortMapping) -> MapAttempt | None:
    """The last attempt at removing it."""
    about = (each for each in reversed(findings.routers.attempts) if each.id in mapping.evidence)
    return next((each for each in about if each.action == "delete"), None)


def _left(mapping: PortMapping, removal: MapAttempt) -> Statement:
    which = {"protocol": mapping.protocol, "transport": mapping.transport, "internal": mapping.internal}
    if removal.outcome == "not asked":
        return statement("mapping-left-not-asked", **which, detail=removal.detail)
    if not mapping.created:
        nowhere = removal.refusal is not None and removal.refusal.code in NO_SUCH_MAPPING
        return statement("mapping-never-shown" if nowhere else "mapping-may-exist", **which)
    if mapping.lifetime_s:
        return statement("mapping-left-until", **which, lifetime_s=mapping.lifetime_s)
    return statement("mapping-left", **which)


def _not_asked(findings: Findings, protocol: MappingProtocol) -> Technique:
    host = findings.measurement.host
    asks = findings.measurement.command in ("diagnose", "map")
    if asks and host.interfaces and not any(gateway.address for gateway in host.gateways):
        return technique(protocol, "fails", 0.9, statement("no-router"))
    if asks and protocol == "nat-pmp" and host.gateways and not any(g.family == 4 for g in host.gateways):
        return technique(protocol, "fails", 0.95, statement("no-ipv4-to-map"))
    return technique(protocol, "unknown", 0.0, statement("router-not-asked"))


def _silent(findings: Findings, protocol: MappingProtocol, seen: list[MapOffer]) -> Technique:
    """Nothing that speaks the protocol."""
    ids = tuple(offer.id for offer in seen)
    refused = next((offer.refusal for offer in seen if offer.refusal is not None), None)
    if refused is not None:
        why = statement("router-refuses", name=refused.name, meaning=refused.meaning)
        return technique(protocol, "fails", 0.9, why, remedy=_advised(refused.advice), evidence=ids)
    remedy = _enable(findings, protocol)
    odd = next((offer for offer in seen if offer.outcome == "malformed"), None)
    if odd is not None:
        why = statement("router-answers-oddly", protocol=protocol, detail=odd.detail)
        return technique(protocol, "fails", 0.8, why, remedy=remedy, evidence=ids)
    if all(offer.outcome in ("unreachable", "refused") for offer in seen):
        return technique(protocol, "fails", 0.95, statement("router-closed"), remedy=remedy, evidence=ids)
    if findings.left:
        return technique(protocol, "unknown", 0.0, statement("router-silent-meanwhile"), evidence=ids)
    return technique(protocol, "fails", 0.9, statement("router-silent"), remedy=remedy, evidence=ids)


def _enable(findings: Findings, protocol: MappingProtocol) -> Reason:
    if obstacle(findings) != "router":
        return ()
    if not findings.own_addresses(4):
        open_already = all(findings.forwarded(6).values()) and findings.forwarded(6)
        return () if open_already else (statement("enable-pinholes", protocol=protocol),)
    router = router_address(findings)
    if router is None:
        return (statement("enable-protocol", protocol=protocol),)
    return (statement("enable-protocol-at", protocol=protocol, router=router),)


def _advised(advice: str) -> Reason:
    """What the table of the protocol's errors says to do."""
    return (statement("router-advice", advice=advice),) if advice else ()


def _not_tried(protocol: MappingProtocol, answered: list[MapOffer]) -> Technique:
    ids = tuple(offer.id for offer in answered)
    refused = next((offer.refusal for offer in answered if offer.refusal is not None), None)
    if refused is not None:
        why = statement("router-refuses", name=refused.name, meaning=refused.meaning)
        return technique(protocol, "fails", 0.8, why, remedy=_advised(refused.advice), evidence=ids)
    return technique(protocol, "unknown", 0.0, statement("mapping-not-tried"), evidence=ids)


def _tried(
    findings: Findings, protocol: MappingProtocol, made: list[PortMapping], seen: list[MapOffer]
) -> Technique:
    ids = tuple(sorted({*(o.id for o in seen), *(i for each in made for i in each.evidence)}))
    if all(findings.routers.leads_astray(each.internal) for each in made):
        why = statement("mapping-off-path", interfaces=tuple(sorted(set(findings.routers.astray.values()))))
        return technique(protocol, "fails", 0.95, why, remedy=remedies(findings), evidence=ids)
    true = [each for each in made if each.verified_inbound]
    if true:
        return _proven(protocol, made, true, ids)
    other = next((each for each in made if each.arrives_at is not None), None)
    if other is not None and other.arrives_at is not None:
        port = other.arrives_at.rpartition(":")[2]
        why = statement(
            "mapping-arrives-elsewhere", external=other.external, internal=other.internal, port=port
        )
        remedy = (statement("listen-on-port", port=port),)
        return technique(protocol, "works", 0.95, why, remedy=remedy, evidence=ids)
    false = [each for each in made if each.verified_inbound is False]
    if false:
        return _false(findings, protocol, false, ids)
    granted = [each for each in made if each.created]
    if granted:
        return _unverified(findings, protocol, granted, ids)
    error = next((each.error for each in made if each.error is not None), None)
    if error is None:
        return technique(protocol, "unknown", 0.0, statement("no-mapping-tried"), evidence=ids)
    if error.name == "not asked" and any(offer.refusal is not None for offer in seen):
        return _not_tried(protocol, seen)
    return _refused(findings, protocol, error, ids)


def _refused(findings: Findings, protocol: MappingProtocol, error: PortMappingError, ids: Ids) -> Technique:
    if error.name == "not asked":
        why = statement("router-forbids-port")
        return technique(protocol, "unknown", 0.0, why, remedy=(statement("allow-port"),), evidence=ids)
    beyond = None
    if error.code is None or (protocol, error.code) in _NOT_HERE:
        beyond = nat_beyond(findings)
    if beyond is not None:
        useless = statement("mapping-cannot-help")
        if error.code is not None:
            useless = statement("mapping-cannot-help-error", error=error.code, name=error.name)
        remedy = remedies(findings)
        return technique(protocol, "fails", 0.97, useless, beyond, remedy=remedy, evidence=ids)
    why = statement("no-mapping", meaning=error.meaning)
    if error.code is not None:
        why = statement("no-mapping-error", error=error.code, name=error.name, meaning=error.meaning)
    return technique(protocol, "fails", 0.97, why, remedy=_advised(error.advice), evidence=ids)


def _proven(
    protocol: MappingProtocol, made: list[PortMapping], true: list[PortMapping], ids: Ids
) -> Technique:
    proven = {(each.transport, each.family) for each in true}
    others = [each for each in made if (each.transport, each.family) not in proven]
    failing = [each for each in others if each.verified_inbound is False or not each.created]
    untested = [each for each in others if each not in failing]
    why = [
        *_over("mapping-proven", "pinhole-proven", true),
        *_over("mapping-not-over", "pinhole-not-over", failing),
        *_over("mapping-untested-over", "pinhole-untested-over", untested),
    ]
    return technique(protocol, "works", 0.85 if failing else 0.99, *why, evidence=ids)


def _over(mapping: str, pinhole: str, found: Iterable[PortMapping]) -> Iterable[Statement]:
    """Statements of these codes about mappings (IPv4) and pinholes (IPv6), with their transports."""
    for family, code in ((4, mapping), (6, pinhole)):
        names = sorted({each.transport.upper() for each in found if each.family == family}, reverse=True)
        if names:
            yield statement(code, transports=tuple(names))


def _false(findings: Findings, protocol: MappingProtocol, false: list[PortMapping], ids: Ids) -> Technique:
    beyond = nat_beyond(findings)
    if beyond is not None:
        why, remedy = statement("mapping-without-effect"), remedies(findings)
        return technique(protocol, "fails", 0.97, why, beyond, remedy=remedy, evidence=ids)
    at = {each.dropped_at for each in false}
    if "host" in at:
        here = next(each for each in false if each.dropped_at == "host")
        why = statement("mapping-stopped-here", external=here.external)
        remedy = (statement("allow-in-own-firewall"),)
        return technique(protocol, "fails", 0.99, why, remedy=remedy, evidence=ids)
    why = statement("mapping-false", external=false[0].external)
    if at == {"router"}:
        why = statement("mapping-stopped-at-router", external=false[0].external)
    remedy = (statement("check-router" if _not_here(findings, false) else "check-firewall"),)
    return technique(protocol, "fails", 0.95, why, remedy=remedy, evidence=ids)


def _not_here(findings: Findings, false: list[PortMapping]) -> bool:
    """Is it known that nothing came to this machine's interface?"""
    checks = {check.id: check for check in findings.routers.checks}
    tried = [checks[i] for each in false for i in each.evidence if i in checks]
    return bool(tried) and all(False in (each.reached_card, each.opened_here) for each in tried)


def _unverified(
    findings: Findings, protocol: MappingProtocol, granted: list[PortMapping], ids: Ids
) -> Technique:
    beyond = nat_beyond(findings)
    if beyond is not None:
        why, remedy = statement("mapping-not-enough"), remedies(findings)
        return technique(protocol, "fails", 0.8, why, beyond, remedy=remedy, evidence=ids)
    checked = {check.id for check in findings.routers.checks}
    failed = any(i in checked for each in granted for i in each.evidence)
    code = "mapping-check-failed" if failed else "mapping-unverified"
    why = statement(code, external=granted[0].external)
    return technique(protocol, "unknown", 0.0, why, _SETTLE, evidence=ids)
