"""What `tailscale netcheck` would say, from the same answers (package netcheck of Tailscale 1.102)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from nattools.engine.analysis.findings import Findings, milliseconds
from nattools.model.endpoint import Family, family_of, read_endpoint
from nattools.model.portmapping import MappingProtocol
from nattools.model.tailnetseen import ChallengeTrial, ListedRegion, RegionTrial
from nattools.model.tailscale import DerpRegionRow, Netcheck

_LEAST_GAIN_S: Final = 0.010
"""A home is left only for one that is so much nearer, and by a third (`preferredDERPAbsoluteDiff`)."""


def of_tailnet(findings: Findings, number: int) -> list[RegionTrial]:
    """The questions to the regions of one tailnet's map."""
    return [
        one
        for one in findings.measurement.observations
        if isinstance(one, RegionTrial) and one.number == number
    ]


def latencies(trials: Iterable[RegionTrial], family: Family | None = None) -> dict[int, float]:
    """Seconds to each region that answered: by STUN if any did, else by HTTPS or an echo request. Over one
    family only by STUN."""
    answered = [one for one in trials if one.latency_s is not None and one.latency_s >= 0]
    stun = [one for one in answered if one.by == "stun"]
    wanted = stun or ([] if family is not None else answered)
    found: dict[int, float] = {}
    for one in wanted:
        if family in (None, one.family) and one.latency_s is not None:
            found[one.region] = min(one.latency_s, found.get(one.region, one.latency_s))
    return found


def home_region(near: Mapping[int, float], listed: Sequence[ListedRegion], before: int = 0) -> int:
    """The region that a client would choose, 0 for none. `before`: the one that it has, which it keeps unless
    another one is over 10 ms and a third nearer."""
    allowed = {region.id for region in listed if region.home} or set(near)
    able = {region: seconds for region, seconds in near.items() if region in allowed} or dict(near)
    if not able:
        return 0
    best = min(able, key=lambda region: (able[region], region))
    if before in able and best != before:
        gain = able[before] - able[best]
        if gain < _LEAST_GAIN_S or able[best] > able[before] / 3 * 2:
            return before
    return best


def netcheck(findings: Findings, number: int, listed: Sequence[ListedRegion], before: int = 0) -> Netcheck:
    """Field by field; durations in nanoseconds."""
    trials = of_tailnet(findings, number)
    stun = [one for one in trials if one.by == "stun"]
    over_udp = any(one.latency_s is not None for one in stun)
    near, seen = latencies(trials), _mapped(stun)
    by_https = {one.family for one in trials if one.by == "https" and one.latency_s is not None}
    return Netcheck(
        UDP=over_udp,
        IPv4=bool(latencies(trials, 4)) or (not over_udp and 4 in by_https),
        IPv6=bool(latencies(trials, 6)) or (not over_udp and 6 in by_https),
        IPv4CanSend=any(one.sent and one.family == 4 for one in stun),
        IPv6CanSend=any(one.sent and one.family == 6 for one in stun),
        OSHasIPv6=_has_ipv6(findings),
        ICMPv4=any(one.by == "icmp" and one.latency_s is not None for one in trials),
        MappingVariesByDestIP=len(set(seen[4])) > 1 if len(seen[4]) > 1 else None,
        UPnP=_offered(findings, "upnp-igd"),
        PMP=_offered(findings, "nat-pmp"),
        PCP=_offered(findings, "pcp"),
        PreferredDERP=home_region(near, listed, before),
        RegionLatency=_nanoseconds(near),
        RegionV4Latency=_nanoseconds(latencies(trials, 4)),
        RegionV6Latency=_nanoseconds(latencies(trials, 6)),
        GlobalV4=seen[4][0] if seen[4] else "",
        GlobalV6=seen[6][-1] if seen[6] else "",
        CaptivePortal=None if over_udp else _portal(findings, number),
    )


def _mapped(stun: Iterable[RegionTrial]) -> dict[Family, list[str]]:
    """The own addresses that answers named, those of the first answer first."""
    found: dict[Family, list[str]] = {4: [], 6: []}
    answered = [one for one in stun if one.at_first_s is not None]
    for one in sorted(answered, key=lambda one: one.at_first_s or 0.0):
        for each in one.mapped:
            at = read_endpoint(each)
            if at is not None:
                found[at.family].append(str(at))
    return found


def _nanoseconds(near: Mapping[int, float]) -> dict[str, int]:
    return {str(region): round(seconds * 1e9) for region, seconds in sorted(near.items())}


def _has_ipv6(findings: Findings) -> bool:
    """Can the system have addresses of that family at all?"""
    addresses = (each for one in findings.measurement.host.interfaces for each in one.addresses)
    return any(family_of(address) == 6 for address in addresses)


def _offered(findings: Findings, protocol: MappingProtocol) -> bool | None:
    """Does a router speak it, and grant anything? None: none was asked."""
    offers = [one for one in findings.routers.offers_of(protocol) if one.family == 4]
    asked = [one for one in offers if one.outcome != "not asked"]
    if not asked:
        return None if not findings.routers.offers else False
    return any(one.outcome == "answered" and one.refusal is None for one in asked)


def _portal(findings: Findings, number: int) -> bool | None:
    tried = [
        one.met
        for one in findings.measurement.observations
        if isinstance(one, ChallengeTrial) and one.number == number and one.met is not None
    ]
    if findings.portal is not None:
        return True
    return (not all(tried)) if tried else None


def region_rows(findings: Findings, number: int, listed: Sequence[ListedRegion]) -> tuple[DerpRegionRow, ...]:
    """Every region of the map, the nearest first, those without an answer last."""
    trials = of_tailnet(findings, number)
    near = latencies(trials)
    how = {one.region: one.by for one in trials if one.latency_s is not None and one.region in near}
    rows = [
        DerpRegionRow(
            id=region.id,
            code=region.code,
            name=region.name,
            rtt_ms=milliseconds(near.get(region.id)),
            by=how.get(region.id, ""),
        )
        for region in listed
    ]
    return tuple(sorted(rows, key=lambda row: (row.rtt_ms is None, row.rtt_ms or 0.0, row.id)))
