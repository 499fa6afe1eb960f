"""netcheck's fields from answers, and the home region as Tailscale's client chooses it."""

from __future__ import annotations

import pytest
from tailnets import findings_of

from nattools.engine.analysis.overlays.netchecks import home_region, latencies, netcheck, region_rows
from nattools.model.host import Host, Interface
from nattools.model.mappingseen import MapOffer
from nattools.model.observation import AnyObservation
from nattools.model.tailnetseen import ChallengeTrial, ListedRegion, RegionTrial

REGIONS = (
    ListedRegion(id=1, code="nyc", name="New York"),
    ListedRegion(id=4, code="fra", name="Frankfurt"),
    ListedRegion(id=9, code="own", home=False),
)


def stun(
    region: int, seconds: float | None, *mapped: str, family: int = 4, first: float = 0.1
) -> RegionTrial:
    return RegionTrial(
        number=1,
        region=region,
        family=6 if family == 6 else 4,
        by="stun",
        sent=3,
        latency_s=seconds,
        mapped=mapped,
        at_first_s=None if seconds is None else first,
    )


def checked(*seen: AnyObservation, host: Host | None = None):  # type: ignore[no-untyped-def]
    return netcheck(findings_of(*seen, host=host), 1, REGIONS)


@pytest.mark.parametrize(
    ("near", "before", "home"),
    [
        ({}, 0, 0),
        ({1: 0.080, 4: 0.020}, 0, 4),
        ({1: 0.080, 9: 0.001}, 0, 1),  # none may choose region 9
        ({1: 0.025, 4: 0.020}, 1, 1),  # less than 10 ms nearer
        ({1: 0.100, 4: 0.080}, 1, 1),  # less than a third nearer
        ({1: 0.100, 4: 0.050}, 1, 4),
        ({4: 0.050}, 1, 4),  # the old one does not answer
    ],
)
def test_a_home_is_left_only_for_one_that_is_much_nearer(
    near: dict[int, float], before: int, home: int
) -> None:
    assert home_region(near, REGIONS, before) == home


def test_two_answers_that_differ_mean_that_the_mapping_varies() -> None:
    same = checked(stun(1, 0.08, "11.1.0.2:1", first=0.2), stun(4, 0.02, "11.1.0.2:1"))
    other = checked(stun(1, 0.08, "11.1.0.2:7", first=0.2), stun(4, 0.02, "11.1.0.2:1"))
    one = checked(stun(4, 0.02, "11.1.0.2:1"))
    assert [each.MappingVariesByDestIP for each in (same, other, one)] == [False, True, None]
    assert other.GlobalV4 == "11.1.0.2:1"
    assert (other.PreferredDERP, other.RegionLatency) == (4, {"1": 80_000_000, "4": 20_000_000})
    assert (other.UDP, other.IPv4, other.IPv6, other.CaptivePortal) == (True, True, False, None)


def test_where_udp_is_blocked_https_and_echo_requests_tell_how_far_regions_are() -> None:
    https = RegionTrial(number=1, region=4, family=4, by="https", sent=1, latency_s=0.06)
    echo = RegionTrial(number=1, region=4, family=4, by="icmp", sent=1, latency_s=0.05)
    trials = [stun(4, None), https, echo]
    assert latencies(trials) == {4: 0.05}
    assert latencies(trials, 4) == {}
    portal = ChallengeTrial(number=1, uri="derp://fra", met=False)
    found = checked(*trials, portal)
    assert (found.UDP, found.IPv4, found.ICMPv4, found.PreferredDERP) == (False, True, True, 4)
    assert (found.CaptivePortal, found.GlobalV4, found.RegionV4Latency) == (True, "", {})
    assert checked(*trials).CaptivePortal is None


def test_a_protocol_counts_if_a_router_grants_something_by_it() -> None:
    def offer(protocol: str, outcome: str) -> MapOffer:
        return MapOffer(
            protocol=protocol,  # type: ignore[arg-type]
            family=4,
            interface="eth0",
            local="10.0.0.2",
            server="10.0.0.1",
            outcome=outcome,  # type: ignore[arg-type]
        )

    found = checked(offer("upnp-igd", "timeout"), offer("pcp", "answered"))
    assert (found.UPnP, found.PMP, found.PCP) == (False, False, True)
    assert checked().UPnP is None


def test_the_system_has_ipv6_if_an_interface_has() -> None:
    host = Host(
        os="Linux", interfaces=(Interface(name="lo", kind="loopback", addresses=("127.0.0.1", "::1")),)
    )
    assert checked(host=host).OSHasIPv6
    assert not checked(host=Host(os="Linux")).OSHasIPv6


def test_the_nearest_region_comes_first_and_silent_ones_last() -> None:
    rows = region_rows(findings_of(stun(1, 0.08), stun(4, 0.02)), 1, REGIONS)
    assert [(row.code, row.by, row.rtt_ms) for row in rows] == [
        ("fra", "stun", 20.0),
        ("nyc", "stun", 80.0),
        ("own", "", None),
    ]


def test_another_tailnets_answers_are_not_mixed_in() -> None:
    from msgspec.structs import replace

    assert netcheck(findings_of(replace(stun(1, 0.01), number=2)), 1, REGIONS).UDP is False
