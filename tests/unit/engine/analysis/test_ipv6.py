"""What follows for IPv6 from what a machine has and what was seen."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from nattools.engine.analyse import analyse, reanalyse
from nattools.model.host import ConfiguredAddress, ConfiguredRouter, Host, Interface, Ipv6Setup, Way
from nattools.model.ipv6 import Ipv6
from nattools.model.ipv6trial import InboundCheck, MtuTrial
from nattools.model.observation import AnyObservation, Binding, Connection, Opener
from nattools.model.report import Measurement, Server
from nattools.net.addresses import is_public

OWN, SERVER, OTHER = "2a10:1:0:1:a5c1:7e09:33d4:2", "[2a10:c9::2]:3478", "[2a10:c9::3]:3479"
ROUTER = ConfiguredRouter(address="fe80::1", interface="eth0", source="ra")
STABLE = ConfiguredAddress(
    address=OWN, interface="eth0", prefix_length=64, temporary=False, stable=True, valid_s=600
)
LINK_LOCAL = ConfiguredAddress(address="fe80::2", interface="eth0", stable=True)


def address(text: str, **more: Any) -> ConfiguredAddress:
    return ConfiguredAddress(address=text, interface="eth0", **more)


def found_on(
    *addresses: ConfiguredAddress,
    seen: tuple[AnyObservation, ...] = (),
    routers: tuple[ConfiguredRouter, ...] = (ROUTER,),
    disabled: bool | None = False,
    resolvers: tuple[str, ...] = (),
    servers: tuple[Server, ...] = (),
) -> Ipv6:
    setup = Ipv6Setup(addresses=addresses, routers=routers, disabled=disabled, resolvers=resolvers)
    ways = (Way(family=6, interface="eth0", source=OWN),) if routers else ()
    interface = Interface(name="eth0", kind="ethernet", addresses=tuple(a.address for a in addresses))
    numbered = tuple(replace(each, id=number) for number, each in enumerate(seen, 1))
    report = analyse(
        Measurement(
            command="ipv6",
            started="2026-11-30T08:00:00Z",
            duration_s=1.0,
            substrate="sim",
            host=Host(os="Linux", interfaces=(interface,), ipv6=setup, ways=ways),
            families=(4, 6),
            servers=servers,
            observations=numbered,
        ),
        is_public=is_public,
    )
    assert report.ipv6 is not None
    assert reanalyse(report, is_public=is_public).ipv6 == report.ipv6
    return report.ipv6


def answered(asked: str = SERVER, family: int = 6, mapped: str | None = None, **more: Any) -> Binding:
    given = {
        "probe": "mapping",
        "purpose": "mapping",
        "transport": "udp",
        "family": family,
        "local": f"[{OWN}]:4000" if family == 6 else "10.0.1.2:4000",
        "asked": asked,
        "outcome": "answered",
        "received": 1,
        "rtt_s": 0.02,
        "source": asked,
        "mapped": mapped or (f"[{OWN}]:4000" if family == 6 else "11.1.0.2:4000"),
    }
    return Binding(**given | more)


def check(transport: str = "udp", **more: Any) -> InboundCheck:
    given = {"outcome": "timeout", "sent": 16, "address": OWN, "target": f"[{OWN}]:5000", "origin": OTHER}
    return InboundCheck(probe="inbound", transport=transport, family=6, **given | more)


BOTH = tuple(Server(uri="stun:stun:3478", address=at, answered=True) for at in ("11.201.0.2:3478", SERVER))
PLENTY = tuple(answered(at_s=0.1 * number) for number in range(40))


def codes(found: Ipv6) -> list[str]:
    return [each.code for each in found.problems]


@pytest.mark.parametrize(
    ("addresses", "more", "capable", "expected"),
    [
        ((), {}, False, ["no-address"]),
        ((LINK_LOCAL,), {}, False, ["no-address"]),
        ((), {"disabled": True}, False, ["switched-off"]),
        ((address(OWN, tentative=True),), {}, False, ["tentative"]),
        ((address(OWN, duplicate=True),), {}, False, ["tentative"]),
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
