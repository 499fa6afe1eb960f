"""What the rules of UDP and TCP build their steps of: the sides in either order, times, and odds with several
addresses."""

from __future__ import annotations

import msgspec

from nattools.model.punch import Strategy
from nattools.model.statement import Statement, statement
from nattools.traversal.plan.odds import shown
from nattools.traversal.plan.side import Side
from nattools.traversal.plan.steps import SendSchedule, Step

PROBES_PER_S = 400.0
"""Slow enough for home routers' session tables."""
SPREAD_SOCKETS, SPREAD_AHEAD, SPREAD_PORTS = 24, 14, 32
"""Between the look at both NATs' counters and the punch others take ports, too. Some sockets send to the port
14 ahead, one socket at the next 32: with 16 they meet if others took up to 13 ports, on both sides together;
with 24 also if several of the first packets are lost, so that the later ones get their ports."""
WIDER = 2
"""So much further a prediction reaches the second time, from where the counters are then: others took more
ports than expected, and may do so again."""
USUAL_TTL = 2
START_S = 0.05
"""How far apart the two sides may begin, beside their round trips."""

BOTH_AGREE = 7 / 8
ALL_SEEN = 0.9

Whose = tuple[str, str]
"""The two sides' names in the possessive: ("our", "its")."""


def by_some_uplink(step: Step, first: Side, second: Side) -> Step:
    """The same with its odds where a side shows each peer one of several outside addresses: checks go to all
    of them, what is tried besides to one. If both do, each chooses by the address that the other chose, and
    in one case of eight they never agree. And there may be addresses that no server has seen."""
    if step.odds is None or first.uplinks == second.uplinks == 1:
        return step
    checked = step.transport == "udp" and step.strategy in ("host", "reflexive")
    chance = step.odds * (BOTH_AGREE if min(first.uplinks, second.uplinks) > 1 else 1.0)
    for side in (first, second):
        chance *= ALL_SEEN if side.uplinks > 1 else 1.0
        chance /= 1 if checked or (side.keeps and step.transport == "udp") else side.uplinks
    return msgspec.structs.replace(step, odds=shown(chance))


def dealt(step: Step, first: Side, second: Side) -> Step:
    """The same with its odds where mappings get any of several outside addresses: each side is looked for at
    one of the other's."""
    if step.odds is None:
        return step
    return msgspec.structs.replace(step, odds=shown(step.odds / (first.addresses * second.addresses)))


def orders(first: Side, second: Side, whose: Whose) -> list[tuple[Side, Side, Whose, bool]]:
    """The two as they are, and turned round."""
    return [(first, second, whose, False), (second, first, whose[::-1], True)]


def turned_round(steps: list[Step], turned: bool) -> list[Step]:
    """Steps that were planned for the two turned round, the right way round again."""
    if not turned:
        return steps
    return [
        msgspec.structs.replace(
            step,
            schedules=step.schedules and step.schedules[::-1],
            packets=step.packets and step.packets[::-1],
        )
        for step in steps
    ]


def opening_ttl(side: Side) -> int:
    """What opens the own side and reaches nobody: as measured, else what passes a single router."""
    return side.ttl if side.ttl is not None else USUAL_TTL


def hold_s(first: Side, second: Side, margin_s: float = START_S) -> float:
    """When both sides' openers are out for certain: the way of a word from one to the other by a server that
    both reach, and a margin for their own slowness."""
    return round(margin_s + (first.rtt_s + second.rtt_s) / 2, 3)


def udp_step(
    strategy: Strategy,
    own: SendSchedule,
    peer: SendSchedule,
    chance: float | None,
    reason: Statement,
    *,
    wider: int = 1,
) -> Step:
    """One over UDP. With a wider reach it is the second try, whose odds nobody knows."""
    if wider > 1:
        chance, reason = None, statement("step-wider")
    return Step(
        strategy=strategy,
        transport="udp",
        reason=reason,
        odds=None if chance is None else shown(chance),
        schedules=(own, peer),
        packets=(own.packets, peer.packets),
        seconds=round(max(own.seconds, peer.seconds) + 0.5, 2),
    )
