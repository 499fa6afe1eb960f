"""Which kinds of networks connect to which, as tried in a lab."""

from __future__ import annotations

import msgspec

from nattools.model.endpoint import Family, Transport
from nattools.model.punch import Strategy


class PairResult(msgspec.Struct, frozen=True, kw_only=True):
    """Two machines in two networks of these kinds, `runs` times: so many `connected`, and in so many it was
    as the plan said that it would be (`as_planned`; a run is not where a direct way was planned and failed).

    `strategy`, `transport` and `family` are those of most connections. `elapsed_s`, least, median and most:
    from both sides' candidates known to the first authenticated answer on both sides. `odds` as planned, in
    0..1 (None: no direct way was known). `packets`: the most that each side sent. `why` and `advice` are
    those of a run that did not connect, `problems` what kept runs from being made at all.
    """

    pair: tuple[str, str]
    runs: int
    connected: int
    as_planned: int
    strategy: Strategy | None = None
    transport: Transport | None = None
    family: Family | None = None
    elapsed_s: tuple[float, float, float] | None = None
    odds: float | None = None
    packets: tuple[int, int] | None = None
    why: str = ""
    advice: str = ""
    problems: tuple[str, ...] = ()


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """Every kind with itself and every other one. `low_ports`: ports below 1024 were used where that helps,
    if the process may bind them."""

    kinds: tuple[str, ...]
    low_ports: bool
    pairs: tuple[PairResult, ...]
