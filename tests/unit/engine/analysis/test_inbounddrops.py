"""Who stops what comes in, by what was seen of it."""

from __future__ import annotations

from typing import Any

import pytest

from nattools.engine.analysis.evidence import PathEvidence, gather
from nattools.engine.analysis.inbounddrops import Stopped, dropped_at, who_stops
from nattools.engine.analysis.verdicts.portmappings import router_evidence
from nattools.model.mappingseen import MapAttempt, MapCheck, MapOffer
from nattools.model.observation import AnyObservation, Binding, DialBack, Opener
from nattools.net.addresses import is_public

SERVER, OTHER, OWN = "11.201.0.2:3478", "11.201.0.3:3479", "11.101.0.2"


def answered(number: int) -> Binding:
    return Binding(
        id=number, probe="mapping", purpose="mapping", transport="udp", family=4, local=f"{OWN}:4000",
        asked=SERVER, outcome="answered", sent=1, received=1, rtt_s=0.01, source=SERVER, mapped=f"{OWN}:4000",
    )  # fmt: skip


def back(**more: Any) -> DialBack:
    given = {
        "id": 900, "probe": "unsolicited", "transport": "udp", "family": 4, "target": f"{OWN}:5000",
        "origin": OTHER, "change_address": True, "change_port": True, "fresh": True, "untouched": True,
        "outcome": "timeout", "sent": 20,
    }  # fmt: skip
    return DialBack(**given | more)


def opener(ttl: int, *, opened: bool, sent: int = 20) -> Opener:
    return Opener(
        id=950 + ttl,
        probe="layers",
        family=4,
        local=f"{OWN}:1",
        towards=OTHER,
        ttl=ttl,
        sent=sent,
        opened=opened,
    )


def path(*seen: AnyObservation) -> PathEvidence:
    plenty = [answered(number) for number in range(1, 41)]
    return gather((), (*plenty, *seen), is_public, ())["udp", 4]


def found(*seen: AnyObservation, nat: bool | None = False) -> str | None:
    over_udp = path(*seen)
    return dropped_at(over_udp, over_udp, nat=nat).value


@pytest.mark.parametrize(
    ("seen", "nat", "who"),
    [
        ((back(reached_card=True),), False, "host"),
        ((back(reached_card=True),), True, "host"),
        ((back(reached_card=True, outcome="refused"),), None, "host"),
        ((back(outcome="arrived", reached_card=True),), False, None),
        ((back(reached_card=False),), True, None),
        ((back(),), True, None),
        ((back(reached_card=False),), False, "unknown"),
        ((back(reached_card=False), opener(1, opened=False), opener(2, opened=True)), False, "router"),
        ((back(), opener(1, opened=True), opener(2, opened=True)), False, "host"),
        ((back(), opener(1, opened=False), opener(2, opened=True)), False, "router"),
        ((back(reached_card=False), opener(1, opened=True)), False, "unknown"),
        ((back(), opener(1, opened=False, sent=1), opener(2, opened=True)), False, "unknown"),
        ((back(sent=1),), False, None),
        ((back(outcome="denied"),), False, None),
        ((back(untouched=False, reached_card=True),), False, None),
        ((), False, None),
    ],
)
def test_by_what_came_to_the_interface_and_how_far_a_packet_must_go(
    seen: tuple[AnyObservation, ...], nat: bool | None, who: str | None
) -> None:
    assert found(*seen, nat=nat) == who


def test_it_rests_on_what_was_seen() -> None:
    over_udp = path(back(), opener(1, opened=False), opener(2, opened=True))
    assert dropped_at(over_udp, over_udp, nat=False).evidence == (900, 951, 952)


def test_who_says_so_himself_is_believed() -> None:
    assert who_stops([Stopped(None, said_here=True)], None) == "host"
    assert who_stops([Stopped(None)], None) == "unknown"


MAPPED = "11.1.0.2:5000"


def mapping(*checks: MapCheck, claimed: str = "11.1.0.2") -> list[str | None]:
    offer = MapOffer(
        probe="map", protocol="pcp", family=4, interface="eth0", local="10.0.1.2", server="10.0.1.1:5351",
        outcome="answered", external=claimed,
    )  # fmt: skip
    made = [
        MapAttempt(
            probe="map", action="make", protocol=each.protocol, transport=each.transport, family=4,
            internal=each.internal, outcome="granted", external=f"{claimed}:5000", lifetime_s=120,
        )
        for each in checks
    ]  # fmt: skip
    return [each.dropped_at for each in router_evidence((offer, *made, *checks)).mappings]


def check(protocol: str = "pcp", port: int = 5000, **more: Any) -> MapCheck:
    given = {
        "probe": "verify", "protocol": protocol, "transport": "udp", "family": 4,
        "internal": f"10.0.1.2:{port}", "external": MAPPED, "target": MAPPED, "origin": OTHER,
        "outcome": "silent", "sent": 16,
    }  # fmt: skip
    return MapCheck(**given | more)


@pytest.mark.parametrize(
    ("seen", "who"),
    [
        ({"reached_card": True}, "host"),
        ({"reached_card": True, "outcome": "refused"}, "host"),
        ({"opened_here": True}, "host"),
        ({"reached_card": False}, "unknown"),
        ({"opened_here": False}, "unknown"),
        ({}, "unknown"),
        ({"outcome": "arrived"}, None),
        ({"outcome": "error"}, None),
    ],
)
def test_of_a_mapping(seen: dict[str, Any], who: str | None) -> None:
    assert mapping(check(**seen)) == [who]


def test_a_router_that_passes_on_another_mapping_stops_this_one() -> None:
    assert mapping(check(reached_card=False), check("nat-pmp", 5001, outcome="arrived")) == ["router", None]
    assert mapping(check(reached_card=True), check("nat-pmp", 5001, outcome="arrived")) == ["host", None]


def test_a_router_with_another_outside_address_never_had_it() -> None:
    assert mapping(check(reached_card=False), claimed="100.64.0.2") == ["beyond"]
    assert mapping(check(), claimed="100.64.0.2") == ["unknown"]
