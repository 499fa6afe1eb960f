"""Each kind of observation as a line."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from nattools.model import observation as seen
from nattools.model.ipv6trial import InboundCheck, MtuTrial
from nattools.model.portmapping import Refusal
from nattools.report.sections.observations import _WORDS, describe

A, B = "10.0.0.2:5000", "11.2.0.2:3478"
REFUSED = Refusal(code=718, name="ConflictInMappingEntry", meaning="", advice="")


def test_every_kind_of_observation_has_a_line() -> None:
    assert set(_WORDS) == set(get_args(seen.AnyObservation))


def binding(**more: Any) -> seen.Binding:
    given = {"purpose": "mapping", "transport": "udp", "family": 4, "local": A, "asked": B, "sent": 3}
    return seen.Binding(probe="mapping", **given | more)


def birthday(**more: Any) -> seen.BirthdayTrial:
    given = {"towards": B, "asked": B, "pool": (1024, 65535), "sockets": 256, "sent": 700, "planned": 900}
    return seen.BirthdayTrial(probe="birthday", family=4, **given | more)


def trial(**more: Any) -> seen.PunchTrial:
    return seen.PunchTrial(probe="punch", transport="tcp", family=4, asked=B, towards=B, **more)


def inbound(**more: Any) -> InboundCheck:
    given = {"address": "2a10:1:0:1::2", "origin": "[2a10:c9::3]:3479", "target": "[2a10:1:0:1::2]:5000"}
    return InboundCheck(probe="inbound", transport="udp", family=6, **given | more)


def mtu(**more: Any) -> MtuTrial:
    return MtuTrial(probe="path-mtu", family=4, asked=B, sent=9, **more)


def idle(**more: Any) -> seen.Idle:
    given = {"transport": "udp", "local": A, "mapped": B, "idle_s": 20.0, "sent": 2}
    return seen.Idle(probe="lifetime", family=4, **given | more)


@pytest.mark.parametrize(
    ("observation", "line"),
    [
        (
            binding(outcome="timeout", waited_s=1.5, change_address=True, change_port=True),
            f"mapping: udp {A} to {B}, asking for another address and port: timeout after 1.5 s, 3 sent",
        ),
        (
            binding(outcome="answered", mapped=A, source=A, rtt_s=0.02, error_code=420, received=2),
            f"mapping: udp {A} to {B}: seen as {A}, answered by {A}, 20 ms, error 420, 2 of 3 answered",
        ),
        (
            idle(refreshed_by="inbound", alive=None),
            f"lifetime: udp {A} as {B} idle for 20 s, with inbound traffic meanwhile: could not tell",
        ),
        (
            inbound(outcome="prohibited", offender="2a10:1::2", reached_card=False, sent=8),
            "inbound: udp from [2a10:c9::3]:3479 to [2a10:1:0:1::2]:5000: prohibited, as 2a10:1::2 said, did "
            "not come to the interface, 8 sent",
        ),
        (
            inbound(outcome="error", sent=8, detail="the server is busy"),
            "inbound: udp from [2a10:c9::3]:3479 to [2a10:1:0:1::2]:5000: error, 8 sent (the server is busy)",
        ),
        (
            mtu(passed=1280, failed=1284, told=1280, told_by="10.0.1.1"),
            f"path MTU: to {B}: 1280 answered, 1284 not, 10.0.1.1 says 1280, 9 sent",
        ),
        (
            mtu(passed=1280, failed=1284, last_hop="10.0.1.1"),
            f"path MTU: to {B}: 1280 answered, 1284 not, large ones come to 10.0.1.1, 9 sent",
        ),
        (mtu(), f"path MTU: to {B}: nothing answered, 9 sent"),
        (idle(refreshed_by="nothing", alive=False), f"lifetime: udp {A} as {B} idle for 20 s: gone"),
        (
            birthday(outcome="silent", ttl=4, checked=64, open=60, entered=0, took_s=3.0),
            f"birthday: udp from 256 ports to {B} with TTL 4, which sent 700 of up to 900 packets to ports "
            "1024 to 65535: silent after 3 s, 60 of 64 ports were told, 0 of them let in",
        ),
        (
            birthday(outcome="punched", hit=40000, local=A, answered=True, seen=A),
            f"birthday: udp from 256 ports to {B}, which sent 700 of up to 900 packets to ports 1024 to "
            f"65535: punched, port 40000 as {A}, then answered to {A}",
        ),
        (
            trial(
                ttl=3, aimed=(1, 2), outcome="punched", openers=2, sent=1, took_s=0.5, answered=True, seen=A
            ),
            f"punch: tcp ? to {B} with TTL 3, which sent to port 1, 2: punched after 500 ms, 2 and 1 sent, "
            f"then answered to {A}",
        ),
        (
            trial(outcome="not tried", detail="no port"),
            f"punch: tcp ? to {B}: not tried, 0 and 0 sent (no port)",
        ),
        (
            seen.MapEntry(
                probe="map",
                protocol="upnp",
                transport="tcp",
                family=4,
                internal=A,
                external_port=80,
                lifetime_s=None,
                description="web",
                enabled=False,
                ours=True,
            ),
            f"upnp: the router has tcp 80 to {A} until deleted 'web', switched off, ours",
        ),
        (
            seen.MapTable(probe="map", protocol="upnp", rows=7, incomplete="it ended early", refusal=REFUSED),
            "upnp: table of mappings, rows read: 7, 718 ConflictInMappingEntry (it ended early)",
        ),
        (
            seen.MapOffer(
                probe="map",
                protocol="pcp",
                family=4,
                interface=None,
                local=A,
                server=B,
                outcome="answered",
                version="2",
                external="11.1.0.2",
                connected=False,
                rtt_s=0.01,
                refusal=REFUSED,
                quirks=("odd",),
            ),
            f"router: pcp 2 at {B}, from {A}: supported, calls 11.1.0.2 its external address, says that it "
            "is offline, 10 ms, 718 ConflictInMappingEntry; odd",
        ),
        (
            seen.Opener(probe="hops", family=4, local=A, towards=B, ttl=2, sent=1, opened=None),
            f"opener: {A} to {B} with TTL 2: could not tell",
        ),
        (
            seen.Resolution(probe="reach", name="stun.example", error="no such name"),
            "name stun.example: no such name",
        ),
    ],
)
def test_lines(observation: seen.AnyObservation, line: str) -> None:
    assert describe(observation) == line


def test_what_a_network_says_is_safe_to_print() -> None:
    hostile = seen.Resolution(probe="reach", name="\x1b[2Jevil\n", error="\x07")
    assert not any(ord(each) < 32 for each in describe(hostile))
