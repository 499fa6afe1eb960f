"""What an interface is, by the kernel's word and by routes, whatever it is called."""

from __future__ import annotations

import pytest

from nattools.model.host import InterfaceKind
from nattools.net.system.interfacekinds import InterfaceTable
from nattools.protocols.rtnetlink import KernelLink, TableRoute

ETHERNET, PPP, NONE, RAW_IP, LOOPBACK = 1, 512, 65534, 519, 772
HOME = TableRoute(4, 9, gateway="192.168.1.1")
"""The default route by another interface."""
TO_SERVER = TableRoute(4, 9, length=32, destination="11.5.0.2", gateway="192.168.1.1")
HALVES = [TableRoute(4, 2, length=1), TableRoute(4, 2, length=1, destination="128.0.0.0")]
DEFAULT = TableRoute(4, 2)
IN_TABLE = TableRoute(4, 2, table=51820)


@pytest.mark.parametrize(
    ("link", "addresses", "routes", "kind"),
    [
        (KernelLink(1, "lo", flags=0x8, hardware=LOOPBACK), ("127.0.0.1",), [], "loopback"),
        (KernelLink(2, "home", hardware=NONE, kind="wireguard"), ("10.2.0.2",), [IN_TABLE, HOME], "vpn"),
        (KernelLink(2, "corp", hardware=NONE, kind="tun"), ("10.8.0.2",), [*HALVES, HOME, TO_SERVER], "vpn"),
        (KernelLink(2, "mesh", hardware=NONE, kind="tun"), ("100.101.102.103",), [HOME], "vpn"),
        (KernelLink(2, "v6", hardware=776, kind="sit"), ("2a10::2",), [TableRoute(6, 2), HOME], "vpn"),
        (KernelLink(2, "old", hardware=768), ("10.8.0.2",), [HOME], "vpn"),
        (KernelLink(2, "wire", hardware=65534, kind="tun"), (), [HOME], "vpn"),
        (KernelLink(2, "clat", hardware=NONE, kind="tun"), ("192.0.0.4",), [DEFAULT], "virtual"),
        (KernelLink(2, "ds-wan", hardware=769, kind="ip6tnl"), ("192.0.0.2",), [DEFAULT], "virtual"),
        (KernelLink(2, "zt3", kind="tun"), ("10.147.0.2",), [*HALVES, HOME], "vpn"),
        (KernelLink(2, "tap0", kind="tun"), ("10.0.2.100",), [DEFAULT], "virtual"),
        (KernelLink(2, "vm1", kind="tun"), ("192.168.122.1",), [HOME], "virtual"),
        (KernelLink(2, "ppp0", hardware=PPP, kind="ppp"), ("11.9.0.2",), [DEFAULT], "unknown"),
        (KernelLink(2, "ppp0", hardware=PPP, kind="ppp"), ("11.9.0.2",), [DEFAULT, HOME], "unknown"),
        (KernelLink(2, "ppp0", hardware=PPP, kind="ppp"), ("10.9.0.2",), [DEFAULT, HOME, TO_SERVER], "vpn"),
        (KernelLink(2, "office", hardware=ETHERNET, kind="vlan"), ("10.7.0.2",), [DEFAULT], None),
        (KernelLink(2, "wwan0", hardware=NONE), ("10.64.3.2",), [DEFAULT], None),
        (KernelLink(2, "rmnet0", hardware=RAW_IP, kind="rmnet"), ("100.64.3.2",), [DEFAULT], None),
        (KernelLink(2, "wg-lan"), ("192.168.1.2",), [DEFAULT], None),
        (KernelLink(2, "tun7", kind="veth"), ("10.0.1.2",), [DEFAULT], None),
        (KernelLink(2, "bond0", kind="bond"), ("10.0.1.2",), [DEFAULT], None),
        (KernelLink(2, "lan", kind="macvlan"), ("10.0.1.2",), [DEFAULT], None),
        (KernelLink(2, "docker0", kind="bridge"), ("172.17.0.1",), [HOME], "virtual"),
        (KernelLink(2, "veth1", kind="veth", master=5), (), [HOME], "virtual"),
        (KernelLink(2, "red", kind="vrf", hardware=ETHERNET), (), [HOME], "virtual"),
        (KernelLink(2, "wlan0", hardware=801), ("10.0.1.2",), [DEFAULT], "wireless"),
    ],
)  # fmt: skip
def test_kinds(
    link: KernelLink, addresses: tuple[str, ...], routes: list[TableRoute], kind: InterfaceKind | None
) -> None:
    other = KernelLink(9, "uplink")
    around = InterfaceTable([link, other], routes, {link.name: addresses, "uplink": ("192.168.1.7",)})
    assert around.kind(link) == kind
    assert around.kind(other) is None
