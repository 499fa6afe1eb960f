"""What follows for the local network from what was seen on it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from statements import check_statements
from tailnets import measured

from nattools.engine.analyse import analyse
from nattools.model.lan import Lan
from nattools.model.lanseen import (
    BeaconPeer,
    BeaconsSent,
    LanEcho,
    LanLink,
    MdnsTrial,
    ServiceSeen,
    YggdrasilHeard,
)
from nattools.model.observation import AnyObservation
from nattools.model.report import Report
from nattools.net.addresses import is_public

LINK = LanLink(
    interface="eth0", type="ethernet", mtu=1500, addresses=("10.0.1.2", "fe80::2"), gateways=("10.0.1.1",)
)
ROUTER = LanEcho(address="10.0.1.1", role="gateway", sent=1, received=1)
SENT = BeaconsSent(sent={"broadcast": 9, "multicast4": 9, "multicast6": 9, "unicast": 9}, listened_s=2.5)
ALL = ("unicast", "broadcast", "multicast4", "multicast6")
ASKED = MdnsTrial(family=4, sent=3)
GONE = LanEcho(address="10.0.1.9", role="named", sent=3)


def report(*seen: AnyObservation) -> Report:
    found = analyse(replace(measured(LINK, *seen), command="lan"), is_public=is_public)
    check_statements(found)
    return found


def lan(*seen: AnyObservation) -> Lan:
    found = report(*seen).lan
    assert found is not None
    return found


def passes(found: Lan) -> list[bool | None]:
    return [found.unicast, found.broadcast, found.multicast4, found.multicast6, found.isolated]


def test_alone_nothing_is_known() -> None:
    found = lan(ROUTER, SENT, ASKED)
    assert passes(found) == [None] * 5
    assert found.mdns.works is None
    assert [found.qaul.ready, found.yggdrasil.ready, found.batman.ready] == [None] * 3
    assert report(ROUTER, SENT).techniques[0].verdict == "unknown"


def test_a_named_machine_that_does_not_answer_while_the_router_does_is_kept_apart() -> None:
    found = lan(ROUTER, SENT, ASKED, GONE)
    assert passes(found) == [False, False, False, False, True]
    assert report(ROUTER, GONE).techniques[0].verdict == "fails"
    assert [found.qaul.ready, found.batman.ready, found.casting.ready] == [False] * 3
    silent = replace(ROUTER, received=0)
    assert lan(silent, SENT, GONE).isolated is None, "this machine may be on no network at all"


def test_a_machine_that_was_heard_is_not_kept_apart_though_it_answers_no_echo() -> None:
    heard = replace(ASKED, responders=(GONE.address,))
    found = lan(ROUTER, SENT, heard, GONE)
    assert (found.isolated, found.multicast4, found.mdns.works) == (None, True, True)
    assert lan(ROUTER, GONE, BeaconPeer(address=GONE.address, came=("multicast4",))).isolated is None


def test_a_machine_on_another_network_says_nothing_of_this_one() -> None:
    for through, says in ((False, "lan-beyond-silent"), (True, "lan-beyond-reached")):
        found = lan(ROUTER, SENT, replace(GONE, beyond=True, through=through))
        assert passes(found) == [None] * 5
        assert [each.code for each in found.reason] == ["lan-router-alone", says]


@pytest.mark.parametrize("answer", [{"received": 1}, {"refused": True}])
def test_a_named_machine_that_answers_in_any_way_is_reached(answer: dict[str, int]) -> None:
    found = lan(ROUTER, replace(GONE, **answer))
    assert (found.unicast, found.isolated) == (True, False)


def test_beacons_prove_what_passes_in_either_direction() -> None:
    whole = lan(SENT, BeaconPeer(address="10.0.1.3", came=ALL, arrived=ALL))
    assert (passes(whole), whole.proven) == ([True, True, True, True, False], True)
    half = BeaconPeer(address="10.0.1.3", came=("unicast",), arrived=("broadcast",), sends=ALL)
    part = lan(SENT, half)
    assert passes(part) == [True, True, False, False, False]
    without_ipv6 = lan(SENT, replace(half, sends=ALL[:3]))
    assert passes(without_ipv6) == [True, True, False, None, False]
    assert part.mdns.works is False
    assert (part.yggdrasil.ready, part.syncthing.ready, part.qaul.ready) == (False, True, False)
    assert lan(SENT, BeaconPeer(address="10.0.1.3", came=("multicast4",))).proven is False


def test_few_beacons_prove_nothing_by_their_silence() -> None:
    few = BeaconsSent(sent={"multicast4": 2, "unicast": 2}, listened_s=0.5)
    assert lan(few, BeaconPeer(address="10.0.1.3", came=("unicast",))).multicast4 is None


def test_who_answers_multicast_dns_shows_that_multicast_passes() -> None:
    heard = replace(ASKED, responders=("10.0.1.4",))
    found = lan(ROUTER, SENT, heard)
    assert (found.multicast, found.multicast4, found.mdns.works, found.unicast) == (True, True, True, None)
    reached = lan(ROUTER, heard, LanEcho(address="10.0.1.4", role="neighbour", sent=1, received=1))
    assert (reached.qaul.ready, reached.casting.ready) == (True, True)
    router = lan(ROUTER, replace(ASKED, responders=("10.0.1.1",)))
    assert router.mdns.works is None, "the router's own answer says nothing of other machines"


def test_the_router_is_no_other_machine_whichever_of_its_addresses_answers() -> None:
    named = lan(ROUTER, SENT, LanEcho(address="10.0.1.1", role="named", sent=1, received=1))
    assert (passes(named), named.reason[0].code) == ([None] * 5, "lan-router-alone")
    own = ServiceSeen(
        source="fe80::1", service="_ssh._tcp", host="r.local", addresses=("10.0.1.1", "fe80::1")
    )
    asked = MdnsTrial(family=6, sent=3, responders=("fe80::1",), services=(own,))
    answers = LanEcho(address="fe80::1", role="neighbour", sent=1, received=1)
    found = lan(ROUTER, SENT, asked, answers)
    assert (passes(found), found.mdns.works) == ([None] * 5, None)
    assert lan(ROUTER, SENT, asked, answers, GONE).isolated is True


def test_what_a_reflector_passes_on_is_on_another_network() -> None:
    own = ServiceSeen(source="10.0.1.4", service="_http._tcp", host="a.local", addresses=("10.0.1.4",))
    far = ServiceSeen(source="10.0.1.1", service="_ipp._tcp", host="b.local", addresses=("10.0.2.7",))
    found = lan(ROUTER, replace(ASKED, responders=("10.0.1.4", "10.0.1.1"), services=(own, far)))
    rows = [(each.address, each.name, each.services, each.elsewhere) for each in found.neighbours]
    assert rows == [
        ("10.0.1.1", "", (), False),
        ("10.0.1.4", "a.local", ("_http._tcp",), False),
        ("10.0.2.7", "b.local", ("_ipp._tcp",), True),
    ]


TV = ServiceSeen(
    source="10.0.1.7", service="_airplay._tcp", instance="tv", host="tv.local", addresses=("10.0.1.7",)
)


def services(*seen: ServiceSeen) -> MdnsTrial:
    return replace(ASKED, responders=tuple(dict.fromkeys(each.source for each in seen)), services=seen)


def test_a_reflector_that_repeats_what_is_said_here_is_named_and_is_no_television() -> None:
    again = replace(TV, source="10.0.1.4")
    found = lan(ROUTER, services(TV, again))
    rows = {each.address: (each.name, each.services, each.elsewhere) for each in found.neighbours}
    assert rows["10.0.1.7"] == ("tv.local", ("_airplay._tcp",), False)
    assert rows["10.0.1.4"] == ("", (), False)
    told = {each.code: each.values for each in found.reason}
    assert told["lan-repeated"] == {"by": "10.0.1.4", "address": "10.0.1.7"}
    assert "lan-reflect-elsewhere" in [each.code for each in found.actions]


def test_a_sleep_proxy_answers_for_a_machine_that_does_not() -> None:
    found = lan(ROUTER, services(replace(TV, source="10.0.1.4")))
    rows = {each.address: (each.services, each.elsewhere) for each in found.neighbours}
    assert rows["10.0.1.7"] == (("_airplay._tcp",), False)
    assert "lan-repeated" not in [each.code for each in found.reason]


def test_a_machine_with_a_container_bridge_is_no_reflector() -> None:
    found = lan(ROUTER, services(replace(TV, addresses=("172.17.0.1", "10.0.1.7"))))
    assert [each.address for each in found.neighbours] == ["10.0.1.1", "10.0.1.7"]
    assert not any(each.elsewhere for each in found.neighbours)


def test_what_a_reflector_says_by_halves_is_nobodys() -> None:
    far = replace(TV, source="10.0.1.4", addresses=("10.0.2.7",))
    half = ServiceSeen(source="10.0.1.4", service="_ipp._tcp", instance="printer")
    found = lan(ROUTER, services(far, half))
    rows = {each.address: each.services for each in found.neighbours}
    assert (rows["10.0.1.4"], rows["10.0.2.7"]) == ((), ("_airplay._tcp",))
    alone = lan(ROUTER, services(half))
    assert {each.address: each.services for each in alone.neighbours}["10.0.1.4"] == ("_ipp._tcp",)


def test_yggdrasil_needs_ipv6_or_is_heard() -> None:
    assert lan(YggdrasilHeard(sources=("fe80::9",), listened_s=2.5)).yggdrasil.ready is True
    four = replace(LINK, addresses=("10.0.1.2",))
    found = analyse(replace(measured(four), command="lan"), is_public=is_public).lan
    assert found is not None
    assert found.yggdrasil.ready is False


def test_a_tunnel_carries_no_frames() -> None:
    found = analyse(replace(measured(replace(LINK, type="vpn")), command="lan"), is_public=is_public).lan
    assert found is not None
    assert found.batman.ready is False
