"""What came of punching a hole to the server's second address.

What got in is proof. Silence counts only where loss cannot explain it, where the port that was written to is
known to have been the right one, and where the second address is known to be alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from nattools.engine.analysis.evidence import Path, endpoint
from nattools.model.confidence import CERTAIN_ERROR
from nattools.model.observation import PunchTrial

State = Literal["punched", "kept out", "missed", "undecided", "not tried"]
_ROUND_TRIPS = 3
"""Of an attempt over TCP: the SYN, the peer's SYN, and their acknowledgements; and the order, which TCP would
repeat too late. It fails if one of these packets is lost."""
_PROMPT_S = 0.3
"""Both SYNs must cross before the first is repeated after a second: not sure on paths slower than this."""


class Tried(msgspec.Struct, frozen=True):
    """`missed`: the outside port was another than the one foretold. `why`: a sentence for what is not
    "punched"."""

    state: State
    evidence: tuple[int, ...]
    why: str = ""


def tried(path: Path) -> Tried | None:
    """None: no server here could be the peer."""
    if not path.punches:
        return None
    ids = tuple(trial.id for trial in path.punches)
    punched = tuple(trial.id for trial in path.punches if trial.outcome == "punched")
    if punched:
        return Tried("punched", punched)
    untried = [trial for trial in path.punches if trial.outcome == "not tried"]
    if untried:
        return Tried("not tried", ids, f"It was not tried: {untried[-1].detail}.")
    return (_over_udp if path.transport == "udp" else _over_tcp)(path, ids)


def _over_udp(path: Path, ids: tuple[int, ...]) -> Tried:
    alive = [(trial, at) for trial in _silent(path) if (at := endpoint(trial.seen)) is not None]
    for trial, at in alive:
        # Openers that came too late help no dial-back, so that half of both must have been lost.
        if at.port in trial.aimed and path.loss.conclusive(min(trial.openers, trial.sent) // 2):
            sent = f"{trial.sent} packets"
            return Tried("kept out", ids, f"{_peer(trial)} sent {sent} here, and none of them got in.")
    missed = [trial for trial, at in alive if at.port not in trial.aimed]
    if missed and len(missed) == len(_silent(path)):
        last = missed[-1]
        ports = " to ".join(str(port) for port in dict.fromkeys((last.aimed[0], last.aimed[-1])))
        seen = (last.seen or "").rpartition(":")[2]
        return Tried("missed", ids, f"Port {ports} was foretold, and it was {seen}.")
    return _undecided(path, ids)


def _over_tcp(path: Path, ids: tuple[int, ...]) -> Tried:
    silent = [trial for trial in _silent(path) if trial.sure and len(trial.aimed) == 1]
    lossy = 1 - (1 - path.loss.bound) ** _ROUND_TRIPS
    told = [trial for trial in silent if _same_port(trial)]
    alive = all(endpoint(trial.towards) in path.answered_endpoints for trial in told)
    prompt = all(binding.rtt_s is None or binding.rtt_s <= _PROMPT_S for binding in path.bindings)
    if told and alive and prompt and lossy ** len(told) < CERTAIN_ERROR:
        tries = f"{len(told)} times"
        return Tried("kept out", ids, f"{_peer(told[0])} connected {tries} while we did, and never got in.")
    return _undecided(path, ids)


def _same_port(trial: PunchTrial) -> bool:
    mapped = endpoint(trial.mapped)
    return mapped is not None and trial.aimed == (mapped.port,)


def _silent(path: Path) -> list[PunchTrial]:
    return [trial for trial in path.punches if trial.outcome in ("silent", "refused")]


def _peer(trial: PunchTrial) -> str:
    at = endpoint(trial.towards)
    return f"The server's second address ({at.host if at is not None else trial.towards})"


def _undecided(path: Path, ids: tuple[int, ...]) -> Tried:
    for outcome, why in _UNDECIDED.items():
        some = [trial for trial in path.punches if trial.outcome == outcome]
        if some:
            return Tried("undecided", ids, why(some))
    return Tried("undecided", ids)


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
