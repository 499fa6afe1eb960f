"""What RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508 (ICMP) ask of a NAT, held against what was seen."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Literal

import msgspec

from nattools.engine.analysis.findings import Findings, PathFindings, varies
from nattools.engine.analysis.punch_trials import punch_outcome
from nattools.model.nat import Requirement

Rfc = Literal[4787, 5382, 5508]
UDP_TIMER_S = 120.0
"""RFC 4787 REQ-5."""
TCP_TIMER_S = 7440.0
"""RFC 5382 REQ-5: 2 hours and 4 minutes."""
PARITY_SAMPLES = 17
"""So many ports keep their parity by chance less often than once in 100,000 times."""


class _Outcome(msgspec.Struct, frozen=True):
    met: bool | None
    why: str
    evidence: tuple[int, ...] = ()


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
        "Silence of 6 s to an unasked SYN",
        "An established connection lives at least 2 h 4 min",
        "Application-level gateways off",
        "No port overloading",
        "Hairpinning, with the outside source address",
        "ICMP destination unreachable is translated",
        "ICMP never ends a connection",
    ),
}
_NEEDS: dict[tuple[Rfc, int], str] = {
    (4787, 3): "It takes two hosts inside.",
    (4787, 7): "It takes a second network with the same addresses.",
    (4787, 10): "It takes traffic of the protocols that gateways look into.",
    (4787, 12): "It takes an ICMP error sent on purpose; there is no probe for it yet.",
    (4787, 13): "There is no probe for it yet.",
    (4787, 14): "There is no probe for it yet.",
    (5382, 6): "It takes traffic of the protocols that gateways look into.",
    (5382, 9): "There is no probe for it yet.",
    (5382, 10): "There is no probe for it yet.",
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
        return _untested(rfc, number, "Not measured.")
    if found.nat.present is not True:
        why = "There is no NAT." if found.nat.present is False else "Whether there is a NAT is not known."
        return _untested(rfc, number, why)
    judge = _JUDGES.get((rfc, number))
    if judge is None:
        return _untested(rfc, number, _NEEDS[rfc, number])
    return _requirement(rfc, number, _TITLES[rfc][number - 1], judge(found))


@lru_cache(maxsize=256)
def _untested(rfc: Rfc, number: int, why: str) -> Requirement:
    return _requirement(rfc, number, _TITLES[rfc][number - 1], _Outcome(None, why))


def _requirement(rfc: Rfc, number: int, title: str, outcome: _Outcome) -> Requirement:
    return Requirement(
        rfc=rfc,
        number=f"REQ-{number}",
        title=title,
        status="untested" if outcome.met is None else "met" if outcome.met else "not met",
        why=outcome.why,
        evidence=outcome.evidence,
    )


def _mapping(found: PathFindings) -> _Outcome:
    moving, ids = varies(found.nat), found.nat.evidence.get("mapping", ())
    if moving is None:
        return _Outcome(None, found.nat.unknowns.get("mapping", "Not known."), ids)
    if moving:
        return _Outcome(False, "The outside port depends on the destination.", ids)
    return _Outcome(True, "All destinations see the same outside port.", ids)


def _pooling(found: PathFindings) -> _Outcome:
    answers = found.outside.believed(found.path)
    ids = tuple(answer.id for answer in answers)
    if len(found.outside.hosts) > 1:
        settled = len(found.outside.agreed) > 1
        hosts = ", ".join(found.outside.hosts)
        return _Outcome(False if settled else None, f"Several outside addresses were seen: {hosts}.", ids)
    ports = {answer.local for answer in answers}
    if len(ports) < 3:
        return _Outcome(None, "Too few inside ports were seen.", ids)
    return _Outcome(
        True, f"{len(ports)} inside ports all had the outside address {found.outside.hosts[0]}.", ids
    )


def _overloading(found: PathFindings) -> _Outcome:
    """One outside port for two inside ports can show even from a single host."""
    users: dict[object, dict[object, int]] = {}
    for answer in found.outside.believed(found.path):
        if answer.local is not None:
            users.setdefault(answer.mapped, {})[answer.local] = answer.id
    for mapped, inside in users.items():
        if len(inside) > 1:
            return _Outcome(
                False, f"{mapped} was given to {len(inside)} inside ports.", tuple(inside.values())
            )
    return _Outcome(None, _NEEDS[4787, 3])


def _parity(found: PathFindings) -> _Outcome:
    pairs = [a for a in found.outside.believed(found.path) if a.local is not None]
    changed = [a for a in pairs if a.local is not None and (a.local.port ^ a.mapped.port) & 1]
    if changed:
        return _Outcome(False, "Even ports became odd ones or the reverse.", tuple(a.id for a in changed))
    ids = tuple(a.id for a in pairs)
    if len({a.local for a in pairs}) >= PARITY_SAMPLES or found.nat.port_allocation == "preserving":
        return _Outcome(True, "All ports kept their parity.", ids)
    return _Outcome(None, "Too few ports were seen to tell it from chance.", ids)


def _timer(found: PathFindings, least_s: float) -> _Outcome:
    alive, dead = found.lifetime.bounds or (None, None)
    ids = found.lifetime.evidence
    if alive is not None and alive >= least_s:
        return _Outcome(True, f"A mapping survived {alive:g} s of silence.", ids)
    if dead is not None and dead <= least_s:
        return _Outcome(False, f"No mapping survived {dead:g} s of silence.", ids)
    return _Outcome(None, found.lifetime.why or f"Between {alive or 0:g} and {dead or 0:g} s.", ids)


def _refresh(found: PathFindings) -> _Outcome:
    kept = found.lifetime.refreshed_by_outbound
    if kept is None:
        return _Outcome(None, "It takes a measured lifetime, and a mapping kept busy beyond it.")
    return _Outcome(kept, "Outbound packets kept it." if kept else "Outbound packets did not keep it.")


def _filtering(found: PathFindings) -> _Outcome:
    ids = found.filtering.evidence
    if found.filtering.value == "unknown":
        return _Outcome(None, found.filtering.why, ids)
    met = found.filtering.value != "address-and-port-dependent"
    return _Outcome(met, f"Filtering is {found.filtering.value}.", ids)


def _hairpinning(found: PathFindings) -> _Outcome:
    turned, ids = found.hairpin.value, found.hairpin.evidence
    if turned is None:
        return _Outcome(None, found.hairpin.why, ids)
    if not turned:
        return _Outcome(False, "Packets to an own outside address do not come back.", ids)
    if found.hairpin.source_outside is None:
        return _Outcome(None, "Packets come back; their source was not seen.", ids)
    seen = "outside" if found.hairpin.source_outside else "inside"
    return _Outcome(found.hairpin.source_outside, f"Packets come back with the sender's {seen} address.", ids)


def _determinism(found: PathFindings) -> _Outcome:
    if found.mapping.moved:
        ids = tuple(answer.id for answer in found.mapping.moved)
        return _Outcome(False, "A port moved though others stayed: two flows met, or a server errs.", ids)
    return _Outcome(None, "Nothing changed while it was measured; that is no proof.")


def _at_once(found: PathFindings) -> _Outcome:
    trial = punch_outcome(found.path)
    if trial is None:
        return _Outcome(None, "It takes a peer with two addresses: nattools serve.")
    if trial.state == "punched":
        return _Outcome(True, "The server's second address and we connected at once.", trial.evidence)
    return _Outcome(False if trial.state == "kept out" else None, trial.why, trial.evidence)


def _silence(found: PathFindings) -> _Outcome:
    refused = tuple(back.id for back in found.path.dial_backs if back.outcome == "refused" and back.fresh)
    if refused:
        return _Outcome(False, "An unasked SYN was refused at once.", refused)
    silent = tuple(back.id for back in found.path.dial_backs if back.outcome == "timeout" and back.fresh)
    why = "An unasked SYN met silence; for how long was not timed." if silent else "No server connected back."
    return _Outcome(None, why, silent)


def _icmp(udp: PathFindings | None) -> list[Requirement]:
    """RFC 5508 where something was seen: an error from beyond the outermost NAT that reached us was
    translated (REQ-4)."""
    if udp is None or udp.nat.present is not True or udp.nat.distance_hops is None:
        return []
    beyond = [h.id for h in udp.path.hops if h.address is not None and h.ttl > udp.nat.distance_hops]
    if not beyond:
        return []
    outcome = _Outcome(True, "Time Exceeded from beyond the NAT reached us.", tuple(beyond))
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
