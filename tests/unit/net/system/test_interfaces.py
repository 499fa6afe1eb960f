"""Interfaces and default routes."""

from __future__ import annotations

import sys

import pytest

from nattools.model.host import Gateway, InterfaceKind
from nattools.net.system import interfaces, netlink
from nattools.net.system.hostnetwork import HostNetwork
from nattools.protocols.rtnetlink import KernelLink, TableRoute

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's tables")


def test_loopback_is_there() -> None:
    found = {item.name: item for item in HostNetwork().interfaces()}
    loopback = [item for item in found.values() if item.kind == "loopback"]
    assert loopback
    assert "127.0.0.1" in loopback[0].addresses
    assert loopback[0].up


@linux_only
def test_the_route_to_loopback() -> None:
    network = HostNetwork()
    assert network.route("127.0.0.1") == ("lo", "127.0.0.1")
    assert network.route("::1") == ("lo", "::1")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lo", "loopback"),
        ("lo0", "loopback"),
        ("eth0", "ethernet"),
        ("enp3s0", "ethernet"),
        ("wlan0", "wireless"),
        ("wlp2s0", "wireless"),
        ("tun0", "vpn"),
        ("tap1", "vpn"),
        ("utun4", "vpn"),
        ("wg-home", "vpn"),
        ("ppp0", "vpn"),
        ("tailscale0", "vpn"),
        ("ztabcdef12", "vpn"),
        ("docker0", "virtual"),
        ("veth12ab", "virtual"),
        ("br-1234", "virtual"),
        ("something", "unknown"),
    ],
)
def test_kind_by_name(name: str, kind: InterfaceKind) -> None:
    assert interfaces.kind_by_name(name) == kind


LINKS = [
    KernelLink(1, "lo", flags=9),
    KernelLink(2, "eth0"),
    KernelLink(3, "tun0", kind="tun", hardware=65534),
]
HALF = TableRoute(4, 3, length=1, destination="128.0.0.0", gateway="10.8.0.1")
ROUTES = {
    4: [
        TableRoute(4, 2, gateway="11.0.0.1", metric=200),
        TableRoute(4, 2, gateway="11.0.0.1", metric=20, table=101),
        TableRoute(4, 3, length=1, destination=None, gateway="10.8.0.1"),
        HALF,
        TableRoute(4, 2, length=24, destination="11.0.0.0"),
    ],
    6: [TableRoute(6, 2, gateway="fe80::1", metric=1024)],
}


def tell(monkeypatch: pytest.MonkeyPatch, taken: dict[str, TableRoute | None]) -> None:
    """The kernel has these interfaces and routes, and takes those."""
    monkeypatch.setattr(netlink, "links", lambda: LINKS)
    monkeypatch.setattr(netlink, "table_routes", ROUTES.__getitem__)
    monkeypatch.setattr(netlink, "route_to", lambda to, **_: taken.get(to))


ETH0 = Gateway(interface="eth0", family=4, address="11.0.0.1", metric=200)
SIX = Gateway(interface="eth0", family=6, address="fe80::1%eth0", metric=1024)


@linux_only
def test_the_routes_that_packets_take_come_first_by_whatever_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a rule past the main table (wg-quick), or by two routes of half the addresses over the default."""
    tell(monkeypatch, {"198.41.0.4": TableRoute(4, 3, 32, "198.41.0.4", source="10.8.0.2", table=51820)})
    by_rule = Gateway(interface="tun0", family=4, address=None, metric=0)
    assert interfaces.gateways() == (by_rule, ETH0, SIX)
    tell(monkeypatch, {"198.41.0.4": HALF, "12.0.0.1": HALF})
    by_halves = Gateway(interface="tun0", family=4, address="10.8.0.1", metric=0)
    assert interfaces.gateways() == (by_halves, ETH0, SIX)
    tell(monkeypatch, {"198.41.0.4": HALF, "12.0.0.1": ROUTES[4][0]})
    assert interfaces.gateways() == (by_halves, ETH0, SIX)


@linux_only
def test_without_a_usable_route_the_tables_are_told_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    tell(monkeypatch, {})
    assert interfaces.gateways() == (ETH0, SIX)


def test_netifaces_table(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    import netifaces

    table = {
        socket.AF_INET: [("192.168.1.1", "en1", False), ("10.0.0.1", "en0", True)],
        socket.AF_INET6: [("fe80::1%en0", "en0", True)],
    }
    monkeypatch.setattr(netifaces, "gateways", lambda: table)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert interfaces.gateways() == (
        Gateway(interface="en0", family=4, address="10.0.0.1"),
        Gateway(interface="en1", family=4, address="192.168.1.1"),
        Gateway(interface="en0", family=6, address="fe80::1%en0"),
    )
