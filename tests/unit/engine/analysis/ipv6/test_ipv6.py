"""What follows for IPv6 from what a machine has and what was seen."""

from __future__ import annotations

from typing import Any

import pytest
from ipv6found import (
    BOTH,
    LINK_LOCAL,
    OTHER,
    OWN,
    PLENTY,
    ROUTER,
    SERVER,
    STABLE,
    address,
    answered,
    check,
    codes,
    found_on,
)
from msgspec.structs import replace

from nattools.model.host import ConfiguredAddress, ConfiguredRouter
from nattools.model.ipv6trial import MtuTrial, SourceTrial
from nattools.model.observation import FORBIDDEN_HERE, AnyObservation, Connection, Opener


@pytest.mark.parametrize(
    ("addresses", "more", "capable", "expected"),
    [
        ((), {}, False, ["no-address"]),
        ((LINK_LOCAL,), {}, False, ["no-address"]),
        ((), {"disabled": True}, False, ["switched-off"]),
        ((address(OWN, tentative=True),), {}, False, ["tentative"]),
        ((address(OWN, duplicate=True),), {}, False, ["duplicate-address"]),
        ((address("2a10:1:0:1::9", duplicate=True), STABLE), {}, True, ["duplicate-address"]),
        ((STABLE,), {"routers": ()}, False, ["no-route"]),
        ((address("fd00::a5c1:1:2", stable=True),), {}, True, ["ula-only"]),
        ((address("2002:c000:204::1", stable=True),), {}, True, ["6to4"]),
        ((address("2001:0:1::1", stable=True),), {}, True, ["teredo"]),
        ((address("2002:c000:204::1", stable=True), STABLE), {}, True, []),
        ((address(OWN, temporary=True),), {}, True, ["temporary-only"]),
        ((address(OWN, temporary=True), address("2a10:1:0:1::9", stable=True)), {}, True, []),
        ((address("2a10:1::216:3eff:fe00:2", stable=True),), {}, True, ["mac-shown"]),
        ((STABLE,), {"routers": (ROUTER, ConfiguredRouter(address="fe80::9", interface="eth0"))}, True,
         ["two-routers"]),
        ((STABLE,), {"routers": (ROUTER, ConfiguredRouter(address=None, interface="wg0"))}, True, []),
    ],
)  # fmt: skip
def test_what_a_machine_has(
    addresses: tuple[ConfiguredAddress, ...], more: dict[str, Any], capable: bool, expected: list[str]
) -> None:
    found = found_on(*addresses, **more)
    assert (found.capable, codes(found)) == (capable, expected)
    assert found.works is (False if capable is False else None)
    assert all(each.meaning and each.advice for each in found.problems)


def test_that_nothing_answers_counts_only_beside_ipv4() -> None:
    silent = answered(outcome="timeout", received=0, sent=40, mapped=None, source=None, rtt_s=None)
    refused = Connection(probe="tcp", family=6, local=None, remote=SERVER, outcome="timeout")
    four = answered("11.201.0.2:3478", 4)
    assert found_on(STABLE, seen=(silent, refused)).works is None
    assert found_on(STABLE, seen=(silent, four)).works is None
    broken = found_on(STABLE, seen=(silent, refused, four))
    assert (broken.works, broken.preferred, codes(broken)) == (False, 4, ["no-answer"])


def test_few_copies_prove_nothing() -> None:
    assert found_on(STABLE, seen=(answered(), check(sent=1))).inbound.udp == "unknown"
    assert found_on(STABLE, seen=(*PLENTY, check(sent=16))).inbound.udp == "filtered"


@pytest.mark.parametrize(
    ("outcome", "state"),
    [("arrived", "open"), ("refused", "rejected"), ("prohibited", "prohibited"), ("denied", "unknown")],
)
def test_what_comes_back(outcome: str, state: str) -> None:
    found = found_on(STABLE, seen=(*PLENTY, check(outcome=outcome)))
    assert found.inbound.udp == state


def opener(ttl: int, opened: bool | None) -> Opener:
    return Opener(
        probe="layers", family=6, local=f"[{OWN}]:1", towards=OTHER, ttl=ttl, sent=16, opened=opened
    )


@pytest.mark.parametrize(
    ("seen", "where"),
    [
        ((check(reached_card=True),), "host"),
        ((check(outcome="prohibited", offender=OWN),), "host"),
        ((check(), opener(1, True)), "host"),
        ((check(reached_card=False), opener(1, True)), "unknown"),
        ((check(), opener(1, False), opener(2, True)), "router"),
        ((check(), opener(2, True)), "unknown"),
        ((check(reached_card=False), opener(2, True)), "router"),
        ((check(reached_card=False), opener(2, False)), "unknown"),
        ((check(outcome="arrived"),), None),
        ((check(),), "unknown"),
    ],
)
def test_who_stops_it(seen: tuple[AnyObservation, ...], where: str | None) -> None:
    assert found_on(STABLE, seen=(*PLENTY, *seen)).dropped_at == where


@pytest.mark.parametrize(
    ("mapped", "translation"),
    [
        (OWN, "none"),
        ("2a10:1::2", "nat66"),
        ("2a10:9:0:1:a5c1:7e09:33d4:2", "nptv6"),
    ],
)
def test_translation(mapped: str, translation: str) -> None:
    seen = tuple(answered(asked, mapped=f"[{mapped}]:4000") for asked in (SERVER, OTHER))
    assert found_on(STABLE, seen=seen).translation == translation


@pytest.mark.parametrize(
    ("trial", "expected"),
    [
        ({"passed": 1500}, (1500, False, None, None)),
        ({"passed": 1280, "failed": 1284, "last_hop": "2a10:1:0:1::1"}, (1280, True, None, "2a10:1:0:1::1")),
        ({"passed": 1452, "failed": 1456, "told": 1454, "told_by": "a"}, (1454, False, "a", None)),
        ({"passed": 1480, "failed": 1484, "refused_here": True}, (1480, False, None, None)),
        ({"passed": 1480, "failed": 1484, "deaf": True}, (1480, None, None, None)),
        ({"passed": 1500, "deaf": True}, (1500, False, None, None)),
        ({}, (None, None, None, None)),
    ],
)
def test_path_mtu(trial: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = found_on(STABLE, seen=(MtuTrial(probe="path-mtu", family=6, asked=SERVER, **trial),))
    mtu = found.path_mtu.ipv6
    assert mtu is not None
    assert (mtu.bytes, mtu.black_hole, mtu.too_big_from, mtu.silent_at) == expected


def test_slow_and_preferred() -> None:
    four = answered("11.201.0.2:3478", 4, rtt_s=0.02)
    slow = found_on(STABLE, seen=(four, answered(rtt_s=0.2)), servers=BOTH)
    assert (codes(slow), slow.preferred) == (["slow"], 6)
    later = found_on(STABLE, seen=(four, answered(rtt_s=0.4)), servers=BOTH)
    assert later.preferred == 4
    near = found_on(STABLE, seen=(four, answered(rtt_s=0.03)), servers=BOTH)
    assert (codes(near), near.preferred, near.latency_ms.ipv6) == ([], 6, 30.0)


def test_round_trips_to_different_servers_are_not_compared() -> None:
    four = answered("11.201.0.2:3478", 4, rtt_s=0.02)
    far = found_on(STABLE, seen=(four, answered(rtt_s=0.4)))
    assert (codes(far), far.preferred) == ([], None)
    assert (far.latency_ms.ipv4, far.latency_ms.ipv6) == (20.0, 400.0)


def test_the_address_that_the_system_chooses_counts_though_another_is_answered_first() -> None:
    other = "2a10:1:0:1::9"
    found = found_on(
        STABLE,
        address(other, temporary=True),
        seen=(*PLENTY, check(outcome="arrived", address=other), check(reached_card=True)),
    )
    assert (found.inbound.udp, found.reachable.udp, found.dropped_at) == ("filtered", False, "host")
    by_address = {each.address: each.inbound and each.inbound.udp for each in found.addresses}
    assert by_address == {OWN: "filtered", other: "open"}


def test_name_servers_of_a_saved_report_may_be_nonsense() -> None:
    assert found_on(STABLE, resolvers=("nonsense", "127.0.0.53")).dns.over_ipv6 is None
    assert found_on(STABLE, resolvers=("nonsense", "2a10::53")).dns.over_ipv6 is True
    assert found_on(STABLE, resolvers=("::1", "10.0.0.53")).dns.over_ipv6 is False


def asked_from(address: str, *, answered: bool, **more: Any) -> SourceTrial:
    return SourceTrial(
        probe="ipv6-prefixes", address=address, answered=answered, **{"asked": SERVER, "sent": 20} | more
    )


OLD = address("2a10:99:0:1::2", stable=True)


@pytest.mark.parametrize(
    ("seen", "old", "new", "dead"),
    [
        ((asked_from(OWN, answered=True), asked_from(OLD.address, answered=False)), False, True, True),
        ((asked_from(OWN, answered=True), asked_from(OLD.address, answered=True)), True, True, False),
        # what answers to nobody says nothing of a prefix
        ((asked_from(OWN, answered=False), asked_from(OLD.address, answered=False)), None, None, False),
        (
            (asked_from(OWN, answered=True), asked_from(OLD.address, answered=False, asked=OTHER)),
            None,
            True,
            False,
        ),
        (
            (asked_from(OWN, answered=True), asked_from(OLD.address, answered=False, sent=2)),
            None,
            True,
            False,
        ),
        ((asked_from("nonsense", answered=True),), None, None, False),
        ((), None, None, False),
    ],
)
def test_a_prefix_is_dead_beside_one_that_the_same_server_answers_to(
    seen: tuple[SourceTrial, ...], old: bool | None, new: bool | None, dead: bool
) -> None:
    found = found_on(STABLE, OLD, seen=seen)
    assert {each.address: each.answered for each in found.addresses} == {OWN: new, OLD.address: old}
    assert ("dead-prefix" in codes(found)) is dead


def test_all_addresses_of_a_dead_prefix_are_said_to_get_no_answer() -> None:
    other = address("2a10:99:0:1::3", stable=True)
    found = found_on(
        STABLE, OLD, other, seen=(asked_from(OWN, answered=True), asked_from(OLD.address, answered=False))
    )
    assert [each.answered for each in found.addresses] == [True, False, False]


SILENCE = (
    answered(outcome="timeout", received=0, sent=40, mapped=None, source=None, rtt_s=None),
    Connection(probe="tcp", family=6, local=None, remote=SERVER, outcome="timeout"),
)
FORBIDDEN = answered(outcome="prohibited", received=0, rtt_s=None, mapped=None, detail=FORBIDDEN_HERE)
SILENT_ROUTER = replace(ROUTER, silent=True)


@pytest.mark.parametrize(
    ("seen", "more", "works", "problem"),
    [
        ((FORBIDDEN,), {}, False, "forbidden-here"),
        ((*SILENCE,), {"routers": (SILENT_ROUTER,)}, False, "router-silent"),
        ((*SILENCE,), {"routers": (SILENT_ROUTER, replace(ROUTER, address=None))}, False, "router-silent"),
        ((*SILENCE,), {}, False, "no-answer"),
        ((*PLENTY,), {"routers": (SILENT_ROUTER,)}, True, None),
        ((), {"blocked": True}, False, "route-blocked"),
    ],
)
def test_why_nothing_comes_back(
    seen: tuple[AnyObservation, ...], more: dict[str, Any], works: bool, problem: str | None
) -> None:
    found = found_on(STABLE, seen=(*seen, answered(family=4, asked="11.201.0.2:3478")), **more)
    assert (found.works, codes(found)) == (works, [problem] if problem else [])
    assert found.capable is (problem != "route-blocked")
