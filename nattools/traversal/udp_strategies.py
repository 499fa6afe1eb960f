"""Which strategies lead from one side to the other over UDP: the rules of all pairs, in one place."""

from __future__ import annotations

import msgspec

from nattools.model.punch import Strategy
from nattools.model.statement import Statement, statement
from nattools.traversal.odds import LOW_POOL, LOW_SOURCES, fill_odds, odds, pool_size, shown
from nattools.traversal.side import Side
from nattools.traversal.steps import SendSchedule, Step

SOCKETS = 320
"""Ports that the side with the random mapping opens."""
PROBES = 1024
"""Ports that the other side then tries, which finds one of those in 99.4% of cases; a second time as many if
need be."""
PROBES_PER_S = 400.0
"""Slow enough for home routers' session tables."""
BLOCK_SOCKETS = 128
SPREAD_SOCKETS, SPREAD_AHEAD, SPREAD_PORTS = 24, 14, 32
"""Between the look at both NATs' counters and the punch others take ports, too. Some sockets send to the port
14 ahead, one socket at the next 32: with 16 they meet if others took up to 13 ports, on both sides together;
with 24 also if several of the first packets are lost, so that the later ones get their ports."""
DEALT_SOCKETS = 4
"""For each outside address that a mapping may get: one of them gets the one that the peer looks at."""
WIDER = 2
"""So much further a prediction reaches the second time, from where the counters are then: others took more
ports than expected, and may do so again."""
USUAL_TTL = 2
FILL_TARGETS = 3
FILL_TRIES = 3
START_S = 0.05
"""How far apart the two sides may begin, beside their round trips."""

BLOCK_USED = 0.125
"""The share of a block that earlier mappings hold, of the measurement itself for instance. While they live
these ports cannot be had, and a port that the other side tries may be among them."""

BOTH_AGREE = 7 / 8
ALL_SEEN = 0.9

Whose = tuple[str, str]
"""The two sides' names in the possessive: ("our", "its")."""


def udp_steps(first: Side, second: Side, whose: Whose) -> list[Step]:
    """What to try over UDP, in order; nothing if nothing practical leads there. Both sides get out."""
    return [by_some_uplink(step, first, second) for step in _udp_steps(first, second, whose)]


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


def _udp_steps(first: Side, second: Side, whose: Whose) -> list[Step]:
    if first.moves == "not" and second.moves == "not":
        return _plain(first, second, whose)
    for still, moves, name, turned in _orders(first, second, whose):
        if still.moves == "not":
            return _turned(_one_moves(still, moves, name), turned)
    return [dealt(step, first, second) for step in _both_move(first, second, whose)]


def dealt(step: Step, first: Side, second: Side) -> Step:
    """The same with its odds where mappings get any of several outside addresses: each side is looked for at
    one of the other's."""
    if step.odds is None:
        return step
    return msgspec.structs.replace(step, odds=shown(step.odds / (first.addresses * second.addresses)))


def _orders(first: Side, second: Side, whose: Whose) -> list[tuple[Side, Side, Whose, bool]]:
    """The two as they are, and turned round."""
    return [(first, second, whose, False), (second, first, whose[::-1], True)]


def _turned(steps: list[Step], turned: bool) -> list[Step]:
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


def _step(
    strategy: Strategy,
    own: SendSchedule,
    peer: SendSchedule,
    chance: float | None,
    reason: Statement,
    *,
    wider: int = 1,
) -> Step:
    """With a wider reach it is the second try, whose odds nobody knows."""
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
            return [_step(_name_of(side), SendSchedule(), SendSchedule(), 1.0, _anybody(side, name))]
    hold = hold_s(first, second)
    opening = [SendSchedule(ttl=opening_ttl(side), hold_s=hold) for side in (first, second)]
    waiting = SendSchedule(ttl=opening_ttl(first), hold_s=hold + 1.0)
    calling = SendSchedule(hold_s=hold + 0.5)
    return [
        _step("reflexive", opening[0], opening[1], 1.0, statement("step-both-keep")),
        _step("low-ttl", waiting, calling, None, statement("step-other-roles")),
    ]


def _name_of(side: Side) -> Strategy:
    """Of a strategy that leads to a side's own or external address, just so."""
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
        return [_step(_name_of(still), own, peer, 1.0, reason)]
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
    own, peer = (msgspec.structs.replace(each, ttl=None) for each in first.schedules)
    return [*steps, _step(first.strategy, own, peer, None, statement("step-without-ttl"))]


def _predicted(still: Side, moves: Side, whose: Whose, wider: int) -> Step:
    count = 1 if moves.keeps else SPREAD_PORTS * wider
    hold = round(hold_s(still, moves) + count / PROBES_PER_S, 3)
    own = _next_ports(moves, wider, hold=hold, fresh=False, ttl=opening_ttl(still))
    sockets = 1 if moves.keeps or moves.addresses == 1 else min(SPREAD_AHEAD, DEALT_SOCKETS * moves.addresses)
    peer = SendSchedule(sockets=sockets, fresh=not moves.keeps, ttl=moves.ttl, hold_s=hold)
    reason = statement("step-next-port", whose=whose[1], count=count)
    chance = 1.0 - (1.0 - 1.0 / moves.addresses) ** sockets
    return _step("prediction", own, peer, chance, reason, wider=wider)


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
    return _step("birthday", prober, opener, odds(sockets // moves.addresses, probes, ports), reason)


# --- both sides' external ports change


def _both_move(first: Side, second: Side, whose: Whose) -> list[Step]:
    if "somehow" in (first.moves, second.moves):
        return []
    for own, peer, name, turned in _orders(first, second, whose):
        if _predicted_and_lenient(own, peer):
            return _turned([_called(own, peer, name, wider) for wider in _reaches(own)], turned)
    if first.moves == second.moves == "predictably":
        return _both_predicted(first, second)
    return _filled(first, second, whose)


def _predicted_and_lenient(own: Side, peer: Side) -> bool:
    """Its next port can be predicted, and it lets in whoever calls there from the peer's address. With a port
    for each of the peer's ports the answer leaves from another one, which the peer must let in."""
    return (
        own.moves == "predictably"
        and own.accepts != "port"
        and (own.by_address or own.keeps or peer.accepts != "port")
    )


def _called(own: Side, peer: Side, whose: Whose, wider: int) -> Step:
    """The peer calls the predicted port; whatever port its call comes from is let in."""
    hold = hold_s(own, peer)
    opener = SendSchedule(fresh=not own.keeps, ttl=own.ttl, hold_s=hold)
    reason = statement("step-called", whose=whose[0], other=whose[1])
    return _step("prediction", opener, _next_ports(own, wider, hold=hold), 1.0, reason, wider=wider)


def _both_predicted(first: Side, second: Side) -> list[Step]:
    """`keeps` on a side makes its port certain: then the other's next ports are all there is to guess."""
    if first.keeps or second.keeps:
        reaches = (1,) if first.keeps and second.keeps else (1, WIDER)
        return [_one_keeps(first, second, wider) for wider in reaches]
    reason = statement("step-both-next-ports", count=SPREAD_AHEAD - 1)
    again = _step("prediction", *_spread(second, first, WIDER), None, reason, wider=WIDER)
    return [_step("prediction", *_spread(first, second, 1), 1.0, reason), *_turned([again], True)]


def _one_keeps(first: Side, second: Side, wider: int) -> Step:
    hold = round(hold_s(first, second) + SPREAD_PORTS * wider / PROBES_PER_S, 3)
    own, other = (
        _next_ports(peer, wider, hold=hold, fresh=not own.keeps, ttl=own.ttl)
        for own, peer in ((first, second), (second, first))
    )
    sure = 1.0 if first.keeps and second.keeps else 0.5
    return _step("prediction", own, other, sure, statement("step-both-next-port"), wider=wider)


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


Pool = tuple[tuple[int, int], tuple[int, int] | None]
"""A pool of ports, and the source ports to use for mappings to come from it."""


def _small(side: Side) -> Pool | None:
    """The pool that new ports of this side come from if it is small enough to be filled."""
    if side.moves == "in a block" and side.size <= 1024 and side.mask is None:
        return side.pool, None
    return (LOW_POOL, LOW_SOURCES) if side.moves == "at random" and side.low_ports else None


def _filled(first: Side, second: Side, whose: Whose) -> list[Step]:
    """One side opens all ports of a small pool to a few of the other's; the other tries all of them."""
    orders = sorted(_orders(first, second, whose), key=lambda one: one[1].moves != "predictably")
    for filler, caller, name, turned in orders:
        pool = _small(filler)
        if pool is None:
            continue
        if caller.moves == "predictably":
            tries = [_fill_predicted(filler, caller, name, pool, wider) for wider in (1, WIDER)]
            return _turned(tries, turned)
        into = _small(caller)
        if into is not None:
            return _turned([_fill(filler, caller, name, pool, into)], turned)
    return []


def _had(side: Side) -> float:
    """The share of its pool that can be had."""
    return 1.0 - BLOCK_USED if side.moves == "in a block" else 1.0


def _fillers(filler: Side, caller: Side, pool: Pool) -> tuple[int, float]:
    """How many sockets fill a pool, and when they have. Linux looks for a free port at some places only: the
    last sockets often get none, so there are more of them than ports."""
    sockets = pool_size(pool[1] or pool[0])
    return sockets, round(hold_s(filler, caller) + sockets / PROBES_PER_S, 3)


def _fill_predicted(filler: Side, caller: Side, whose: Whose, pool: Pool, wider: int) -> Step:
    sockets, hold = _fillers(filler, caller, pool)
    opener = SendSchedule(
        sockets=sockets,
        ports="next",
        ahead=1 if caller.keeps else SPREAD_AHEAD * wider,
        step=0 if caller.keeps else caller.step,
        fresh=True,
        sources=pool[1],
        ttl=filler.ttl,
        hold_s=hold,
        passes=2,
        gap_s=0.1,
    )
    call = SendSchedule(
        ports="pool",
        count=1 if caller.keeps else SPREAD_PORTS * wider,
        pool=pool[0],
        fresh=not caller.keeps,
        hold_s=hold,
        passes=12,  # the other side may be slow to open so many
    )
    reason = statement("step-fill-next-port", whose=whose[0], other=whose[1], ports=pool_size(pool[0]))
    return _step("birthday", opener, call, _had(filler), reason, wider=wider)


def _fill(filler: Side, caller: Side, whose: Whose, pool: Pool, into: Pool) -> Step:
    size, across = pool_size(pool[0]), pool_size(into[0])
    sockets, hold = _fillers(filler, caller, pool)
    opener = SendSchedule(
        sockets=sockets,
        ports="pool",
        count=FILL_TARGETS,
        pool=into[0],
        fresh=True,
        sources=pool[1],
        ttl=filler.ttl,
        passes=1,
    )
    call = SendSchedule(
        sockets=FILL_TRIES,
        ports="pool",
        count=size,
        pool=pool[0],
        fresh=True,
        sources=into[1],
        hold_s=hold,
        passes=1,
    )
    reason = statement(
        "step-fill",
        whose=whose[0],
        other=whose[1],
        ports=size,
        targets=FILL_TARGETS,
        across=across,
        tries=FILL_TRIES,
    )
    chance = fill_odds(size, FILL_TARGETS, size, FILL_TRIES, across)
    if "in a block" in (filler.moves, caller.moves):
        chance = min(chance, _had(filler) * _had(caller))
    return _step("birthday", opener, call, chance, reason)
