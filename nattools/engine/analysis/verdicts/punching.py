"""Hole punching, birthday probing, simultaneous open: what the behaviour allows, and what trying showed."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Literal

import msgspec

from nattools.engine.analysis.evidence import PathEvidence
from nattools.engine.analysis.findings import Findings, technique
from nattools.engine.analysis.obstacles import obstacle
from nattools.model.confidence import CERTAIN_ERROR
from nattools.model.endpoint import Transport, read_endpoint
from nattools.model.nat import Nat
from nattools.model.observation import BirthdayTrial, PunchTrial
from nattools.model.report import Technique, TechniqueId
from nattools.model.statement import Reason, Statement, statement
from nattools.traversal.plan.odds import RANDOM_POOL, odds, pool_size, shown
from nattools.traversal.plan.side import Side, moving, only_services, side_of
from nattools.traversal.plan.stepbuilding import PROBES_PER_S
from nattools.traversal.plan.udpstrategies import BLOCK_SOCKETS, PROBES, SOCKETS

PunchState = Literal["punched", "kept out", "missed", "undecided", "not tried"]
_ROUND_TRIPS = 3
"""Of an attempt over TCP: the SYN, the peer's SYN, and their acknowledgements; and the order, which TCP would
repeat too late. It fails if one of these packets is lost."""
_PROMPT_S = 0.3
"""Both SYNs must cross before the first is repeated after a second: not sure on paths slower than this."""


class PunchOutcome(msgspec.Struct, frozen=True):
    """`missed`: the external port was another than the one predicted. `reason` is for what
    is not "punched"."""

    state: PunchState
    evidence: tuple[int, ...]
    reason: Reason = ()


def punch_outcome(path: PathEvidence) -> PunchOutcome | None:
    """None: no server here could be the peer."""
    if not path.punches:
        return None
    ids = tuple(trial.id for trial in path.punches)
    punched = tuple(trial.id for trial in path.punches if trial.outcome == "punched")
    if punched:
        return PunchOutcome("punched", punched)
    untried = [trial for trial in path.punches if trial.outcome == "not tried"]
    if untried:
        return PunchOutcome("not tried", ids, (statement("punch-not-tried", detail=untried[-1].detail),))
    return (_over_udp if path.transport == "udp" else _over_tcp)(path, ids)


def _over_udp(path: PathEvidence, ids: tuple[int, ...]) -> PunchOutcome:
    alive = [(trial, at) for trial in _silent(path) if (at := read_endpoint(trial.seen)) is not None]
    for trial, at in alive:
        # Openers that came too late help no dial-back, so that half of both must have been lost.
        if at.port in trial.aimed and path.loss.conclusive(min(trial.openers, trial.sent) // 2):
            kept_out = statement("punch-kept-out", peer=_peer(trial), packets=trial.sent)
            return PunchOutcome("kept out", ids, (kept_out,))
    missed = [trial for trial, at in alive if at.port not in trial.aimed]
    if missed and len(missed) == len(_silent(path)):
        last = missed[-1]
        first, final = last.aimed[0], last.aimed[-1]
        seen = (last.seen or "").rpartition(":")[2]
        one = statement("punch-port-missed", port=first, seen=seen)
        several = statement("punch-ports-missed", first=first, last=final, seen=seen)
        return PunchOutcome("missed", ids, (one if first == final else several,))
    return _undecided(path, ids)


def _over_tcp(path: PathEvidence, ids: tuple[int, ...]) -> PunchOutcome:
    silent = [trial for trial in _silent(path) if trial.sure and len(trial.aimed) == 1]
    lossy = 1 - (1 - path.loss.bound) ** _ROUND_TRIPS
    same = [trial for trial in silent if _same_port(trial)]
    alive = all(read_endpoint(trial.towards) in path.answered_endpoints for trial in same)
    prompt = all(binding.rtt_s is None or binding.rtt_s <= _PROMPT_S for binding in path.bindings)
    if same and alive and prompt and lossy ** len(same) < CERTAIN_ERROR:
        kept_out = statement("tcp-kept-out", peer=_peer(same[0]), tries=len(same))
        return PunchOutcome("kept out", ids, (kept_out,))
    return _undecided(path, ids)


def _same_port(trial: PunchTrial) -> bool:
    mapped = read_endpoint(trial.mapped)
    return mapped is not None and trial.aimed == (mapped.port,)


def _silent(path: PathEvidence) -> list[PunchTrial]:
    return [trial for trial in path.punches if trial.outcome in ("silent", "refused")]


def _peer(trial: PunchTrial | BirthdayTrial) -> str:
    """The address of the server that was to get in."""
    at = read_endpoint(trial.towards)
    return at.host if at is not None else trial.towards


def _undecided(path: PathEvidence, ids: tuple[int, ...]) -> PunchOutcome:
    """The outcome that says most, of those that settle nothing."""
    for outcome in ("silent", "refused", "reached", "denied", "error"):
        some = [trial for trial in path.punches if trial.outcome == outcome]
        if some:
            return PunchOutcome("undecided", ids, (_inconclusive(some),))
    return PunchOutcome("undecided", ids)


def _inconclusive(trials: list[PunchTrial]) -> Statement:
    last = trials[-1]
    match last.outcome:
        case "silent":
            return statement("punch-silent", tries=len(trials))
        case "refused":
            return statement("punch-refused", tries=len(trials))
        case "reached":
            return statement("tcp-reached")
        case _:
            return statement("punch-failed", detail=last.detail or last.outcome)


BirthdayState = Literal["punched", "kept out", "missed", "unforeseen", "undecided"]


class BirthdayOutcome(msgspec.Struct, frozen=True):
    """`missed`: bad luck, or a router that holds few mappings, explains that nothing got in. `unforeseen`:
    they do not, nor does a filter. `reason` says what came of it."""

    state: BirthdayState
    evidence: tuple[int, ...]
    reason: Reason


def _birthday_outcome(path: PathEvidence) -> BirthdayOutcome | None:
    """None: it was not tried."""
    if not path.birthdays:
        return None
    trial = next((each for each in path.birthdays if each.outcome == "punched"), path.birthdays[-1])
    state, *reason = _birthday(path, trial)
    if trial.sockets < trial.wanted and trial.detail:
        reason.append(statement("birthday-fewer-sockets", detail=trial.detail))
    elif state == "missed" and trial.detail:
        reason.append(statement("birthday-ended-early", detail=trial.detail))
    return BirthdayOutcome(state, tuple(each.id for each in path.birthdays), tuple(reason))


def _birthday(path: PathEvidence, trial: BirthdayTrial) -> tuple[BirthdayState, Statement]:
    if trial.outcome == "punched":
        expected = _rounded_up(shown(_odds(trial, trial.planned)))
        return "punched", statement(
            "birthday-worked", planned=trial.planned, sent=trial.sent, expected=expected
        )
    if trial.outcome != "silent" or trial.sent <= 0:
        return "undecided", statement("birthday-failed", detail=trial.detail or trial.outcome)
    if trial.checked > 0 >= trial.open:
        return "undecided", statement("birthday-no-open-port")
    peer = _peer(trial)
    if not trial.entered and path.loss.conclusive(max(0, trial.open)):
        return "kept out", statement("birthday-kept-out", peer=peer, ports=trial.open)
    if trial.open < trial.checked // 2:
        return "missed", statement(
            "birthday-few-open", peer=peer, packets=trial.sent, open=trial.open, checked=trial.checked
        )
    chance = 1.0 - _odds(trial, trial.sent, path.loss.bound)
    if chance < CERTAIN_ERROR:
        return "unforeseen", statement("birthday-unexplained", peer=peer, packets=trial.sent)
    return "missed", statement("birthday-bad-luck", peer=peer, packets=trial.sent, chance=_rounded_up(chance))


def _odds(trial: BirthdayTrial, sent: int, loss: float = 0.0) -> float:
    """Of a hit, where `loss` of the openers and of the other side's packets do not arrive."""
    low, high = trial.pool
    ports = pool_size(trial.pool if 0 < low <= high < 65536 else RANDOM_POOL)
    sockets, packets = (int(min(max(0, n), ports) * (1.0 - loss)) for n in (trial.sockets, sent))
    return odds(sockets, packets, ports)


def _rounded_up(share: float) -> float:
    """To a hundredth of a per cent: a chance of bad luck is never shown smaller than it is."""
    return share if share > 0.99 else ceil(10_000 * share) / 10_000


Ids = tuple[int, ...]

_SETTLE = statement("settle-two-addresses")
_OVER_TCP = (statement("use-tcp-relay"),)
_ALLOW = (statement("allow-udp-here"),)
_SESSIONS = (statement("birthday-sessions"),)
_FORWARD = (statement("forward-or-ipv6"),)


def udp_punch(findings: Findings) -> Technique:
    """Both sides send; each packet opens the own side for the other's."""
    return _judged_over_udp(findings, "udp-punch", _udp_punch)


def udp_birthday(findings: Findings) -> Technique:
    """Many ports on the side whose port is random, many tries on the other: the birthday paradox."""
    return _judged_over_udp(findings, "udp-birthday", _udp_birthday)


def _judged_over_udp(
    findings: Findings, name: TechniqueId, judge: Callable[[Findings, Nat, Side, Ids], Technique]
) -> Technique:
    """What either way of punching over UDP takes: UDP that gets out, and a known mapping behaviour."""
    nat = findings.nat("udp", findings.main)
    if nat is None:
        return technique(name, "unknown", 0.0, statement("udp-not-measured"), _SETTLE)
    ids = (*nat.evidence.get("mapping", ()), *nat.evidence.get("port_allocation", ()))
    if nat.reachable is False:
        ids = nat.evidence.get("reachable", ())
        code, remedy = ("udp-forbidden", _ALLOW) if findings.forbids_udp else ("udp-blocked", _OVER_TCP)
        return technique(name, "fails", 0.99, statement(code), remedy=remedy, evidence=ids)
    trial = _trial(findings, "udp")
    if only_services(nat) and (trial is None or trial.state != "punched"):
        restricted = statement("udp-ports-restricted", ports=tuple(map(str, nat.open_ports)))
        ids = nat.evidence.get("reachable", ())
        return technique(name, "fails", 0.8, restricted, remedy=_OVER_TCP, evidence=ids)
    side = side_of(nat)
    if side is None:
        why = nat.unknown_reasons.get("mapping") or (_SETTLE,)
        return technique(name, "unknown", 0.0, statement("udp-mapping-unknown"), *why, evidence=ids)
    return judge(findings, nat, side, ids)


def _udp_punch(findings: Findings, nat: Nat, side: Side, ids: Ids) -> Technique:
    remedy = _FORWARD if obstacle(findings) == "router" else ()
    expected = _stable(nat, side, ids) if side.moves == "not" else _varying(nat, side, ids, remedy)
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


def _varying(nat: Nat, side: Side, ids: Ids, remedy: Reason) -> Technique:
    """An external port of its own for each peer."""
    confidence, then = 0.5, statement("see-birthday")
    if side.moves == "predictably":
        confidence, then = 0.75, statement("prediction-may-miss")
        counted = statement("port-counted", step=nat.port_step)
        kept = statement("address-chosen" if nat.shows_addresses else "port-kept")
        how = kept if nat.port_allocation == "preserving" else counted
    elif side.moves == "in a block":
        confidence, how = 0.6, statement("port-from-block", size=side.size)
    else:
        how = statement("port-unpredictable" if side.moves == "somehow" else "port-random")
    return technique("udp-punch", "works", confidence, how, then, remedy=remedy, evidence=ids)


def _udp_birthday(findings: Findings, nat: Nat, side: Side, ids: Ids) -> Technique:
    if side.moves == "somehow":
        return technique(
            "udp-birthday", "unknown", 0.0, statement("birthday-allocation-unknown"), evidence=ids
        )
    reason = [_birthday_odds(side)]
    if side.moves in ("at random", "in a block"):
        found = findings.by_path.get(("udp", findings.main))
        return _with_birthday(reason[0], ids, None if found is None else _birthday_outcome(found.path))
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
