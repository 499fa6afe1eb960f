"""A small pool of ports filled: where both sides' external ports change, one side opens all ports of its pool
to a few of the other's, and the other tries all of them."""

from __future__ import annotations

from nattools.model.statement import statement
from nattools.traversal.plan.odds import LOW_POOL, LOW_SOURCES, fill_odds, pool_size
from nattools.traversal.plan.side import Side
from nattools.traversal.plan.stepbuilding import (
    PROBES_PER_S,
    SPREAD_AHEAD,
    SPREAD_PORTS,
    WIDER,
    Whose,
    hold_s,
    orders,
    turned_round,
    udp_step,
)
from nattools.traversal.plan.steps import SendSchedule, Step

FILL_TARGETS = 3
FILL_TRIES = 3
BLOCK_USED = 0.125
"""The share of a block that earlier mappings hold, of the measurement itself for instance. While they live
these ports cannot be had, and a port that the other side tries may be among them."""

Pool = tuple[tuple[int, int], tuple[int, int] | None]
"""A pool of ports, and the source ports to use for mappings to come from it."""


def _small(side: Side) -> Pool | None:
    """The pool that new ports of this side come from if it is small enough to be filled."""
    if side.moves == "in a block" and side.size <= 1024 and side.mask is None:
        return side.pool, None
    return (LOW_POOL, LOW_SOURCES) if side.moves == "at random" and side.low_ports else None


def pool_filling_steps(first: Side, second: Side, whose: Whose) -> list[Step]:
    """One side opens all ports of a small pool to a few of the other's; the other tries all of them."""
    both = sorted(orders(first, second, whose), key=lambda one: one[1].moves != "predictably")
    for filler, caller, name, turned in both:
        pool = _small(filler)
        if pool is None:
            continue
        if caller.moves == "predictably":
            tries = [_fill_predicted(filler, caller, name, pool, wider) for wider in (1, WIDER)]
            return turned_round(tries, turned)
        into = _small(caller)
        if into is not None:
            return turned_round([_fill(filler, caller, name, pool, into)], turned)
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
    return udp_step("birthday", opener, call, _had(filler), reason, wider=wider)


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
    return udp_step("birthday", opener, call, chance, reason)
