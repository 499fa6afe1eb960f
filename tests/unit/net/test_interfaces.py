"""Interfaces and default routes."""

from __future__ import annotations

import sys

import pytest

from nattools.model.host import Gateway, InterfaceKind
from nattools.net import interfaces
from nattools.net.hostnetwork import HostNetwork

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


ROUTES4 = """\
Iface Destination Gateway  Flags RefCnt Use Metric Mask     MTU Window IRTT
eth0  00000000    0100000B 0003  0      0   200    00000000 0   0      0
ppp0  00000000    00000000 0001  0      0   50     00000000 0   0      0
eth0  0000000B    00000000 0001  0      0   0      00FFFFFF 0   0      0
tun0  00000000    0100000A 0003  0      0   0      00000080 0   0      0
*     00000000    00000000 0201  0      0   0      00000000 0   0      0
"""
ZERO = "0" * 32
GATEWAY6 = "fe80" + "0" * 27 + "1"
ROUTES6 = f"""\
{ZERO} 00 {ZERO} 00 {GATEWAY6} 00000400 00000001 00000000 00000003 eth0
{ZERO} 00 {ZERO} 00 {ZERO} ffffffff 00000001 00000000 00200200 lo
2a10{"0" * 28} 40 {ZERO} 00 {ZERO} 00000100 00000001 00000000 00000001 eth0
"""


@linux_only
def test_linux_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    def lines(path: str) -> list[list[str]]:
        text = ROUTES6 if path.endswith("ipv6_route") else ROUTES4
        return [line.split() for line in text.splitlines()]

    monkeypatch.setattr(interfaces, "_lines", lines)
    assert interfaces.gateways() == (
        Gateway(interface="ppp0", family=4, address=None, metric=50),
        Gateway(interface="eth0", family=4, address="11.0.0.1", metric=200),
        Gateway(interface="eth0", family=6, address="fe80::1%eth0", metric=1024),
    )


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
