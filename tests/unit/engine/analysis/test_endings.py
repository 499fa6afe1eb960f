"""Where a measurement ended to which nothing outside answered."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nattools.engine.analysis.endings import ending, headline, remedies
from nattools.model.ending import EndingStep
from nattools.model.host import Host, Interface, Way
from nattools.model.observation import FORBIDDEN_HERE, AnyObservation, Binding, Hop, Portal, Resolution
from nattools.model.report import Server
from nattools.wording import is_known, text_of

CABLE = Interface(name="eth0", kind="ethernet", addresses=("10.0.1.2",))
LOOPBACK = Interface(name="lo", kind="loopback", addresses=("127.0.0.1",))
WAY = Way(family=4, interface="eth0", source="10.0.1.2", gateway="10.0.1.1")
ONLINE = Host(os="x", interfaces=(LOOPBACK, CABLE), ways=(WAY,))
ASKED = Binding(
    purpose="reach", transport="udp", family=4, local="10.0.1.2:1", asked="11.201.0.2:3478", outcome="timeout"
)
SERVERS = (Server(uri="stun:a"), Server(uri="stun:a"), Server(uri="stun:b"))


def interface(**other: object) -> Host:
    return replace(ONLINE, interfaces=(LOOPBACK, replace(CABLE, **other)), ways=())


@pytest.mark.parametrize(
    ("host", "seen", "step", "says"),
    [
        (Host(os="x", interfaces=(LOOPBACK,)), (), "link", "There is no network interface"),
        (interface(up=False), (), "link", "is up (eth0)"),
        (
            interface(addresses=("fe80::1%eth0", "169.254.7.7")),
            (),
            "address",
            "(eth0) has more than a link-local address",
        ),
        (interface(), (), "route", "There is no IPv4 or IPv6 route"),
        (
            ONLINE,
            (Resolution(name="a.example", error="time out"),),
            "dns",
            "a.example was looked up: time out.",
        ),
        (
            ONLINE,
            (Resolution(name="a.example"), Resolution(name="b.example")),
            "dns",
            "looked up: no address. b.example",
        ),
        (
            ONLINE,
            (Resolution(name="a.example", addresses=("2a10::1",)),),
            "route",
            "Only IPv6 leads to a.example. There is no IPv6 route to the internet.",
        ),
        (ONLINE, (ASKED, Portal(asked="192.0.2.1:80")), "portal", "in the name of 192.0.2.1:80"),
        (ONLINE, (replace(ASKED, detail=FORBIDDEN_HERE),), "firewall", "The system refused to send"),
        (ONLINE, (ASKED,), "answer", "no answer over UDP or TCP from stun:a, stun:b."),
        (
            ONLINE,
            tuple(
                [ASKED]
                + [
                    Hop(family=4, destination="x", ttl=ttl, address=address, sent=3)
                    for ttl, address in ((1, "10.0.1.1"), (2, "10.9.9.9"), (3, None))
                ]
            ),
            "answer",
            "The farthest router that answered is 10.9.9.9 (hop 2).",
        ),
        (
            ONLINE,
            (ASKED, replace(ASKED, transport="tcp", outcome="refused")),
            "answer",
            "from stun:a, stun:b. Refused: 11.201.0.2:3478.",
        ),
        (
            ONLINE,
            tuple(
                replace(ASKED, outcome="prohibited", offender=who) for who in ("10.0.1.1", "10.0.1.1", None)
            ),
            "answer",
            "from stun:a, stun:b. 10.0.1.1 said that it is prohibited.",
        ),
        (
            ONLINE,
            (ASKED, Hop(family=4, destination="x", ttl=1, address=None, sent=3)),
            "answer",
            "No router on the way answered either.",
        ),
    ],
)
def test_the_first_step_that_failed(
    host: Host, seen: tuple[AnyObservation, ...], step: EndingStep, says: str
) -> None:
    found = ending(host, (4, 6), SERVERS, seen)
    assert found.step == step
    assert says in text_of(found.reason)
    assert is_known(headline(found))
    assert all(map(is_known, (*found.reason, *remedies(found))))
    assert bool(remedies(found)) == (step != "portal")


def test_a_server_of_a_family_that_was_not_asked_for_is_no_fault_of_names() -> None:
    found = ending(ONLINE, (4,), SERVERS, (Resolution(name="2a10::1", addresses=("2a10::1",)),))
    assert text_of(found.reason) == "Only IPv6 leads to 2a10::1. IPv6 was not asked for."
    assert headline(found).code == "ended-other-family"
    assert [each.code for each in remedies(found)] == ["name-other-family"]
