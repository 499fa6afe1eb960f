"""What many reports say together."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.confidence import wilson
from nattools.model.report import TechniqueId

Grouping = Literal["kind", "provider", "country"]


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """`count` of `of`, and between which shares the truth lies (95%, Wilson)."""

    count: int
    of: int
    share: float | None
    low: float
    high: float


def share(count: float, of: int) -> Share:
    """Made of the numbers. A count that is no whole number is of odds."""
    low, high = wilson(count, of)
    part = round(count / of, 4) if of else None
    return Share(count=round(count), of=of, share=part, low=round(low, 4), high=round(high, 4))


class TechniqueShare(msgspec.Struct, frozen=True, kw_only=True):
    """`works`: among the reports that know; the others did not measure it or could not tell."""

    id: TechniqueId
    works: Share
    unknown: int
    skipped: int


class GroupShare(msgspec.Struct, frozen=True, kw_only=True):
    """The reports of one kind of NAT, provider or country (None: not told). `direct`: reached without a
    relay; `techniques`: the share for which each works."""

    name: str | None
    reports: int
    direct: Share
    techniques: dict[str, Share]


class WayShare(msgspec.Struct, frozen=True, kw_only=True):
    """A way in which pairs would connect. `share` of all pairs; `odds` that it does, on average."""

    strategy: str
    transport: str
    family: int
    share: float
    odds: float | None


class Pairs(msgspec.Struct, frozen=True, kw_only=True):
    """Any two of the reports, connected as `nattools report predict` plans it. `direct`: without a relay,
    with the odds counted in; `unknown`: not enough was measured. `covered`: the share of the reports whose
    networks were paired; the rarest are left out. The interval is that of half as many independent pairs."""

    direct: Share
    relay: float
    unknown: float
    covered: float
    networks: int
    ways: tuple[WayShare, ...]


class FaultyFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is no report, and why."""

    file: str
    problem: str


class Outlier(msgspec.Struct, frozen=True, kw_only=True):
    """A report that stands out: what, its value, and what is usual at most."""

    file: str
    what: Literal["rtt_ms", "loss"]
    value: float
    usual: float


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """Many reports as one. `reports` are counted, `duplicates` were the same as another one to the byte,
    `faulty` were none; `faults` and `outliers` list the first of them."""

    schema: Literal["nattools.fleet/1"] = "nattools.fleet/1"
    reports: int
    duplicates: int
    faulty: int
    first: str | None
    last: str | None
    reachable: dict[str, Share]
    techniques: tuple[TechniqueShare, ...]
    groups: dict[str, tuple[GroupShare, ...]]
    pairs: Pairs | None
    outliers: tuple[Outlier, ...]
    faults: tuple[FaultyFile, ...]
