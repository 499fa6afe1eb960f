"""The probabilities behind birthday probing. Every figure that is shown comes from here."""

from __future__ import annotations

from functools import lru_cache
from math import floor

RANDOM_POOL = (1024, 65535)
"""What NATs draw from for source ports of 1024 and above."""
LOW_SOURCES = (512, 1023)
LOW_POOL = (600, 1023)
"""Linux maps source ports 512 to 1023 into these 424 (nf_nat_core.c), however random it is."""


@lru_cache(maxsize=64)
def pool_size(pool: tuple[int, int], mask: tuple[int, int] | None = None) -> int:
    """How many ports a pool has, its lowest and highest included; with `mask` (mask, value) those with
    `port & mask == value`."""
    if mask is None:
        return pool[1] - pool[0] + 1
    low, high = max(0, pool[0]), min(65535, pool[1])
    return sum(port & mask[0] == mask[1] for port in range(low, high + 1))


@lru_cache(maxsize=64)
def odds(sockets: int, probes: int, ports: int) -> float:
    """The probability that one of `probes` distinct ports is one of `sockets` open ones, of `ports` in all
    (drawing without replacement): 256 sockets and 1,024 probes find each other in 98.35% of cases."""
    missed = 1.0
    for index in range(min(probes, ports)):
        closed = ports - sockets - index
        if closed <= 0:
            return 1.0
        missed *= closed / (ports - index)
    return 1.0 - missed


def fill_odds(opened: int, targets: int, own_pool: int, tries: int, peer_pool: int) -> float:
    """The probability that two pools of ports meet.

    One side opens `opened` of its `own_pool` ports to each of `targets` ports of the other; the other sends
    from `tries` sockets to all of `own_pool`, and each such packet leaves by a port drawn from `peer_pool`.
    The draws are taken as independent, as Linux has them towards different destinations; a NAT that gives
    every port out once only makes it likelier. A packet gets in if it leaves by one of the `targets` and
    goes to a port that was opened.
    """
    hit = min(1.0, targets / peer_pool) * min(1.0, opened / own_pool)
    return 1.0 - (1.0 - hit) ** (own_pool * tries)


def shown(chance: float) -> float:
    """A probability to four places, and never certain unless it is."""
    return floor(round(chance, 9) * 10_000) / 10_000
