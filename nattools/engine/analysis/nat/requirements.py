"""What RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508 (ICMP) ask of a NAT, held against what was seen."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Literal

from nattools.engine.analysis.evidence import Finding, PathEvidence
from nattools.engine.analysis.findings import Findings, PathFindings
from nattools.model.endpoint import read_endpoint
from nattools.model.nat import Requirement
from nattools.model.statement import statement
from nattools.traversal.plan.side import moving

Rfc = Literal[4787, 5382, 5508]
UDP_TIMER_S = 120.0
"""RFC 4787 REQ-5."""
TCP_TIMER_S = 7440.0
"""RFC 5382 REQ-5: 2 hours and 4 minutes."""
PARITY_SAMPLES = 17
"""So many ports keep their parity by chance less often than once in 100,000 times."""


_Outcome = Finding[bool | None]
"""Is it met?"""

_TITLES: dict[Rfc, tuple[str, ...]] = {
    4787: (
        "Endpoint-independent mapping",
        "Paired address pooling",
        "No port overloading",
        "Port parity preserved",
        "A UDP mapping lives at least 2 minutes",
        "Outbound packets refresh a mapping",
        "Overlapping networks inside and outside",
        "Endpoint-independent or address-dependent filtering",
        "Hairpinning, with the outside source address",
        "Application-level gateways off",
        "Deterministic behaviour",
        "ICMP errors do not end a mapping",
        "Fragmentation needed is reported",
        "Fragments out of order are taken",
    ),
    5382: (
        "Endpoint-independent mapping",
        "Simultaneous open passes",
        "Endpoint-independent or address-dependent filtering",
        "Silence of 6 s to an unsolicited SYN",
        "An established connection lives at least 2 h 4 min",
        "Application-level gateways off",
        "No port overloading",
        "Hairpinning, with the outside source address",
        "ICMP destination unreachable is translated",
        "ICMP never ends a connection",
    ),
}
_NEEDS: dict[tuple[Rfc, int], str] = {
    (4787, 3): "needs-two-hosts",
    (4787, 7): "needs-overlapping-network",
    (4787, 10): "needs-gateway-traffic",
    (4787, 12): "needs-icmp-error",
    (4787, 13): "no-probe",
    (4787, 14): "no-probe",
    (5382, 6): "needs-gateway-traffic",
    (5382, 9): "no-probe",
    (5382, 10): "no-probe",
}


def requirements(findings: Findings) -> tuple[Requirement, ...]:
    """One by one. Without a NAT nothing is asked of it."""
    udp = findings.by_path.get(("udp", 4)) or findings.by_path.get(("udp", 6))
    tcp = findings.by_path.get(("tcp", 4)) or findings.by_path.get(("tcp", 6))
    rows = [_row(4787, number, udp) for number in range(1, len(_TITLES[4787]) + 1)]
    rows += [_row(5382, number, tcp) for number in range(1, len(_TITLES[5382]) + 1)]
    return (*rows, *_icmp(udp))


def _row(rfc: Rfc, number: int, found: PathFindings | None) -> Requirement:
    if found is None:
        return _untested(rfc, number, "not-measured")
    if found.nat.present is not True:
        return _untested(rfc, number, "no-nat" if found.nat.present is False else "nat-unknown")
    judge = _JUDGES.get((rfc, number))
    if judge is None:
        return _untested(rfc, number, _NEEDS[rfc, number])
    return _requirement(rfc, number, _TITLES[rfc][number - 1], judge(found))


@lru_cache(maxsize=256)
def _untested(rfc: Rfc, number: int, code: str) -> Requirement:
    return _requirement(rfc, number, _TITLES[rfc][number - 1], Finding(None, (), (statement(code),)))


def _requirement(rfc: Rfc, number: int, title: str, outcome: _Outcome) -> Requirement:
    return Requirement(
        rfc=rfc,
        number=f"REQ-{number}",
        title=title,
        status="untested" if outcome.value is None else "met" if outcome.value else "not met",
        reason=outcome.reason,
        evidence=outcome.evidence,
    )


def _mapping(found: PathFindings) -> _Outcome:
    moves, ids = moving(found.nat), found.nat.evidence.get("mapping", ())
    if moves is None:
        return Finding(None, ids, found.nat.unknown_reasons.get("mapping", (statement("mapping-not-known"),)))
    if moves:
        return Finding(False, ids, (statement("mapping-varies"),))
    return Finding(True, ids, (statement("mapping-stable"),))


def _pooling(found: PathFindings) -> _Outcome:
    answers = found.outside.believed(found.path)
    ids = tuple(answer.id for answer in answers)
    if len(found.outside.hosts) > 1:
        settled = found.pooling.value != "unknown"
        several = statement("addresses-several", addresses=found.outside.hosts)
        return Finding(False if settled else None, ids, (several,))
    ports = {answer.local for answer in answers}
    if len(ports) < 3:
        return Finding(None, ids, (statement("ports-too-few"),))
    paired = statement("addresses-paired", ports=len(ports), address=found.outside.hosts[0])
    return Finding(True, ids, (paired,))


def _overloading(found: PathFindings) -> _Outcome:
    """One external port for two internal ports can show even from a single host."""
    users: dict[object, dict[object, int]] = {}
    for answer in found.outside.believed(found.path):
        if answer.local is not None:
            users.setdefault(answer.mapped, {})[answer.local] = answer.id
    for mapped, inside in users.items():
        if len(inside) > 1:
            overloaded = statement("port-overloaded", external=str(mapped), ports=len(inside))
            return Finding(False, tuple(inside.values()), (overloaded,))
    return Finding(None, (), (statement(_NEEDS[4787, 3]),))


def _parity(found: PathFindings) -> _Outcome:
    pairs = [a for a in found.outside.believed(found.path) if a.local is not None]
    changed = [a for a in pairs if a.local is not None and (a.local.port ^ a.mapped.port) & 1]
    if changed:
        return Finding(False, tuple(a.id for a in changed), (statement("parity-changed"),))
    ids = tuple(a.id for a in pairs)
    if len({a.local for a in pairs}) >= PARITY_SAMPLES or found.nat.port_allocation == "preserving":
        return Finding(True, ids, (statement("parity-kept"),))
    return Finding(None, ids, (statement("parity-few-ports"),))


def _timer(found: PathFindings, least_s: float) -> _Outcome:
    alive, dead = found.lifetime.bounds or (None, None)
    ids = found.lifetime.evidence
    if alive is not None and alive >= least_s:
        return Finding(True, ids, (statement("mapping-survived", idle_s=alive),))
    if dead is not None and dead <= least_s:
        return Finding(False, ids, (statement("mapping-expired", idle_s=dead),))
    between = statement("lifetime-between", alive_s=alive or 0, expired_s=dead or 0)
    return Finding(None, ids, found.lifetime.reason or (between,))


def _refresh(found: PathFindings) -> _Outcome:
    kept = found.lifetime.refreshed_by_outbound
    if kept is None:
        return Finding(None, (), (statement("refresh-untested"),))
    return Finding(kept, (), (statement("refresh-outbound" if kept else "refresh-not-outbound"),))


def _filtering(found: PathFindings) -> _Outcome:
    ids = found.filtering.evidence
    if found.filtering.value == "unknown":
        return Finding(None, ids, found.filtering.reason)
    met = found.filtering.value != "address-and-port-dependent"
    return Finding(met, ids, (statement("filtering-is", filtering=found.filtering.value),))


def _hairpinning(found: PathFindings) -> _Outcome:
    turned, ids = found.hairpin.value, found.hairpin.evidence
    if turned is None:
        return Finding(None, ids, found.hairpin.reason)
    if not turned:
        return Finding(False, ids, (statement("hairpinning-none"),))
    if found.hairpin.source_outside is None:
        return Finding(None, ids, (statement("hairpinning-source-unseen"),))
    external = found.hairpin.source_outside
    code = "hairpinning-external-source" if external else "hairpinning-internal-source"
    return Finding(external, ids, (statement(code),))


def _determinism(found: PathFindings) -> _Outcome:
    if found.mapping.moved:
        ids = tuple(answer.id for answer in found.mapping.moved)
        return Finding(False, ids, (statement("port-moved"),))
    return Finding(None, (), (statement("nothing-changed"),))


def _two_addresses(path: PathEvidence) -> set[str]:
    """Servers that name another address than the one that they were asked at."""
    asked = (at.host for binding in path.bindings if (at := read_endpoint(binding.asked)) is not None)
    return {host for host in asked if any(other.host != host for other in path.groups.others(host))}


def _at_once(found: PathFindings) -> _Outcome:
    from nattools.engine.analysis.verdicts.punching import punch_outcome

    trial = punch_outcome(found.path)
    if trial is None:
        able = any(found.path.groups.of(host) in found.path.nattools for host in _two_addresses(found.path))
        code = "simultaneous-open-not-tried" if able else "simultaneous-open-no-peer"
        return Finding(None, (), (statement(code),))
    if trial.state == "punched":
        return Finding(True, trial.evidence, (statement("simultaneous-open-passed"),))
    return Finding(False if trial.state == "kept out" else None, trial.evidence, trial.reason)


def _silence(found: PathFindings) -> _Outcome:
    refused = tuple(back.id for back in found.path.dial_backs if back.outcome == "refused" and back.fresh)
    if refused:
        return Finding(False, refused, (statement("syn-refused"),))
    silent = tuple(back.id for back in found.path.dial_backs if back.outcome == "timeout" and back.fresh)
    return Finding(None, silent, (statement("syn-dropped" if silent else "no-dial-back"),))


def _icmp(udp: PathFindings | None) -> list[Requirement]:
    """RFC 5508 where something was seen: an error from beyond the outermost NAT that reached us was
    translated (REQ-4)."""
    if udp is None or udp.nat.present is not True or udp.nat.distance_hops is None:
        return []
    if udp.nat.quoted_checksum == "translated":
        left = Finding(False, udp.quotes.evidence, (statement("quoted-checksum-translated"),))
        return [_requirement(5508, 4, "ICMP errors from outside are translated", left)]
    beyond = [h.id for h in udp.path.hops if h.address is not None and h.ttl > udp.nat.distance_hops]
    if not beyond:
        return []
    outcome = Finding(True, tuple(beyond), (statement("icmp-translated"),))
    return [_requirement(5508, 4, "ICMP errors from outside are translated", outcome)]


_JUDGES: dict[tuple[Rfc, int], Callable[[PathFindings], _Outcome]] = {
    (4787, 1): _mapping,
    (4787, 2): _pooling,
    (4787, 3): _overloading,
    (4787, 4): _parity,
    (4787, 5): partial(_timer, least_s=UDP_TIMER_S),
    (4787, 6): _refresh,
    (4787, 8): _filtering,
    (4787, 9): _hairpinning,
    (4787, 11): _determinism,
    (5382, 1): _mapping,
    (5382, 2): _at_once,
    (5382, 3): _filtering,
    (5382, 4): _silence,
    (5382, 5): partial(_timer, least_s=TCP_TIMER_S),
    (5382, 7): _overloading,
    (5382, 8): _hairpinning,
}
"""How each is held against the findings; for the others _NEEDS says what it would take."""
