"""The first lines of a diagnosis, for somebody who does not know what a NAT is, and its warnings."""

from __future__ import annotations

from nattools.engine.analysis import endings
from nattools.engine.analysis.findings import Findings
from nattools.engine.analysis.nat import translation
from nattools.engine.analysis.obstacles import (
    obstacle,
    open_mappings,
    remedies,
    router_address,
    true_mappings,
)
from nattools.model.endpoint import Family, host_of
from nattools.model.nat import Nat, PeerKind
from nattools.model.networkleft import NetworkLeft
from nattools.model.observation import Binding, Portal
from nattools.model.portmapping import MappingProtocol
from nattools.model.report import TIME_OVER, Advice, Measurement, Reachable, Technique
from nattools.model.statement import Reason, Statement, statement, unique
from nattools.net.addresses import NOBODY
from nattools.traversal.plan.side import moving

SECOND_SERVER = "stun.cloudflare.com"
_PUBLIC = {3478: SECOND_SERVER, 443: "stun.nextcloud.com:443"}
_MAPPED: tuple[MappingProtocol, ...] = ("upnp-igd", "pcp", "nat-pmp")
_ANSWERS: dict[Reachable, Statement] = {
    "directly": statement("reachable-directly"),
    "by punching": statement("reachable-by-punching"),
    "over tcp only": statement("reachable-over-tcp"),
    "by relay only": statement("reachable-by-relay"),
    "unknown": statement("reachable-unknown"),
    "offline": statement("offline"),
}
_REFUSED = {
    "no-mapping",
    "no-mapping-error",
    "mapping-without-effect",
    "mapping-false",
    "mapping-stopped-here",
    "mapping-stopped-at-router",
    "mapping-unverified",
}
"""Codes of a router that was asked for a mapping and did not make one that is known to be true."""


def measurement_notices(measurement: Measurement) -> list[Statement]:
    """Warnings about time, interfaces and routes."""
    found = [statement(TIME_OVER)] if measurement.timed_out else []
    left = [each for each in measurement.observations if isinstance(each, NetworkLeft)]
    found += [statement("network-left", address=each.address) for each in left]
    found += translation.notices(measurement.observations)
    for met in (each for each in measurement.observations if isinstance(each, Portal)):
        nobody = host_of(met.asked) in NOBODY.values()
        code = "portal-answers" if nobody else "portal-names"
        found.append(statement("portal-takes-tcp" if met.udp_passes else code, asked=met.asked))
    host = measurement.host
    by_family: dict[Family | None, str | None] = {way.family: way.interface for way in host.ways}
    by_family = by_family or {None: host.measured_interface}
    tunnels = {family: name for family, name in by_family.items() if host.kind(name) == "vpn"}
    if len(tunnels) == len(by_family):
        found += [statement("vpn-measured", interface=name) for name in dict.fromkeys(tunnels.values())]
    else:
        found += [statement("vpn-carries", family=family, interface=name) for family, name in tunnels.items()]
        if (
            4 in tunnels
            and by_family.get(6) is not None
            and 6 not in tunnels
            and _answers_over_ipv6(measurement)
        ):
            found.append(statement("vpn-passed-by", interface=tunnels[4], other=by_family[6]))
    for family in (4, 6):
        routed = tuple(dict.fromkeys(each.interface for each in host.gateways if each.family == family))
        measured = by_family.get(family) or by_family.get(None)
        if host.spread and family == 4:
            found.append(statement("default-routes-spread", interfaces=host.spread, measured=measured))
        elif len(routed) > 1:
            found.append(statement("several-default-routes", interfaces=routed, measured=measured))
    return list(unique(found))


def _answers_over_ipv6(measurement: Measurement) -> bool:
    seen = measurement.observations
    return any(isinstance(each, Binding) and each.family == 6 and each.received > 0 for each in seen)


def advice(findings: Findings, techniques: tuple[Technique, ...], peers: tuple[PeerKind, ...]) -> Advice:
    """Can this machine be reached, which way is best, and what the user can do."""
    verdicts: dict[str, Technique] = {technique.id: technique for technique in techniques}
    reachable = _reachable(findings, verdicts, peers)
    answer = _ANSWERS[reachable]
    if reachable == "directly" and not _works(verdicts, "direct-ipv4", "direct-ipv6"):
        answer = statement("reachable-by-mapping")
    ended = findings.measurement.ended
    if ended is not None:
        reachable, answer = "offline", endings.headline(ended)
    elif not findings.asked:
        answer = statement("nothing-asked")
    elif findings.portal is not None and not findings.answered:
        answer = statement("behind-portal")
    return Advice(
        reachable=reachable,
        answer=answer,
        best_way=_best(findings, reachable, verdicts, peers),
        actions=unique(_actions(findings, reachable, verdicts)),
    )


def _works(verdicts: dict[str, Technique], *names: str) -> bool:
    return any(verdicts[name].verdict == "works" for name in names if name in verdicts)


def _reachable(findings: Findings, verdicts: dict[str, Technique], peers: tuple[PeerKind, ...]) -> Reachable:
    if not findings.answered:
        return "offline" if findings.asked else "unknown"
    if _works(verdicts, "direct-ipv4", "direct-ipv6", *_MAPPED):
        return "directly"
    if _works(verdicts, "udp-punch"):
        return "by punching"
    if verdicts["udp-punch"].verdict != "fails":
        return "by punching" if _works(verdicts, "tcp-punch") else "unknown"
    return "over tcp only" if any(peer.path == "direct" for peer in peers) else "by relay only"


def _best(
    findings: Findings, reachable: Reachable, verdicts: dict[str, Technique], peers: tuple[PeerKind, ...]
) -> Statement:
    direct = tuple(f"IPv{n}" for n in (4, 6) if _works(verdicts, f"direct-ipv{n}"))
    reached, kinds = sum(peer.path == "direct" for peer in peers), len(peers)
    if direct:
        return statement("best-direct", families=direct)
    match reachable:
        case "directly":
            protocols = tuple(name for name in _MAPPED if _works(verdicts, name))
            code = "best-mapping" if open_mappings(findings) else "best-pinhole"
            return statement(code, protocols=protocols)
        case "by punching" if _works(verdicts, "udp-punch"):
            return statement("best-udp-punch", reached=reached, kinds=kinds)
        case "by punching":
            return statement("best-tcp-punch")
        case "over tcp only":
            return statement("best-tcp" if reached < kinds else "best-tcp-all", reached=reached, kinds=kinds)
        case "by relay only":
            best = next((row for row in findings.relays if row.works and row.rtt_ms is not None), None)
            if best is None or best.rtt_ms is None:
                return statement("best-relay")
            rtt_ms = best.rtt_ms.median
            return statement("best-relay-measured", uri=best.uri, transport=best.transport, rtt_ms=rtt_ms)
        case _:
            return statement("best-offline" if reachable == "offline" else "best-unknown")


def _actions(findings: Findings, reachable: Reachable, verdicts: dict[str, Technique]) -> list[Statement]:
    """What the user can do, the most useful first."""
    if reachable == "offline":
        return _offline(findings)
    portal = findings.portal
    found = [] if portal is None else [statement("log-in-at-portal", location=portal.location)]
    nat = findings.nat("udp", findings.main)
    if reachable != "directly":
        found += _forwarding(findings, verdicts)
    elif not _works(verdicts, "direct-ipv4", "direct-ipv6"):
        found.append(statement("keep-port"))
        if open_mappings(findings) and not true_mappings(findings):
            found.append(statement("listen-on-given-port"))
    if nat is not None and reachable != "directly":
        found += _about_nat(findings, nat)
    if nat is not None and nat.reachable is False:
        found.append(statement("allow-udp-here" if findings.forbids_udp else "let-udp-out"))
    if nat is None or (nat.reachable is not False and "unknown" in (nat.mapping, nat.filtering)):
        found.append(_whom_to_ask(findings))
    return found


def _whom_to_ask(findings: Findings) -> Statement:
    """Who could tell what is not known: never the server that was asked."""
    answered = [server for server in findings.measurement.servers if server.answered]
    second = _second_server(findings.nat("udp", findings.main))
    if len(answered) != 1 or not answered[0].nattools or second is None:
        return statement("name-server")
    return statement("name-second-server", server=answered[0].uri, second=second)


def _second_server(nat: Nat | None) -> str | None:
    """A public one that is reached from here, as far as known."""
    if nat is None or not nat.blocked_ports:
        return SECOND_SERVER
    return next((server for port, server in _PUBLIC.items() if port in nat.open_ports), None)


def _forwarding(findings: Findings, verdicts: dict[str, Technique]) -> Reason:
    """What would make a machine behind a NAT reachable for everybody."""
    if obstacle(findings) not in ("none", "router"):
        return remedies(findings)
    general = verdicts["direct-ipv4"].remedy if "direct-ipv4" in verdicts else ()
    if obstacle(findings) == "none":
        return general
    tried = [verdicts[name] for name in _MAPPED if name in verdicts and verdicts[name].evidence]
    if not tried or all(each.code not in ("forward-port", "open-firewall") for each in general):
        return general
    if any(each.verdict == "unknown" for each in tried):
        return (statement("prove-mappings"),)
    for each in tried:
        if any(why.code in _REFUSED for why in each.reason):
            return each.remedy
    router = router_address(findings)
    return (
        statement("enable-mappings") if router is None else statement("enable-mappings-at", router=router),
    )


def _about_nat(findings: Findings, nat: Nat) -> list[Statement]:
    found: list[Statement] = []
    if moving(nat) and obstacle(findings) == "router":
        found.append(statement("address-per-peer" if nat.shows_addresses else "port-per-peer"))
    if nat.port_mask is not None:
        first, last = _first_run(*nat.port_mask)
        found.append(statement("port-set", first=first, last=last))
    return found


def _first_run(mask: int, value: int) -> tuple[int, int]:
    """The first ports above the privileged ones with `port & mask == value`, as far as they have no gap."""
    first = next((port for port in range(1024, 65536) if port & mask == value), value)
    return first, first + (mask & -mask) - 1 if mask else first


def _offline(findings: Findings) -> list[Statement]:
    if findings.portal is not None:
        return [statement("log-in-at-portal", location=findings.portal.location)]
    if findings.measurement.ended is not None:
        return endings.remedies(findings.measurement.ended)
    host = findings.measurement.host
    found = [statement("no-default-route")] if host.interfaces and not host.gateways else []
    return [*found, statement("check-cable"), statement("try-other-server")]
