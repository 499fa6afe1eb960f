"""What came of punching a hole to the server's second address, and of birthday probing with it."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Literal

import msgspec

from nattools.engine.analysis.evidence import PathEvidence, endpoint
from nattools.model.confidence import CERTAIN_ERROR
from nattools.model.observation import BirthdayTrial, PunchTrial
from nattools.traversal.odds import RANDOM_POOL, odds, pool_size, shown

PunchState = Literal["punched", "kept out", "missed", "undecided", "not tried"]
_ROUND_TRIPS = 3
"""Of an attempt over TCP: the SYN, the peer's SYN, and their acknowledgements; and the order, which TCP would
repeat too late. It fails if one of these packets is lost."""
_PROMPT_S = 0.3
"""Both SYNs must cross before the first is repeated after a second: not sure on paths slower than this."""


class PunchOutcome(msgspec.Struct, frozen=True):
    """`missed`: the outside port was another than the one foretold. `why`: a sentence for what is not
    "punched"."""

    state: PunchState
    evidence: tuple[int, ...]
    why: str = ""


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
        return PunchOutcome("not tried", ids, f"It was not tried: {untried[-1].detail}.")
    return (_over_udp if path.transport == "udp" else _over_tcp)(path, ids)


def _over_udp(path: PathEvidence, ids: tuple[int, ...]) -> PunchOutcome:
    alive = [(trial, at) for trial in _silent(path) if (at := endpoint(trial.seen)) is not None]
    for trial, at in alive:
        # Openers that came too late help no dial-back, so that half of both must have been lost.
        if at.port in trial.aimed and path.loss.conclusive(min(trial.openers, trial.sent) // 2):
            sent = f"{trial.sent} packets"
            return PunchOutcome("kept out", ids, f"{_peer(trial)} sent {sent} here, and none of them got in.")
    missed = [trial for trial, at in alive if at.port not in trial.aimed]
    if missed and len(missed) == len(_silent(path)):
        last = missed[-1]
        ports = " to ".join(str(port) for port in dict.fromkeys((last.aimed[0], last.aimed[-1])))
        seen = (last.seen or "").rpartition(":")[2]
        return PunchOutcome("missed", ids, f"Port {ports} was foretold, and it was {seen}.")
    return _undecided(path, ids)


def _over_tcp(path: PathEvidence, ids: tuple[int, ...]) -> PunchOutcome:
    silent = [trial for trial in _silent(path) if trial.sure and len(trial.aimed) == 1]
    lossy = 1 - (1 - path.loss.bound) ** _ROUND_TRIPS
    told = [trial for trial in silent if _same_port(trial)]
    alive = all(endpoint(trial.towards) in path.answered_endpoints for trial in told)
    prompt = all(binding.rtt_s is None or binding.rtt_s <= _PROMPT_S for binding in path.bindings)
    if told and alive and prompt and lossy ** len(told) < CERTAIN_ERROR:
        tries = f"{len(told)} times"
        return PunchOutcome(
            "kept out", ids, f"{_peer(told[0])} connected {tries} while we did, and never got in."
        )
    return _undecided(path, ids)


def _same_port(trial: PunchTrial) -> bool:
    mapped = endpoint(trial.mapped)
    return mapped is not None and trial.aimed == (mapped.port,)


def _silent(path: PathEvidence) -> list[PunchTrial]:
    return [trial for trial in path.punches if trial.outcome in ("silent", "refused")]


def _peer(trial: PunchTrial) -> str:
    at = endpoint(trial.towards)
    return f"The server's second address ({at.host if at is not None else trial.towards})"


def _undecided(path: PathEvidence, ids: tuple[int, ...]) -> PunchOutcome:
    for outcome, why in _UNDECIDED.items():
        some = [trial for trial in path.punches if trial.outcome == outcome]
        if some:
            return PunchOutcome("undecided", ids, why(some))
    return PunchOutcome("undecided", ids)


def _failed(trials: list[PunchTrial]) -> str:
    return f"Trying it failed: {trials[-1].detail or trials[-1].outcome}."


_UNDECIDED: dict[str, Callable[[list[PunchTrial]], str]] = {
    "silent": lambda some: f"It was tried ({len(some)} times) and did not come about; that may be bad luck.",
    "refused": lambda some: f"It was tried ({len(some)} times) and refused; that may be bad luck.",
    "reached": lambda _: (
        "It was tried, but the own SYN reached the server's listening port, which proves nothing."
    ),
    "denied": _failed,
    "error": _failed,
}


BirthdayState = Literal["punched", "kept out", "missed", "unforeseen", "undecided"]


class BirthdayOutcome(msgspec.Struct, frozen=True):
    """`missed`: bad luck, or a router that holds few mappings, explains that nothing got in. `unforeseen`:
    they do not, nor does a filter. `words`: a sentence or two that say what came of it."""

    state: BirthdayState
    evidence: tuple[int, ...]
    words: str


def birthday_outcome(path: PathEvidence) -> BirthdayOutcome | None:
    """None: it was not tried."""
    if not path.birthdays:
        return None
    trial = next((each for each in path.birthdays if each.outcome == "punched"), path.birthdays[-1])
    state, words = _judged(path, trial)
    if trial.sockets < trial.wanted and trial.detail:
        words = f"{words} Only {trial.detail}."
    elif state == "missed" and trial.detail:
        words = f"{words} It ended early: {trial.detail}."
    return BirthdayOutcome(state, tuple(each.id for each in path.birthdays), words)


def _judged(path: PathEvidence, trial: BirthdayTrial) -> tuple[BirthdayState, str]:
    if trial.outcome == "punched":
        expected = _percent(shown(_odds(trial, trial.planned)))
        return "punched", (
            f"Tried with the server's second address: of up to {trial.planned:,} packets to ports picked at "
            f"random, number {trial.sent:,} got in ({expected} expected)."
        )
    if trial.outcome != "silent" or trial.sent <= 0:
        return "undecided", f"Reckoned: trying it failed: {trial.detail or trial.outcome}."
    at = endpoint(trial.towards)
    if trial.checked > 0 >= trial.open:
        return "undecided", "Reckoned: it was tried, but afterwards none of our ports was known to be open."
    peer = f"The server's second address ({at.host if at is not None else trial.towards})"
    if not trial.entered and path.loss.conclusive(max(0, trial.open)):
        return "kept out", f"{peer} wrote to {trial.open} ports that were open to it, and none let it in."
    nothing = f"Tried: {peer[0].lower()}{peer[1:]} sent {trial.sent:,} packets to ports picked at random"
    if trial.open < trial.checked // 2:
        few = f"{trial.open} of {trial.checked} ports"
        return "missed", f"{nothing}, and none got in; only {few} proved open, as if the router held few."
    chance = 1.0 - _odds(trial, trial.sent, path.loss.bound)
    if chance < CERTAIN_ERROR:
        return "unforeseen", f"{nothing}, and none got in, which is not bad luck: ports are drawn otherwise."
    return "missed", f"{nothing}; that none got in has a chance of up to {_percent(chance)}."


def _odds(trial: BirthdayTrial, sent: int, loss: float = 0.0) -> float:
    """Of a hit, where `loss` of the openers and of the other side's packets do not arrive."""
    low, high = trial.pool
    ports = pool_size(trial.pool if 0 < low <= high < 65536 else RANDOM_POOL)
    sockets, packets = (int(min(max(0, n), ports) * (1.0 - loss)) for n in (trial.sockets, sent))
    return odds(sockets, packets, ports)


def _percent(share: float) -> str:
    if share >= 1.0:
        return "100%"
    return f"{100 * share:.2f}%" if share > 0.99 else f"{ceil(10_000 * share) / 100:.2g}%"
