"""What Tailscale will do here in a sentence, what would make more of it direct, and what its own netcheck
does not tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from nattools.engine.analysis.findings import Findings, technique
from nattools.engine.analysis.obstacles import obstacle, remedies, router_address, true_mappings
from nattools.engine.analysis.overlays.overlayremedies import helps_with
from nattools.model.nat import Nat
from nattools.model.overlay import OverlayProgram
from nattools.model.report import Technique, Verdict
from nattools.model.statement import Reason, Statement, statement, unique
from nattools.model.tailscale import Netcheck, Tailnet, TailscaleWay
from nattools.traversal.plan.side import moving, only_services

HEARTBEAT_S: Final = 3.0
"""So often a client sends over a direct path that is in use, so that mappings live on."""
_TAILSCALE: Final[frozenset[OverlayProgram]] = frozenset({"tailscale"})
_SETTLE: Final = (statement("settle-tailscale"),)


def overall(
    findings: Findings, ways: Mapping[str, TailscaleWay], programs: frozenset[OverlayProgram] = _TAILSCALE
) -> Reason:
    """With which kinds of networks it is direct, and why not with the others. `programs`: whose statuses were
    read; of others than Tailscale it is said what follows for all that punch holes."""
    if not programs & _TAILSCALE:
        return _without_tailscale(findings, ways)
    nat = findings.nat("udp", findings.main)
    if nat is None or (nat.reachable is not False and "unknown" in ways.values()):
        known = [kind for kind, way in ways.items() if way != "unknown"]
        if nat is None or len(known) < 2:
            return (statement("ts-ways-unknown"),)
        return (_count(ways), statement("ts-ways-partly-unknown"))
    if nat.reachable is False:
        return (statement("ts-all-relayed"),)
    if only_services(nat):
        return (statement("ts-services-alone", ports=tuple(map(str, nat.open_ports))),)
    relayed = tuple(kind for kind, way in ways.items() if way == "relay")
    if relayed == ("udp blocked",):
        why = statement("ts-mapped" if "udp" in true_mappings(findings) else "ts-easy")
    elif moving(nat):
        why = statement("ts-hard")
    else:
        why = statement("ts-strict" if nat.present else "ts-firewalled")
    return (_count(ways), why)


def _without_tailscale(findings: Findings, ways: Mapping[str, TailscaleWay]) -> Reason:
    """The reason, without words of Tailscale's."""
    nat = findings.nat("udp", findings.main)
    known = [way for way in ways.values() if way != "unknown"]
    if nat is None or (nat.reachable is not False and len(known) < 2):
        return (statement("punching-unknown"),)
    if nat.reachable is False or only_services(nat):
        return (statement("punching-blocked"),)
    count = statement("punching-count", direct=known.count("direct"), kinds=len(ways))
    if known.count("relay") < 2:
        return (count,)
    return (count, statement("punching-hard" if moving(nat) else "punching-strict"))


def _count(ways: Mapping[str, TailscaleWay]) -> Statement:
    direct = sum(way == "direct" for way in ways.values())
    return statement("ts-direct-count", direct=direct, kinds=len(ways))


def actions(
    findings: Findings,
    ways: Mapping[str, TailscaleWay],
    tailnets: Sequence[Tailnet],
    programs: frozenset[OverlayProgram] = _TAILSCALE,
) -> tuple[Statement, ...]:
    """What to do: first what keeps a client from working at all, then what would make more of it direct.
    `programs` as in `overall`."""
    found: list[Statement] = [each for tailnet in tailnets for each in tailnet.remedy]
    nat = findings.nat("udp", findings.main)
    relayed = [kind for kind, way in ways.items() if way == "relay"]
    if not programs & _TAILSCALE:
        found += _helping(findings, nat, len(relayed), programs)
    elif nat is not None and (nat.reachable is False or only_services(nat)):
        found.append(statement("ts-let-udp-out"))
    elif nat is not None and len(relayed) > 1 and not _none_works(tailnets):
        found += _opening(findings, nat)
    return unique(found)


def _helping(
    findings: Findings, nat: Nat | None, relayed: int, programs: frozenset[OverlayProgram]
) -> Reason:
    """What makes more peers of other programs direct."""
    if nat is not None and (nat.reachable is False or only_services(nat)):
        return (statement("let-udp-out"),)
    if relayed < 2:
        return ()
    if obstacle(findings) != "router":
        return (*remedies(findings), statement("ts-ipv6"))
    return (*(each for program in sorted(programs) for each in helps_with(program)), statement("ts-ipv6"))


def _opening(findings: Findings, nat: Nat) -> Reason:
    """What lets more in."""
    if nat.present is False:
        return (statement("ts-open-port"),)
    if obstacle(findings) == "router":
        router = router_address(findings)
        where = statement("ts-map-port-at", router=router) if router else statement("ts-map-port")
        return (where, statement("ts-ipv6"))
    return (*remedies(findings), statement("ts-ipv6"))


def verdict(findings: Findings, ways: Mapping[str, TailscaleWay], tailnets: Sequence[Tailnet]) -> Technique:
    """Will it connect here at all, and how much of it directly?"""
    if _none_works(tailnets):
        first = tailnets[0]
        return _verdict("fails", first.reason[:1], first.remedy[:1], first.evidence)
    nat = findings.nat("udp", findings.main)
    ids = () if nat is None else nat.evidence.get("mapping") or nat.evidence.get("reachable") or ()
    if nat is not None and nat.reachable and only_services(nat):
        return _verdict("works", overall(findings, ways)[:1], (statement("ts-let-udp-out"),), ids)
    if nat is not None and nat.reachable:
        why = overall(findings, ways)[:1]
        if all(way != "direct" for way in ways.values()) and "unknown" in ways.values():
            return _verdict("unknown", why, _SETTLE, ids)
        return _verdict("works", why, _opening_of(findings, ways), ids)
    return _without_udp(findings, nat, ids)


def _none_works(tailnets: Sequence[Tailnet]) -> bool:
    """Does no control server let a client log in?"""
    refused = [each for each in tailnets if each.reachable is False or each.logs_in is False]
    return bool(tailnets) and len(refused) == len(tailnets)


def _without_udp(findings: Findings, nat: Nat | None, ids: tuple[int, ...]) -> Technique:
    """All depends on the relays."""
    relays = [row for row in findings.relays if row.kind == "derp"]
    if any(row.works or row.direct_rtt_ms is not None for row in relays):
        return _verdict("works", (statement("ts-all-relayed"),), (statement("ts-let-udp-out"),), ids)
    failed = next((row.error for row in relays if row.works is False), None)
    if failed is not None and nat is not None and nat.reachable is False:
        return _verdict("fails", (statement("ts-nothing-passes"), *failed.reason), failed.remedy, ids)
    return _verdict("unknown", (statement("ts-relays-untried"),), _SETTLE, ids)


def _verdict(verdict: Verdict, why: Reason, remedy: Reason, ids: tuple[int, ...]) -> Technique:
    confidence = 0.0 if verdict == "unknown" else 0.9
    return technique("tailscale", verdict, confidence, *why, remedy=remedy, evidence=ids)


def _opening_of(findings: Findings, ways: Mapping[str, TailscaleWay]) -> Reason:
    nat = findings.nat("udp", findings.main)
    relayed = [kind for kind, way in ways.items() if way == "relay"]
    return _opening(findings, nat)[:1] if nat is not None and len(relayed) > 1 else ()


def beyond_netcheck(findings: Findings, checks: Sequence[Netcheck | None]) -> Reason:
    """What netcheck leaves out, and was measured or is named as not measured."""
    nat = findings.nat("udp", findings.main)
    if nat is None or nat.reachable is False:
        return ()
    found = [_filtering(nat)]
    if moving(nat) and any(each is not None and each.MappingVariesByDestIP is False for each in checks):
        found.append(statement("ts-varies-after-all"))
    if nat.present:
        found.append(statement("ts-allocation", allocation=nat.port_allocation))
        found.append(_layers(nat))
        found.append(_hairpinning(nat))
        found.append(_lifetime(nat))
        found.append(_mapping(findings))
    return tuple(found)


def _filtering(nat: Nat) -> Statement:
    if nat.filtering == "unknown":
        return statement("ts-filtering-unknown")
    return statement("ts-filtering", filtering=nat.filtering)


def _layers(nat: Nat) -> Statement:
    if nat.cgnat:
        return statement("ts-carrier-nat")
    if nat.double_nat:
        return statement("ts-double-nat")
    return statement("ts-one-nat" if nat.double_nat is False else "ts-layers-unknown")


def _hairpinning(nat: Nat) -> Statement:
    if nat.hairpinning is None:
        return statement("ts-hairpin-unknown")
    return statement("ts-hairpin" if nat.hairpinning else "ts-no-hairpin")


def _lifetime(nat: Nat) -> Statement:
    if nat.binding_lifetime_s is None:
        return statement("ts-lifetime-unmeasured", heartbeat_s=HEARTBEAT_S)
    code = "ts-lifetime" if nat.binding_lifetime_s > HEARTBEAT_S else "ts-lifetime-short"
    return statement(code, lifetime_s=nat.binding_lifetime_s, heartbeat_s=HEARTBEAT_S)


def _mapping(findings: Findings) -> Statement:
    made = [each for each in findings.routers.mappings if each.transport == "udp" and each.external]
    true = true_mappings(findings).get("udp")
    if true is not None:
        return statement("ts-mapping-true", protocol=true.protocol, external=true.external)
    if any(each.verified_inbound is False for each in made):
        return statement("ts-mapping-false", protocol=made[0].protocol, external=made[0].external)
    if made:
        return statement("ts-mapping-unverified", protocol=made[0].protocol, external=made[0].external)
    asked = any(one.outcome != "not asked" for one in findings.routers.offers)
    return statement("ts-no-mapping" if asked else "ts-mapping-not-asked")
