"""What came of birthday probing with the server's second address.

A nonce that got in is proof. That none did is first of all bad luck, of which the chance is known; it is held
against the network only if ports that were known to be open let nothing in either.
"""

from __future__ import annotations

from math import ceil
from typing import Literal

import msgspec

from nattools.engine.analysis.evidence import Path, endpoint
from nattools.model.confidence import CERTAIN_ERROR
from nattools.model.observation import BirthdayTrial
from nattools.traversal.odds import RANDOM_POOL, odds, pool_size, shown

State = Literal["punched", "kept out", "missed", "unforeseen", "undecided"]


class Met(msgspec.Struct, frozen=True):
    """`missed`: bad luck, or a router that holds few mappings, explains that nothing got in. `unforeseen`:
    they do not, nor does a filter. `words`: a sentence or two that say what came of it."""

    state: State
    evidence: tuple[int, ...]
    words: str


def met(path: Path) -> Met | None:
    """None: it was not tried."""
    if not path.birthdays:
        return None
    trial = next((each for each in path.birthdays if each.outcome == "punched"), path.birthdays[-1])
    state, words = _judged(path, trial)
    if trial.sockets < trial.wanted and trial.detail:
        words = f"{words} Only {trial.detail}."
    elif state == "missed" and trial.detail:
        words = f"{words} It ended early: {trial.detail}."
    return Met(state, tuple(each.id for each in path.birthdays), words)


def _judged(path: Path, trial: BirthdayTrial) -> tuple[State, str]:
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
