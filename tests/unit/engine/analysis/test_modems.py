"""A modem of the machine itself, behind a NAT of its provider: no router here has settings."""

from __future__ import annotations

import pytest
from synthetic_nats import World, measurement

from nattools.engine.analyse import analyse
from nattools.model.host import Gateway, Host, Interface, InterfaceKind, Way
from nattools.model.mappingseen import MapOffer
from nattools.net.addresses import is_public

OWN, NEXT = "10.0.1.2", "10.0.1.1"


def advised(name: str, kind: InterfaceKind, gateway: str | None, *more: MapOffer, own: str = OWN) -> set[str]:
    """All that the user is told to do, with that interface, and that next hop of its default route."""
    host = Host(
        os="test",
        interfaces=(Interface(name=name, kind=kind, addresses=(own,)),),
        gateways=(Gateway(interface=name, family=4, address=gateway),),
        ways=(Way(family=4, interface=name, source=own, gateway=gateway),),
    )
    seen = (*World().measure().seen, *more)
    report = analyse(measurement(seen, host=host), is_public=is_public)
    assert report.advice is not None
    return {
        each.code
        for each in (*report.advice.actions, *(each for row in report.techniques for each in row.remedy))
    }


@pytest.mark.parametrize(
    ("name", "kind", "gateway"),
    [
        ("wwan0", "unknown", None),
        ("wwan0", "unknown", NEXT),
        ("wwp0s20f0u3", "ethernet", NEXT),
        ("rmnet_data0", "unknown", NEXT),
        ("pdp_ip0", "unknown", None),
        ("ppp0", "unknown", None),
    ],
)
def test_the_provider_is_to_be_asked(name: str, kind: InterfaceKind, gateway: str | None) -> None:
    found = advised(name, kind, gateway)
    assert "ask-for-own-address" in found
    assert not {"forward-port", "enable-mappings", "enable-mappings-at"} & found


@pytest.mark.parametrize(("name", "gateway"), [("eth0", NEXT), ("eth0", None), ("usb0", NEXT)])
def test_a_router_may_be_there(name: str, gateway: str | None) -> None:
    assert "ask-for-own-address" not in advised(name, "ethernet", gateway)


def test_a_modem_that_answers_as_a_router_does() -> None:
    answered = MapOffer(
        protocol="pcp", family=4, interface="wwan0", local=OWN, server=NEXT, outcome="answered"
    )
    assert "ask-for-own-address" not in advised("wwan0", "unknown", NEXT, answered)


def test_a_stick_that_is_a_router_itself() -> None:
    assert "ask-for-own-address" not in advised("wwan0", "ethernet", "192.168.8.1", own="192.168.8.100")
