"""Which strategies lead from one side to the other over UDP: the rules of all pairs, in one place."""

from __future__ import annotations

import msgspec

from nattools.model.punch import Strategy
from nattools.model.statement import Statement, statement
from nattools.traversal.plan.odds import LOW_POOL, LOW_SOURCES, odds, pool_size
from nattools.traversal.plan.poolfilling import pool_filling_steps
from nattools.traversal.plan.side import Side
from nattools.traversal.plan.stepbuilding import (
    PROBES_PER_S,
    SPREAD_AHEAD,
    SPREAD_PORTS,
    SPREAD_SOCKETS,
    WIDER,
    Whose,
    by_some_uplink,
    dealt,
    hold_s,
    opening_ttl,
    orders,
    turned_round,
    udp_step,
)
from nattools.traversal.plan.steps import SendSchedule, Step

SOCKETS = 320
"""Ports that the side with the random mapping opens."""
PROBES = 1024
"""Ports that the other side then tries, which finds one of those in 99.4% of cases; a second time as many if
need be."""
BLOCK_SOCKETS = 128
DEALT_SOCKETS = 4
"""For each outside address that a mapping may get: one of them gets the one that the peer looks at."""


def udp_steps(first: Side, second: Side, whose: Whose) -> list[Step]:
    """What to try over UDP, in order; nothing if nothing practical leads there. Both sides get out."""
    return [by_some_uplink(step, first, second) for step in _udp_steps(first, second, whose)]


def _udp_steps(first: Side, second: Side, whose: Whose) -> list[Step]:
    if first.moves == "not" and second.moves == "not":
        return _plain(first, second, whose)
    for still, moves, name, turned in orders(first, second, whose):
        if still.moves == "not":
            return turned_round(_one_moves(still, moves, name), turned)
    return [dealt(step, first, second) for step in _both_move(first, second, whose)]


def _next_ports(
    of: Side, wider: int, *, hold: float, fresh: bool = True, ttl: int | None = None
) -> SendSchedule:
    """To the ports that the NAT of the other side gives next; to one, if it keeps the inside port."""
    return SendSchedule(
        ports="next",
        count=1 if of.keeps else SPREAD_PORTS * wider,
        step=0 if of.keeps else of.step,
        fresh=fresh,
        ttl=ttl,
        hold_s=hold,
    )


def _reaches(side: Side) -> tuple[int, ...]:
    """How far the tries of a prediction reach, one after the other."""
    return (1,) if side.keeps else (1, WIDER)


# --- both sides keep their external ports


def _plain(first: Side, second: Side, whose: Whose) -> list[Step]:
    for side, name in sorted(((second, whose[1]), (first, whose[0])), key=lambda each: each[0].translated):
        if side.open:
            step = udp_step(_name_of(side), SendSchedule(), SendSchedule(), 1.0, _anybody(side, name))
            return [step, _without_ttl(step)] if side.translated else [step]
    hold = hold_s(first, second)
    opening = [SendSchedule(ttl=opening_ttl(side), hold_s=hold) for side in (first, second)]
    waiting = SendSchedule(ttl=opening_ttl(first), hold_s=hold + 1.0)
    calling = SendSchedule(hold_s=hold + 0.5)
    both, *again = _and_without_ttl(
        [udp_step("reflexive", opening[0], opening[1], 1.0, statement("step-both-keep"))]
    )
    return [both, udp_step("low-ttl", waiting, calling, None, statement("step-other-roles")), *again]


def _name_of(side: Side) -> Strategy:
    """The name of the strategy that leads to a side's own or external address, just so."""
    return "reflexive" if side.translated or not side.open else "host"


def _anybody(side: Side, name: str) -> Statement:
    return statement("step-open-external" if side.translated else "step-open", whose=name)


# --- one side's external port changes


def _one_moves(still: Side, moves: Side, whose: Whose) -> list[Step]:
    if still.accepts != "port":
        hold = hold_s(still, moves)
        reason = (
            _anybody(still, whose[0])
            if still.open
            else statement("step-any-port", whose=whose[0], other=whose[1])
        )
        own = SendSchedule(ttl=opening_ttl(still), hold_s=hold)
        peer = SendSchedule(hold_s=0.0 if still.accepts == "all" else hold)
        return [udp_step(_name_of(still), own, peer, 1.0, reason)]
    if moves.moves == "predictably":
        return [_predicted(still, moves, whose, wider) for wider in _reaches(moves)]
    if moves.moves == "somehow":
        return []
    if moves.moves == "in a block":
        return _and_without_ttl([_birthday(still, moves, whose, moves.pool, BLOCK_SOCKETS, 2 * PROBES)])
    wide = _birthday(still, moves, whose, moves.pool, SOCKETS, 2 * PROBES)
    if not moves.low_ports:
        return _and_without_ttl([wide])
    low = _birthday(still, moves, whose, LOW_POOL, BLOCK_SOCKETS, pool_size(LOW_POOL), sources=LOW_SOURCES)
    return _and_without_ttl([low, wide])


def _and_without_ttl(steps: list[Step]) -> list[Step]:
    """And the first of them once more with packets that expire nowhere: some NATs forget a mapping when an
    ICMP error about it comes back (against RFC 4787 REQ-12), and with it the port that was opened."""
    first = steps[0]
    if first.schedules is None or all(each.ttl is None for each in first.schedules):
        return steps
    return [*steps, _without_ttl(first)]


def _without_ttl(step: Step) -> Step:
    assert step.schedules is not None
    own, peer = (msgspec.structs.replace(each, ttl=None) for each in step.schedules)
    return udp_step(step.strategy, own, peer, None, statement("step-without-ttl"))


def _predicted(still: Side, moves: Side, whose: Whose, wider: int) -> Step:
    count = 1 if moves.keeps else SPREAD_PORTS * wider
    hold = round(hold_s(still, moves) + count / PROBES_PER_S, 3)
    own = _next_ports(moves, wider, hold=hold, fresh=False, ttl=opening_ttl(still))
    sockets = 1 if moves.keeps or moves.addresses == 1 else min(SPREAD_AHEAD, DEALT_SOCKETS * moves.addresses)
    peer = SendSchedule(sockets=sockets, fresh=not moves.keeps, ttl=moves.ttl, hold_s=hold)
    reason = statement("step-next-port", whose=whose[1], count=count)
    chance = 1.0 - (1.0 - 1.0 / moves.addresses) ** sockets
    return udp_step("prediction", own, peer, chance, reason, wider=wider)


def _birthday(
    still: Side,
    moves: Side,
    whose: Whose,
    pool: tuple[int, int],
    sockets: int,
    probes: int,
    *,
    sources: tuple[int, int] | None = None,
) -> Step:
    mask = moves.mask if pool == moves.pool else None
    ports = pool_size(pool, mask)
    sockets, probes = min(sockets, ports), min(probes, ports)
    opener = SendSchedule(sockets=sockets, fresh=True, ttl=moves.ttl, sources=sources, passes=1)
    hold = round(hold_s(still, moves) + sockets / PROBES_PER_S, 3)
    prober = SendSchedule(ports="pool", count=probes, pool=pool, mask=mask, passes=1, hold_s=hold)
    kind = "-low" if sources is not None else "-block" if moves.moves == "in a block" else ""
    reason = statement(
        f"step-birthday{kind}", whose=whose[1], sockets=sockets, ports=ports, probes=probes, rate=PROBES_PER_S
    )
    return udp_step("birthday", prober, opener, odds(sockets // moves.addresses, probes, ports), reason)


# --- both sides' external ports change


def _both_move(first: Side, second: Side, whose: Whose) -> list[Step]:
    if "somehow" in (first.moves, second.moves):
        return []
    for own, peer, name, turned in orders(first, second, whose):
        if _predicted_and_lenient(own, peer):
            return turned_round([_called(own, peer, name, wider) for wider in _reaches(own)], turned)
    if first.moves == second.moves == "predictably":
        return _both_predicted(first, second)
    return pool_filling_steps(first, second, whose)


def _predicted_and_lenient(own: Side, peer: Side) -> bool:
    """Its next port can be predicted, and it lets in whoever calls there from the peer's address. With a port
    for each of the peer's ports the answer leaves from another one, which the peer must let in, and answer in
    turn from the port that it called from: two that each take a port for each of the other's never meet."""
    return (
        own.moves == "predictably"
        and own.accepts != "port"
        and (_answers_from_there(own) or (peer.accepts != "port" and _answers_from_there(peer)))
    )


def _answers_from_there(side: Side) -> bool:
    """Does what it sends to another port of an address leave from the same one?"""
    return side.by_address or side.keeps


def _called(own: Side, peer: Side, whose: Whose, wider: int) -> Step:
    """The peer calls the predicted port; whatever port its call comes from is let in."""
    hold = hold_s(own, peer)
    opener = SendSchedule(fresh=not own.keeps, ttl=own.ttl, hold_s=hold)
    reason = statement("step-called", whose=whose[0], other=whose[1])
    return udp_step("prediction", opener, _next_ports(own, wider, hold=hold), 1.0, reason, wider=wider)


def _both_predicted(first: Side, second: Side) -> list[Step]:
    """`keeps` on a side makes its port certain: then the other's next ports are all there is to guess."""
    if first.keeps or second.keeps:
        reaches = (1,) if first.keeps and second.keeps else (1, WIDER)
        return [_one_keeps(first, second, wider) for wider in reaches]
    reason = statement("step-both-next-ports", count=SPREAD_AHEAD - 1)
    again = udp_step("prediction", *_spread(second, first, WIDER), None, reason, wider=WIDER)
    return [udp_step("prediction", *_spread(first, second, 1), 1.0, reason), *turned_round([again], True)]


def _one_keeps(first: Side, second: Side, wider: int) -> Step:
    hold = round(hold_s(first, second) + SPREAD_PORTS * wider / PROBES_PER_S, 3)
    own, other = (
        _next_ports(peer, wider, hold=hold, fresh=not own.keeps, ttl=own.ttl)
        for own, peer in ((first, second), (second, first))
    )
    sure = 1.0 if first.keeps and second.keeps else 0.5
    return udp_step("prediction", own, other, sure, statement("step-both-next-port"), wider=wider)


def _spread(wide: Side, long: Side, wider: int) -> tuple[SendSchedule, SendSchedule]:
    hold = round(hold_s(wide, long) + SPREAD_SOCKETS * wider / PROBES_PER_S, 3)
    many = SendSchedule(
        sockets=SPREAD_SOCKETS * wider,
        ports="next",
        ahead=SPREAD_AHEAD * wider,
        step=long.step,
        fresh=True,
        ttl=wide.ttl,
        hold_s=hold,
    )
    return many, _next_ports(wide, wider, hold=hold)
