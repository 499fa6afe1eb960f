"""What came of punching a hole to the server's second address, and of birthday probing with it."""

from __future__ import annotations

from math import ceil
from typing import Literal

import msgspec

from nattools.engine.analysis.evidence import PathEvidence, endpoint
from nattools.model.confidence import CERTAIN_ERROR
from nattools.model.observation import BirthdayTrial, PunchTrial
from nattools.model.statement import Reason, Statement, statement
from nattools.traversal.odds import RANDOM_POOL, odds, pool_size, shown

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
    alive = [(trial, at) for trial in _silent(path) if (at := endpoint(trial.seen)) is not None]
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
    alive = all(endpoint(trial.towards) in path.answered_endpoints for trial in same)
    prompt = all(binding.rtt_s is None or binding.rtt_s <= _PROMPT_S for binding in path.bindings)
    if same and alive and prompt and lossy ** len(same) < CERTAIN_ERROR:
        kept_out = statement("tcp-kept-out", peer=_peer(same[0]), tries=len(same))
        return PunchOutcome("kept out", ids, (kept_out,))
    return _undecided(path, ids)


def _same_port(trial: PunchTrial) -> bool:
    mapped = endpoint(trial.mapped)
    return mapped is not None and trial.aimed == (mapped.port,)


def _silent(path: PathEvidence) -> list[PunchTrial]:
    return [trial for trial in path.punches if trial.outcome in ("silent", "refused")]


def _peer(trial: PunchTrial | BirthdayTrial) -> str:
    """The address of the server that was to get in."""
    at = endpoint(trial.towards)
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


def birthday_outcome(path: PathEvidence) -> BirthdayOutcome | None:
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
