"""How sure a silence makes us.

An answer proves that packets pass. Silence proves nothing unless losing every copy by chance is all but
impossible. The loss of a path is estimated from every question that was bound to be answered on it, and
taken at its upper confidence bound.
"""

from __future__ import annotations

import math
from functools import lru_cache

CERTAIN_ERROR = 1e-5
"""A silence counts as "filtered" only when chance would produce it less often than this."""
PROBE_ERROR = 1e-6
"""What probes aim for, so that a loss estimate that rises afterwards still leaves CERTAIN_ERROR."""
LOSSY_ERROR = 1e-9
"""The same on a path that has lost something: there the estimate moves more."""
WORST_LOSS = 0.3
"""The loss to assume where no question over UDP was answered, but TCP works: TCP is hardly usable on a
path that loses more."""
_Z = 1.96


@lru_cache(maxsize=1024)
def loss_upper_bound(sent: int, lost: int) -> float:
    """The 95% upper bound of the loss probability after `lost` of `sent` were lost (Wilson score); 1.0 when
    nothing was sent."""
    if sent <= 0:
        return 1.0
    return wilson(lost, sent)[1]


def wilson(hits: float, of: int) -> tuple[float, float]:
    """The interval in which the share of `hits` among `of` lies (Wilson score, 95%);
    (0, 1) of none."""
    if of <= 0:
        return 0.0, 1.0
    share, square = min(max(hits, 0), of) / of, _Z * _Z
    centre = share + square / (2 * of)
    spread = _Z * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(0.0, (centre - spread) / (1 + square / of)), min(1.0, (centre + spread) / (1 + square / of))


def chance_of_silence(copies: int, bound: float) -> float:
    """The probability that all copies of a question were lost."""
    return bound**copies if copies > 0 else 1.0


@lru_cache(maxsize=1024)
def copies_needed(bound: float, error: float = PROBE_ERROR) -> int:
    """How many copies of a question make silence less likely than `error`; a large number if loss is 1."""
    if bound <= 0.0:
        return 1
    if bound >= 0.999:
        return 1_000_000
    return max(1, math.ceil(math.log(error) / math.log(bound)))
