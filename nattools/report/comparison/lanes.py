"""What two reports say of the same transport and address family."""

from __future__ import annotations

import math
from collections.abc import Iterator
from ipaddress import ip_network

from nattools.model.nat import Nat
from nattools.model.observation import Binding
from nattools.model.report import Report
from nattools.model.statement import Statement, statement
from nattools.report.comparison.changes import Change, is_known, one_sided, said

LANES = {
    "udp4": "UDP over IPv4",
    "udp6": "UDP over IPv6",
    "tcp4": "TCP over IPv4",
    "tcp6": "TCP over IPv6",
}
_NAMES = {
    "reachable": "answers from outside",
    "present": "NAT",
    "mapping": "mapping",
    "filtering": "filtering",
    "port_allocation": "choice of ports",
    "port_step": "step between ports",
    "port_block": "block of ports",
    "hairpinning": "hairpinning",
    "quoted_checksum": "quoted checksums",
    "refreshed_by_inbound": "renewal by what comes in",
    "pooling": "choice of addresses",
    "cgnat": "provider's NAT",
    "double_nat": "second NAT",
    "distance_hops": "hops to the outermost NAT",
    "blocked_ports": "blocked ports",
}
"""Fields of a NAT that are compared, and how they are called."""
NATURE = (".mapping", ".filtering", ".port_allocation", ".present", ".double_nat", ".cgnat")
"""What makes it another NAT."""
_POOLED = ("arbitrary", "per-destination")
_LOSS_Z = 4.0
"""How many standard deviations a change of the loss has to be: losses come in bursts."""
_LEAST_LOSS = 0.01
_TIMES = 1.5
_LEAST_MS = 20.0


def changes(before: Report, after: Report) -> Iterator[Change]:
    """All that is different there."""
    for lane, name in LANES.items():
        one, other = getattr(before.nat, lane), getattr(after.nat, lane)
        if one is None or other is None:
            continue
        yield from _behaviour(lane, name, one, other)
        yield from _outside(lane, one, other)
        yield from _lifetime(lane, name, one, other)
        yield from _loss(lane, name, before, after)
        yield from _round_trip(lane, name, before, after)


def unknown(before: Report, after: Report) -> Iterator[Statement]:
    """What only one of them knows."""
    for lane, name in LANES.items():
        one, other = getattr(before.nat, lane), getattr(after.nat, lane)
        if one is None or other is None:
            yield from one_sided(name, one and "measured", other and "measured")
            continue
        for field, words in _NAMES.items():
            yield from one_sided(f"{name}, {words}", getattr(one, field), getattr(other, field))


def differs_ms(before: float, after: float) -> bool:
    """Is it more than round trips vary by themselves?"""
    low, high = sorted((before, after))
    return high > low * _TIMES and high - low > _LEAST_MS


def _behaviour(lane: str, name: str, one: Nat, other: Nat) -> Iterator[Change]:
    for field, words in _NAMES.items():
        before, after = getattr(one, field), getattr(other, field)
        if not (is_known(before) and is_known(after)) or before == after:
            continue
        better = after if field == "reachable" else None
        says = statement("diff-behaviour", lane=name, what=words, before=said(before), after=said(after))
        yield Change(
            area="behaviour", what=f"nat.{lane}.{field}", before=before, after=after, better=better, says=says
        )


def _outside(lane: str, one: Nat, other: Nat) -> Iterator[Change]:
    """Another outside address. Of a pool two reports may have seen different ones; of IPv6 without a NAT the
    network counts, since machines change their own part (RFC 8981)."""
    pooled = any(nat.pooling in _POOLED or len(nat.external) > 1 for nat in (one, other))
    own = any(nat.present is not True for nat in (one, other))
    before, after = (
        _networks(nat.external, 24 if pooled else 32, 64 if own else 128) for nat in (one, other)
    )
    if not before or not after or before & after:
        return
    says = statement("diff-outside-address", before=said(one.external), after=said(other.external))
    yield Change(
        area="network", what=f"nat.{lane}.external", before=one.external, after=other.external, says=says
    )


def _networks(addresses: tuple[str, ...], length4: int, length6: int) -> set[str]:
    found = set()
    for address in addresses:
        length = length6 if ":" in address else length4
        try:
            found.add(str(ip_network(f"{address.partition('%')[0]}/{length}", strict=False)))
        except ValueError:
            found.add(address)
    return found


def _lifetime(lane: str, name: str, one: Nat, other: Nat) -> Iterator[Change]:
    """A change only if the bounds that were tested do not overlap."""
    if one.binding_lifetime_bounds_s is None or other.binding_lifetime_bounds_s is None:
        return
    (low, high), (later_low, later_high) = one.binding_lifetime_bounds_s, other.binding_lifetime_bounds_s
    longer = high is not None and later_low is not None and later_low > high
    shorter = later_high is not None and low is not None and later_high < low
    if longer or shorter:
        before, after = (_span(*nat) for nat in ((low, high), (later_low, later_high)))
        says = statement("diff-lifetime", lane=name, before=before, after=after)
        yield Change(
            area="behaviour",
            what=f"nat.{lane}.binding_lifetime_s",
            before=before,
            after=after,
            better=longer,
            says=says,
        )


def _span(low: float | None, high: float | None) -> str:
    if high is None:
        return f"over {low or 0:g} s"
    return f"under {high:g} s" if not low else f"{low:g} to {high:g} s"


def _loss(lane: str, name: str, before: Report, after: Report) -> Iterator[Change]:
    (lost, sent), (later_lost, later_sent) = (_lost(report, lane) for report in (before, after))
    if not sent or not later_sent:
        return
    share, later = lost / sent, later_lost / later_sent
    both = (lost + later_lost) / (sent + later_sent)
    spread = math.sqrt(both * (1 - both) * (1 / sent + 1 / later_sent))
    if abs(later - share) > _LOSS_Z * spread and abs(later - share) > _LEAST_LOSS:
        says = statement("diff-loss", lane=name, before=round(share, 3), after=round(later, 3))
        yield Change(
            area="figures",
            what=f"nat.{lane}.loss",
            before=round(share, 3),
            after=round(later, 3),
            better=later < share,
            says=says,
        )


def _lost(report: Report, lane: str) -> tuple[int, int]:
    """Of the packets to servers that answered at least once: how many went unanswered, of how many."""
    if lane.startswith("tcp"):
        return 0, 0
    counted = [seen for seen in _answered(report, lane) if not (seen.change_address or seen.change_port)]
    return sum(max(0, seen.sent - seen.received) for seen in counted), sum(seen.sent for seen in counted)


def _answered(report: Report, lane: str) -> list[Binding]:
    return [
        seen
        for seen in report.observations
        if isinstance(seen, Binding) and seen.received and lane == f"{seen.transport}{seen.family}"
    ]


def _round_trip(lane: str, name: str, before: Report, after: Report) -> Iterator[Change]:
    """A change only if the middle halves of all round trips do not overlap: some paths are unsteady."""
    (low, middle, high), (later_low, later, later_high) = (_quartiles(each, lane) for each in (before, after))
    slower = later_low > high
    if not (slower or later_high < low) or not differs_ms(middle, later):
        return
    says = statement("diff-round-trip", lane=name, before=middle, after=later)
    yield Change(
        area="figures", what=f"nat.{lane}.rtt_ms", before=middle, after=later, better=not slower, says=says
    )


def _quartiles(report: Report, lane: str) -> tuple[float, float, float]:
    """Of the round trips there, in milliseconds; NaN if there are none, which is like nothing else."""
    trips = sorted(seen.rtt_s * 1000 for seen in _answered(report, lane) if seen.rtt_s is not None)
    if not trips:
        return math.nan, math.nan, math.nan
    first, middle, third = (trips[len(trips) * part // 4] for part in (1, 2, 3))
    return first, round(middle, 1), third
