"""Which pairs of networks would connect, and how: by the same plan as `nattools report predict`."""

from __future__ import annotations

from collections import defaultdict

from nattools.report.fleet.fleetrow import nats_of
from nattools.report.fleet.fleetsummary import Pairs, WayShare, share
from nattools.traversal.plan.punchplan import MeasuredEnd, plan
from nattools.traversal.plan.steps import Plan

MOST_NETWORKS = 60


def pairs_of(mix: list[tuple[str, int]], reports: int) -> Pairs | None:
    """`mix`: networks that are alike to the plan, with how many reports are of each. None: fewer than two."""
    total = sum(many for _, many in mix)
    if total < 2:
        return None
    ends = [(MeasuredEnd(nat=nats_of(text)), many) for text, many in mix]
    weights: dict[tuple[str, str, int], float] = defaultdict(float)
    odds: dict[tuple[str, str, int], float] = defaultdict(float)
    direct = relay = unknown = 0.0
    for number, (one, many) in enumerate(ends):
        for other_number, (other, others) in enumerate(ends[number:], number):
            alike = other_number == number
            ways = many * (many - 1) / 2 if alike else many * others
            weight = ways / (total * (total - 1) / 2)
            if not weight:
                continue
            made = plan(one, other)
            if made.path == "direct":
                key = _way(made)
                weights[key] += weight
                odds[key] += weight * (made.odds or 0.0)
                direct += weight * (made.odds or 0.0)
            elif made.path == "relay":
                relay += weight
            else:
                unknown += weight
    known = 1.0 - unknown
    independent = max(1, round(known * total / 2))
    return Pairs(
        direct=share(direct / known * independent if known > 0 else 0, independent),
        relay=round(1.0 - unknown - direct, 4),
        unknown=round(unknown, 4),
        covered=round(total / reports, 4) if reports else 0.0,
        networks=len(mix),
        ways=tuple(_shares(weights, odds)),
    )


def _way(made: Plan) -> tuple[str, str, int]:
    first = made.steps[0]
    return first.strategy, first.transport, made.family or 4


def _shares(
    weights: dict[tuple[str, str, int], float], odds: dict[tuple[str, str, int], float]
) -> list[WayShare]:
    return [
        WayShare(
            strategy=strategy,
            transport=transport,
            family=family,
            share=round(weight, 4),
            odds=round(odds[strategy, transport, family] / weight, 4),
        )
        for (strategy, transport, family), weight in sorted(weights.items(), key=lambda item: -item[1])
    ]
