"""Which strategies lead from one side to the other over TCP, where UDP does not pass.

A simultaneous open (RFC 9293 3.5; RFC 5382 REQ-2) needs what UDP punching needs: the outside port that each
side is going to have, known, predicted or found by trying.
"""

from __future__ import annotations

import msgspec

from nattools.model.nat import Nat
from nattools.model.punch import Strategy
from nattools.model.statement import Statement, statement
from nattools.traversal.plan.odds import odds, shown
from nattools.traversal.plan.side import Side
from nattools.traversal.plan.stepbuilding import (
    PROBES_PER_S,
    Whose,
    by_some_uplink,
    dealt,
    hold_s,
    opening_ttl,
)
from nattools.traversal.plan.steps import SendSchedule, Step
from nattools.traversal.plan.udpstrategies import PROBES, SOCKETS


def restricted(tcp: Nat) -> str | None:
    """The ports that are let out, as text, where a peer's are not among them; None: all are."""
    if not tcp.blocked_ports:
        return None
    return ", ".join(map(str, tcp.open_ports)) or "some"


def tcp_steps(first: Side, second: Side, whose: Whose) -> list[Step]:
    """What to try over TCP, in order; nothing if nothing practical leads there. Both sides get out."""
    return [by_some_uplink(step, first, second) for step in _tcp_steps(first, second, whose)]


def _tcp_steps(first: Side, second: Side, whose: Whose) -> list[Step]:
    for side, name in sorted(((second, whose[1]), (first, whose[0])), key=lambda each: each[0].translated):
        if side.open and not side.translated:
            return [_tcp("host", statement("step-tcp-open", whose=name), _both(first, second))]
        if side.open:
            return [_tcp("reflexive", statement("step-tcp-open-external", whose=name), _both(first, second))]
    return [dealt(step, first, second) for step in _meeting(first, second, whose)]


def _meeting(first: Side, second: Side, whose: Whose) -> list[Step]:
    """The steps of two sides that have to open their own way in."""
    if first.moves == "not" and second.moves == "not":
        return [_tcp("simultaneous-open", statement("step-tcp-both-open"), _both(first, second))]
    still, moves, name = (first, second, whose[1]) if first.moves == "not" else (second, first, whose[0])
    if "somehow" in (first.moves, second.moves):
        return []
    if {first.moves, second.moves} <= {"not", "predictably"}:
        return [
            _tcp("simultaneous-open", statement("step-tcp-next-port", whose=name), _predicted(first, second))
        ]
    if still.moves != "not":
        return []
    if still.accepts == "address":
        return [_tcp("simultaneous-open", statement("step-tcp-any-port", whose=name), _both(first, second))]
    tried = _tcp_birthday(still, moves, name, turned=still is second)
    again = msgspec.structs.replace(tried, reason=statement("step-tcp-birthday-again"))
    return [tried] if tried.odds == 1.0 else [tried, again]


SYNS = 3
SYN_S = 2.9
"""So long an attempt to connect lasts: `SYNS`, as systems repeat one once a second at most (RFC 6298 2.1).
Whoever calls later is heard by the port that listens."""
LASTS_S = 20.0
"""Long enough for all attempts, and for proof on one of the last. Without losses it takes a fraction of a
second."""
NEXT_PORTS = 16
TRIES = 4


def _both(first: Side, second: Side) -> tuple[SendSchedule, SendSchedule]:
    """One opens with a TTL that stays on its side of the internet, the other calls when that is done."""
    if first.ttl is None and second.ttl is not None:
        return _both(second, first)[::-1]
    opener = SendSchedule(ttl=opening_ttl(first), passes=TRIES, rate_per_s=PROBES_PER_S)
    return opener, SendSchedule(hold_s=hold_s(first, second), passes=TRIES)


def _predicted(first: Side, second: Side) -> tuple[SendSchedule, SendSchedule]:
    """Each side tries the next ports of the other, if those move."""
    schedules = [
        SendSchedule(
            ports="next" if peer.moves != "not" else "seen",
            count=NEXT_PORTS if peer.moves != "not" and not peer.keeps else 1,
            step=0 if peer.keeps else peer.step,
            fresh=False,
            ttl=opening_ttl(own) if own is first else None,
            hold_s=0.0 if own is first else round(hold_s(first, second) + NEXT_PORTS / PROBES_PER_S, 3),
            passes=TRIES,
        )
        for own, peer in ((first, second), (second, first))
    ]
    return schedules[0], schedules[1]


def _tcp(
    strategy: Strategy, reason: Statement, schedules: tuple[SendSchedule, SendSchedule], chance: float = 1.0
) -> Step:
    return Step(
        strategy=strategy,
        transport="tcp",
        reason=reason,
        odds=shown(chance),
        schedules=schedules,
        packets=(SYNS * schedules[0].packets, SYNS * schedules[1].packets),
        seconds=round(LASTS_S + max(_out_s(schedule) for schedule in schedules), 2),
    )


def _out_s(schedule: SendSchedule) -> float:
    """When its last attempt has begun."""
    return schedule.hold_s + schedule.sockets * schedule.count / schedule.rate_per_s


def _tcp_birthday(still: Side, moves: Side, name: str, *, turned: bool) -> Step:
    """The side that keeps its port sends its SYNs first: they open its own side, and the other side's SYNs
    arrive at ports that wait for them."""
    sockets, probes = min(SOCKETS, moves.size), min(PROBES, moves.size)
    prober = SendSchedule(
        ports="pool", count=probes, pool=moves.pool, mask=moves.mask, passes=1, ttl=opening_ttl(still)
    )
    hold = round(hold_s(still, moves) + probes / PROBES_PER_S, 3)
    caller = SendSchedule(sockets=sockets, fresh=True, passes=2, hold_s=hold)
    reason = statement("step-tcp-birthday", whose=name, sockets=sockets, ports=moves.size, probes=probes)
    schedules = (caller, prober) if turned else (prober, caller)
    return _tcp("simultaneous-open", reason, schedules, odds(sockets, probes, moves.size))
