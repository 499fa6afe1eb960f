"""`nattools ipv6` on a machine whose kernel makes its own addresses and routes of what routers advertise."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing

import msgspec
import pytest
from radvertiser import Advertiser, Announced

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenariofiles import load
from nattools.model.ipv6 import Ipv6, Ipv6Address
from nattools.model.report import Report
from nattools.protocols.nat64 import parse_prefix
from nattools.protocols.routeradvert import advertisement

pytestmark = pytest.mark.netns

LIMIT_S = 180.0
ROUTED, STALE = "2a10:1:0:1::/64", "2a10:99:0:1::/64"
COMMAND = [sys.executable, "-m", "nattools", "ipv6", "--json", "--no-mtu", "--server", "stun:stun:3478"]
LISTEN = """cd /proc/sys/net/ipv6/conf
for link in {links}; do
  echo 0 > $link/dad_transmits; echo 2 > $link/accept_ra; echo {temporary} > $link/use_tempaddr
  ip -6 addr flush dev $link scope global
done
ip -6 rule flush; ip -6 rule add table main; ip -6 route flush table all default"""


def listens(lab: NetnsLab, links: Sequence[str] = ("eth0",), *, temporary: int = 0) -> None:
    """Alice forgets the addresses and routes that she was given, and waits for routers to speak."""
    script = LISTEN.format(links=" ".join(links), temporary=temporary)
    assert lab.popen("alice", ["sh", "-ec", script]).wait(LIMIT_S) == 0


def told(lab: NetnsLab) -> Ipv6:
    process = lab.popen("alice", COMMAND, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    said, _ = process.communicate(timeout=LIMIT_S)
    report = msgspec.json.decode(said, type=Report)
    assert report.ipv6 is not None
    return report.ipv6


def within(found: Ipv6, prefix: str) -> list[Ipv6Address]:
    return [each for each in found.addresses if each.address.startswith(prefix.removesuffix("::/64"))]


def codes(found: Ipv6) -> list[str]:
    return [each.code for each in found.problems]


def test_kinds_lifetimes_and_where_the_router_was_learnt() -> None:
    with NetnsLab(load("ipv6-filtered")) as lab, ExitStack() as stack:
        listens(lab, temporary=2)
        stack.enter_context(closing(Advertiser(lab, "home", Announced(ROUTED))))
        found = told(lab)
    kinds = {each.kind: each for each in within(found, ROUTED)}
    assert set(kinds) == {"temporary", "eui-64"}
    for each in kinds.values():
        assert 86300 < (each.valid_s or 0) <= 86400
        assert 14300 < (each.preferred_s or 0) <= 14400
        assert (each.prefix_length, each.deprecated) == (64, False)
        assert each.inbound is not None
        assert each.inbound.udp == "filtered"
    assert kinds["eui-64"].shows_mac
    assert not kinds["temporary"].shows_mac
    (router,) = found.routers
    assert (router.source, router.interface) == ("ra", "eth0")
    assert (router.address or "").startswith("fe80::")
    assert (found.capable, found.works) == (True, True)
    assert codes(found) == ["filtered", "mac-shown"]


def test_two_routers_that_announce_themselves() -> None:
    with NetnsLab(load("ipv6-two-routers")) as lab, ExitStack() as stack:
        listens(lab, ("eth0", "eth1"))
        stack.enter_context(closing(Advertiser(lab, "home", Announced(ROUTED))))
        stack.enter_context(closing(Advertiser(lab, "office", Announced("2a10:2:0:1::/64"))))
        found = told(lab)
    assert {(each.source, each.interface) for each in found.routers} == {("ra", "eth0"), ("ra", "eth1")}
    assert "two-routers" in codes(found)


def test_a_prefix_that_the_router_takes_back_is_deprecated_and_no_problem() -> None:
    """RFC 9096 3: the preferred lifetime becomes zero. The kernel keeps the address for two hours (RFC 4862
    5.5.3), and prefers the other one."""
    with NetnsLab(load("ipv6-filtered")) as lab, ExitStack() as stack:
        listens(lab)
        stack.enter_context(closing(Advertiser(lab, "home", Announced(STALE))))
        stack.enter_context(closing(Advertiser(lab, "home", Announced(ROUTED), Announced(STALE, 0, 0))))
        found = told(lab)
    (old,), (new,) = within(found, STALE), within(found, ROUTED)
    assert (old.deprecated, new.deprecated) == (True, False)
    assert old.valid_s is not None
    assert old.valid_s <= 7200
    assert (found.works, found.preferred is not None) == (True, True)
    assert "dead-prefix" not in codes(found)


def test_a_prefix_that_nobody_took_back_is_dead() -> None:
    """Flash renumbering (RFC 8978): the router has begun anew with another prefix. The kernel takes the old
    one still, since it is more like the servers' (RFC 6724 5, rule 8)."""
    with NetnsLab(load("ipv6-filtered")) as lab, ExitStack() as stack:
        listens(lab)
        stack.enter_context(closing(Advertiser(lab, "home", Announced(STALE))))
        stack.enter_context(closing(Advertiser(lab, "home", Announced(ROUTED))))
        found = told(lab)
    (old,), (new,) = within(found, STALE), within(found, ROUTED)
    assert (old.answered, new.answered) == (False, True)
    assert (old.deprecated, found.works) == (False, False)
    assert "dead-prefix" in codes(found)
    assert "no-answer" not in codes(found)


def test_an_advertisement_without_a_router_is_no_route() -> None:
    with NetnsLab(load("ipv6-filtered")) as lab, ExitStack() as stack:
        listens(lab)
        stack.enter_context(closing(Advertiser(lab, "home", Announced(ROUTED), lifetime_s=0)))
        found = told(lab)
    assert (found.capable, found.routers) == (False, ())
    assert codes(found) == ["no-route", "mac-shown"]


@pytest.mark.interop("tayga")
def test_a_nat64_that_the_router_tells_of_beside_its_prefix() -> None:
    """PREF64 (RFC 8781): heard though the kernel has no use for it, and used."""
    option = advertisement(parse_prefix("64:ff9b::/96"), 1800)[16:]
    with NetnsLab(load("ipv6-nat64")) as lab, ExitStack() as stack:
        listens(lab)
        router = stack.enter_context(closing(Advertiser(lab, "carrier", Announced(ROUTED), more=option)))
        router.answer()
        found = told(lab)
    assert found.nat64 is not None
    assert (found.nat64.prefix, found.nat64.works) == ("64:ff9b::/96", True)
    assert [each.source for each in found.routers] == ["ra"]
