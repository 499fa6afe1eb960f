"""What the NAT's behaviour means for hole punching, and what came of trying it.

A hole is punched, and random ports are met, where a server has a second address to be the peer. Elsewhere the
verdicts are about what this network allows.
"""

from __future__ import annotations

from collections.abc import Callable

from nattools.engine.analysis.findings import Findings, technique
from nattools.engine.analysis.punch_trials import (
    BirthdayOutcome,
    PunchOutcome,
    birthday_outcome,
    punch_outcome,
)
from nattools.model.endpoint import Transport
from nattools.model.nat import Nat
from nattools.model.report import Technique, TechniqueId
from nattools.model.statement import Reason, Statement, statement
from nattools.traversal.odds import odds
from nattools.traversal.side import Side, moving, side_of
from nattools.traversal.udp_strategies import BLOCK_SOCKETS, PROBES, PROBES_PER_S, SOCKETS

Ids = tuple[int, ...]

_SETTLE = statement("settle-two-addresses")
_OVER_TCP = (statement("use-tcp-relay"),)
_SESSIONS = (statement("birthday-sessions"),)
_FORWARD = (statement("forward-or-ipv6"),)


def udp_punch(findings: Findings) -> Technique:
    """Both sides send; each packet opens the own side for the other's."""
    return _over_udp(findings, "udp-punch", _udp_punch)


def udp_birthday(findings: Findings) -> Technique:
    """Many ports on the side whose port is random, many tries on the other: the birthday paradox."""
    return _over_udp(findings, "udp-birthday", _udp_birthday)


def _over_udp(
    findings: Findings, name: TechniqueId, judge: Callable[[Findings, Nat, Side, Ids], Technique]
) -> Technique:
    """What either way of punching over UDP takes: UDP that gets out, and a known mapping behaviour."""
    nat = findings.nat("udp", findings.main)
    if nat is None:
        return technique(name, "unknown", 0.0, statement("udp-not-measured"), _SETTLE)
    ids = (*nat.evidence.get("mapping", ()), *nat.evidence.get("port_allocation", ()))
    if nat.reachable is False:
        ids = nat.evidence.get("reachable", ())
        return technique(name, "fails", 0.99, statement("udp-blocked"), remedy=_OVER_TCP, evidence=ids)
    side = side_of(nat)
    if side is None:
        why = nat.unknown_reasons.get("mapping") or (_SETTLE,)
        return technique(name, "unknown", 0.0, statement("udp-mapping-unknown"), *why, evidence=ids)
    return judge(findings, nat, side, ids)


def _udp_punch(findings: Findings, nat: Nat, side: Side, ids: Ids) -> Technique:
    expected = _stable(nat, side, ids) if side.moves == "not" else _varying(nat, side, ids)
    return _with_trial(expected, side, _trial(findings, "udp"))


def _trial(findings: Findings, transport: Transport) -> PunchOutcome | None:
    found = findings.by_path.get((transport, findings.main))
    return None if found is None else punch_outcome(found.path)


def _with_trial(expected: Technique, side: Side, trial: PunchOutcome | None) -> Technique:
    """What the behaviour allows, with what came of trying it."""
    if trial is None or trial.state == "not tried":
        return expected
    confidence, reason, verdict = expected.confidence, expected.reason, expected.verdict
    if trial.state == "punched":
        confidence = 0.99 if side.moves == "not" else 0.9
        reason = (*reason, statement("punch-worked"))
    elif trial.state == "kept out" and side.moves == "not":
        verdict, confidence = "fails", 0.9
        reason = (*trial.reason, statement("nothing-gets-in"))
    elif trial.state == "missed" and side.moves == "not":
        verdict, confidence = "unknown", 0.0
        reason = (statement("next-port-missed-stable"), *trial.reason)
    elif trial.state == "missed":
        confidence = 0.5
        reason = (statement("next-port-missed"), *trial.reason, statement("see-birthday"))
    else:
        confidence = min(confidence, 0.7)
        reason = (*reason, *trial.reason)
    ids = (*expected.evidence, *trial.evidence)
    return technique(expected.id, verdict, confidence, *reason, remedy=expected.remedy, evidence=ids)


def _stable(nat: Nat, side: Side, ids: Ids) -> Technique:
    """One external port for all peers."""
    given = statement("port-untranslated" if nat.present is False else "port-stable")
    if side.accepts != "port":
        return technique("udp-punch", "works", 0.97, given, statement("contacted-peers-get-in"), evidence=ids)
    return technique("udp-punch", "works", 0.95, given, statement("random-peer-needs-birthday"), evidence=ids)


def _varying(nat: Nat, side: Side, ids: Ids) -> Technique:
    """An external port of its own for each peer."""
    confidence, then = 0.5, statement("see-birthday")
    if side.moves == "predictably":
        confidence, then = 0.75, statement("prediction-may-miss")
        counted = statement("port-counted", step=nat.port_step)
        how = statement("port-kept") if nat.port_allocation == "preserving" else counted
    elif side.moves == "in a block":
        confidence, how = 0.6, statement("port-from-block", size=side.size)
    else:
        how = statement("port-unpredictable" if side.moves == "somehow" else "port-random")
    return technique("udp-punch", "works", confidence, how, then, remedy=_FORWARD, evidence=ids)


def _udp_birthday(findings: Findings, nat: Nat, side: Side, ids: Ids) -> Technique:
    if side.moves == "somehow":
        return technique(
            "udp-birthday", "unknown", 0.0, statement("birthday-allocation-unknown"), evidence=ids
        )
    reason = [_birthday_odds(side)]
    if side.moves in ("at random", "in a block"):
        found = findings.by_path.get(("udp", findings.main))
        return _with_birthday(reason[0], ids, None if found is None else birthday_outcome(found.path))
    if "odds" in reason[0].values:
        reason.append(statement("birthday-predicted-sessions"))
    return technique("udp-birthday", "works", 0.8, *reason, remedy=_SESSIONS, evidence=ids)


def _with_birthday(expected: Statement, ids: Ids, trial: BirthdayOutcome | None) -> Technique:
    """What is predicted, with what came of trying it."""
    name: TechniqueId = "udp-birthday"
    if trial is None:
        untested = statement("birthday-predicted-no-server")
        return technique(name, "works", 0.8, expected, untested, remedy=_SESSIONS, evidence=ids)
    ids = (*ids, *trial.evidence)
    if trial.state == "kept out":
        return technique(name, "fails", 0.9, *trial.reason, statement("nothing-gets-in"), evidence=ids)
    if trial.state == "unforeseen":
        return technique(name, "unknown", 0.0, *trial.reason, statement("birthday-again"), evidence=ids)
    confidence = {"punched": 0.97, "missed": 0.6}.get(trial.state, 0.8)
    return technique(name, "works", confidence, expected, *trial.reason, remedy=_SESSIONS, evidence=ids)


def _birthday_odds(side: Side) -> Statement:
    usual, duration_s = odds(SOCKETS, PROBES, 64512), PROBES / PROBES_PER_S
    if side.moves == "at random":
        return statement("birthday-random", odds=usual, duration_s=duration_s)
    if side.moves == "in a block":
        probes = min(side.size, PROBES)
        sure = odds(min(BLOCK_SOCKETS, side.size), probes, side.size)
        return statement("birthday-block", odds=sure, duration_s=probes / PROBES_PER_S)
    if side.moves == "predictably":
        return statement("birthday-needless-predictable")
    if side.accepts != "port":
        return statement("birthday-needless-open")
    return statement("birthday-towards-random", odds=usual, duration_s=duration_s)


def tcp_punch(findings: Findings) -> Technique:
    """Simultaneous open (RFC 9293 3.5; RFC 5382 REQ-2): needs a stable port, and a NAT that lets it pass."""
    name: TechniqueId = "tcp-punch"
    nat = findings.nat("tcp", findings.main)
    if nat is None:
        return technique(name, "unknown", 0.0, statement("tcp-not-measured"))
    ids = (*nat.evidence.get("mapping", ()), *nat.evidence.get("filtering", ()))
    if nat.reachable is False:
        return technique(name, "fails", 0.9, statement("tcp-blocked"), evidence=ids)
    if nat.blocked_ports:
        remedy = (statement("use-relay-443"),)
        return technique(name, "fails", 0.8, statement("tcp-ports-restricted"), remedy=remedy, evidence=ids)
    trial = _trial(findings, "tcp")
    ids = (*ids, *(trial.evidence if trial is not None else ()))
    if trial is not None and trial.state == "punched":
        how = statement("tcp-port-predicted" if moving(nat) else "tcp-port-stable")
        confidence = 0.85 if moving(nat) else 0.97
        return technique(name, "works", confidence, how, statement("tcp-worked"), evidence=ids)
    if moving(nat) is False and nat.filtering == "endpoint-independent":
        return technique(name, "works", 0.9, statement("tcp-open"), evidence=ids)
    if trial is not None and trial.state == "kept out":
        why = (*trial.reason, statement("tcp-simultaneous-dropped"))
        return technique(name, "fails", 0.8, *why, evidence=ids)
    return technique(name, "unknown", 0.0, *_not_opened(nat, trial), evidence=ids)


def _not_opened(nat: Nat, trial: PunchOutcome | None) -> Reason:
    """Why it is not known."""
    moves = moving(nat)
    if moves is None:
        return statement("tcp-mapping-unknown"), _SETTLE
    outcome = (statement("tcp-not-tried"), statement("settle-with-second-address"))
    given = statement("tcp-port-varies" if moves else "tcp-port-stable")
    return (given, *(trial.reason if trial is not None else outcome))
