"""Which strategies lead from one side to the other over UDP: the rules of all pairs, in one place."""

from __future__ import annotations

import msgspec

from nattools.model.punch import Strategy
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
WIDER = 2
"""So much further a prediction reaches the second time, from where the counters are then: others took more
ports than expected, and may do so again."""
AGAIN = (
    "Once more from where the counters are then, and further, in case others take more ports than expected."
)
USUAL_TTL = 2
FILL_TARGETS = 3
FILL_TRIES = 3
START_S = 0.05
"""How far apart the two sides may begin, beside their round trips."""

BLOCK_USED = 0.125
"""The share of a block that earlier mappings hold, of the measurement itself for instance. While they live
these ports cannot be had, and a port that the other side tries may be among them."""

Whose = tuple[str, str]
"""The two sides' names in the possessive: ("our", "its")."""


def udp_steps(first: Side, second: Side, whose: Whose) -> list[Step]:
    """What to try over UDP, in order; nothing if nothing practical leads there. Both sides get out."""
    if first.moves == "not" and second.moves == "not":
        return _plain(first, second, whose)
    for still, moves, turned in ((first, second, False), (second, first, True)):
        if still.moves == "not":
            return _one_moves(still, moves, (whose[1], whose[0]) if turned else whose, turned)
    return _both_move(first, second, whose)


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
    why: str,
    *,
    turned: bool = False,
) -> Step:
    schedules = (peer, own) if turned else (own, peer)
    return Step(
        strategy=strategy,
        transport="udp",
        why=why,
        odds=None if chance is None else shown(chance),
        schedules=schedules,
        packets=(schedules[0].packets, schedules[1].packets),
        seconds=round(max(schedule.seconds for schedule in schedules) + 0.5, 2),
    )


# --- both sides keep their outside ports


def _plain(first: Side, second: Side, whose: Whose) -> list[Step]:
    for side, name in sorted(((second, whose[1]), (first, whose[0])), key=lambda each: each[0].translated):
        if side.open:
            return [_step(_name_of(side), SendSchedule(), SendSchedule(), 1.0, _anybody(side, name))]
    why = "Both sides keep their outside ports: both send, and each opens its own side."
    hold = hold_s(first, second)
    opening = [SendSchedule(ttl=opening_ttl(side), hold_s=hold) for side in (first, second)]
    again = "Once more with other roles: one side opens and waits, the other calls first."
    waiting = SendSchedule(ttl=opening_ttl(first), hold_s=hold + 1.0)
    calling = SendSchedule(hold_s=hold + 0.5)
    return [
        _step("reflexive", opening[0], opening[1], 1.0, why),
        _step("low-ttl", waiting, calling, None, again),
    ]


def _name_of(side: Side) -> Strategy:
    """Of a strategy that leads to a side's own or outside address, just so."""
    return "reflexive" if side.translated or not side.open else "host"


def _anybody(side: Side, name: str) -> str:
    place = "outside address" if side.translated else "address"
    return f"Anybody can write to {name} {place}: writing to it is enough."


# --- one side's outside port changes


def _one_moves(still: Side, moves: Side, whose: Whose, turned: bool) -> list[Step]:
    hold = hold_s(still, moves)
    if still.accepts != "port":
        why = f"{whose[0].capitalize()} side accepts packets whatever {whose[1]} outside port is."
        if still.open:
            why = _anybody(still, whose[0])
        own, peer = (
            SendSchedule(ttl=opening_ttl(still), hold_s=hold),
            SendSchedule(hold_s=0.0 if still.accepts == "all" else hold),
        )
        return [_step(_name_of(still), own, peer, 1.0, why, turned=turned)]
    if moves.moves == "predictably":
        first = _predicted(still, moves, whose, turned)
        return [first] if moves.keeps else [first, _predicted(still, moves, whose, turned, WIDER)]
    if moves.moves == "somehow":
        return []
    if moves.moves == "in a block":
        return [_birthday(still, moves, whose, turned, moves.pool, BLOCK_SOCKETS, 2 * PROBES)]
    wide = _birthday(still, moves, whose, turned, moves.pool, SOCKETS, 2 * PROBES)
    if not moves.low_ports:
        return [wide]
    low = _birthday(still, moves, whose, turned, LOW_POOL, BLOCK_SOCKETS, pool_size(LOW_POOL), low=True)
    return [low, wide]


def _predicted(still: Side, moves: Side, whose: Whose, turned: bool, wider: int = 1) -> Step:
    count = 1 if moves.keeps else SPREAD_PORTS * wider
    own = SendSchedule(
        ports="next", count=count, step=0 if moves.keeps else moves.step, ttl=opening_ttl(still)
    )
    own = _with_hold(own, hold_s(still, moves))
    peer = SendSchedule(fresh=not moves.keeps, ttl=moves.ttl, hold_s=own.hold_s)
    why = f"The next of {whose[1]} outside ports can be predicted, unless others take the next {count} first."
    return _prediction(own, peer, why, turned, wider)


def _prediction(
    own: SendSchedule, peer: SendSchedule, why: str, turned: bool, wider: int = 1, chance: float = 1.0
) -> Step:
    """The first try, or with a wider reach the second one, whose odds nobody knows."""
    if wider > 1:
        return _step("prediction", own, peer, None, AGAIN, turned=turned)
    return _step("prediction", own, peer, chance, why, turned=turned)


def _with_hold(schedule: SendSchedule, hold: float) -> SendSchedule:
    """The same, with time for its own first pass."""
    return msgspec.structs.replace(
        schedule, hold_s=round(hold + schedule.sockets * schedule.count / schedule.rate_per_s, 3)
    )


def _birthday(
    still: Side,
    moves: Side,
    whose: Whose,
    turned: bool,
    pool: tuple[int, int],
    sockets: int,
    probes: int,
    *,
    low: bool = False,
) -> Step:
    ports = pool_size(pool)
    sockets, probes = min(sockets, ports), min(probes, ports)
    opener = SendSchedule(
        sockets=sockets, fresh=True, ttl=moves.ttl, sources=LOW_SOURCES if low else None, passes=1
    )
    prober = SendSchedule(
        ports="pool",
        count=probes,
        pool=pool,
        passes=1,
        hold_s=round(hold_s(still, moves) + sockets / PROBES_PER_S, 3),
    )
    place = f"a block of {ports}" if moves.moves == "in a block" else f"{ports:,}"
    why = (
        f"{sockets} of {whose[1]} ports out of {place}, and {probes:,} tries at {PROBES_PER_S:.0f} a second."
    )
    if low:
        why = f"{why[:-1]}: a Linux router maps source ports below 1024 into those alone."
    return _step("birthday", prober, opener, odds(sockets, probes, ports), why, turned=turned)


# --- both sides' outside ports change


def _both_move(first: Side, second: Side, whose: Whose) -> list[Step]:
    if "somehow" in (first.moves, second.moves):
        return []
    for own, peer, turned in ((first, second, False), (second, first, True)):
        name = (whose[1], whose[0]) if turned else whose
        if _predicted_and_lenient(own, peer):
            first_try = _called(own, peer, name, turned)
            return [first_try] if own.keeps else [first_try, _called(own, peer, name, turned, WIDER)]
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


def _called(own: Side, peer: Side, whose: Whose, turned: bool, wider: int = 1) -> Step:
    """The peer calls the predicted port; whatever port its call comes from is let in."""
    opener = SendSchedule(fresh=not own.keeps, ttl=own.ttl, hold_s=hold_s(own, peer))
    count = 1 if own.keeps else SPREAD_PORTS * wider
    caller = SendSchedule(
        ports="next",
        count=count,
        step=0 if own.keeps else own.step,
        fresh=True,
        hold_s=hold_s(own, peer),
    )
    why = (
        f"The next of {whose[0]} outside ports can be predicted, and a call to it is let in from any of "
        f"{whose[1]} ports."
    )
    return _prediction(opener, caller, why, turned, wider)


def _both_predicted(first: Side, second: Side) -> list[Step]:
    """`keeps` on a side makes its port certain: then the other's next ports are all there is to guess."""
    if first.keeps and second.keeps:
        return [_one_keeps(first, second)]
    if first.keeps or second.keeps:
        return [_one_keeps(first, second), _one_keeps(first, second, WIDER)]
    why = "Both sides' next ports can be predicted, even if others take up to 13 of them first."
    return [
        _prediction(*_spread(first, second), why, turned=False),
        _prediction(*_spread(second, first, WIDER), why, turned=True, wider=WIDER),
    ]


def _one_keeps(first: Side, second: Side, wider: int = 1) -> Step:
    hold = hold_s(first, second) + SPREAD_PORTS * wider / PROBES_PER_S
    own, other = (
        SendSchedule(
            ports="next",
            count=1 if peer.keeps else SPREAD_PORTS * wider,
            step=0 if peer.keeps else peer.step,
            fresh=not own.keeps,
            ttl=own.ttl,
            hold_s=round(hold, 3),
        )
        for own, peer in ((first, second), (second, first))
    )
    sure = 1.0 if first.keeps and second.keeps else 0.5
    why = "Both sides' next ports can be predicted, unless others take them first."
    return _prediction(own, other, why, turned=False, wider=wider, chance=sure)


def _spread(wide: Side, long: Side, wider: int = 1) -> tuple[SendSchedule, SendSchedule]:
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
    count = SPREAD_PORTS * wider
    return many, SendSchedule(ports="next", count=count, step=wide.step, fresh=True, hold_s=hold)


Pool = tuple[tuple[int, int], tuple[int, int] | None]


def _small(side: Side) -> Pool | None:
    """The pool that new ports of this side come from if it is small enough to be filled, and the source
    ports to use for that."""
    if side.moves == "in a block" and side.size <= 1024:
        return side.pool, None
    return (LOW_POOL, LOW_SOURCES) if side.moves == "at random" and side.low_ports else None


def _fillers(pool: Pool) -> int:
    """How many sockets fill a pool. Linux looks for a free port at some places only: the last sockets often
    get none, so there are more of them than ports."""
    return pool_size(pool[1] if pool[1] is not None else pool[0])


def _filled(first: Side, second: Side, whose: Whose) -> list[Step]:
    """One side opens all ports of a small pool to a few of the other's; the other tries all of them."""
    orders = ((first, second, False), (second, first, True))
    ordered = sorted(orders, key=lambda one: one[1].moves != "predictably")
    for filler, caller, turned in ordered:
        pool = _small(filler)
        if pool is None:
            continue
        name = (whose[1], whose[0]) if turned else whose
        if caller.moves == "predictably":
            first_try = _fill_predicted(filler, caller, name, turned, pool)
            return [first_try, _fill_predicted(filler, caller, name, turned, pool, WIDER)]
        into = _small(caller)
        if into is not None:
            return [_fill(filler, caller, name, turned, pool, into)]
    return []


def _had(side: Side) -> float:
    """The share of its pool that can be had."""
    return 1.0 - BLOCK_USED if side.moves == "in a block" else 1.0


def _fill_predicted(
    filler: Side, caller: Side, whose: Whose, turned: bool, pool: Pool, wider: int = 1
) -> Step:
    size, sockets = pool_size(pool[0]), _fillers(pool)
    hold = round(hold_s(filler, caller) + sockets / PROBES_PER_S, 3)
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
    why = (
        f"All {size} ports that {whose[0]} mappings can get are opened towards the next of {whose[1]} ports, "
        "which can be predicted."
    )
    if wider > 1:
        return _step("birthday", opener, call, None, AGAIN, turned=turned)
    return _step("birthday", opener, call, _had(filler), why, turned=turned)


def _fill(filler: Side, caller: Side, whose: Whose, turned: bool, pool: Pool, into: Pool) -> Step:
    size, across, sockets = pool_size(pool[0]), pool_size(into[0]), _fillers(pool)
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
        hold_s=round(hold_s(filler, caller) + sockets / PROBES_PER_S, 3),
        passes=1,
    )
    why = (
        f"All {size} ports that {whose[0]} mappings can get are opened, each towards {FILL_TARGETS} of "
        f"{whose[1]} {across}, and {FILL_TRIES} of these try them all. They are used up for a while."
    )
    chance = fill_odds(size, FILL_TARGETS, size, FILL_TRIES, across)
    if "in a block" in (filler.moves, caller.moves):
        chance = min(chance, _had(filler) * _had(caller))
    return _step("birthday", opener, call, chance, why, turned=turned)
