"""Kinds of IPv6 addresses, and what two of one machine have in common."""

from __future__ import annotations

import pytest

from nattools.engine.analysis.ipv6.ipv6addresses import described, same_host_part, shows_mac, use_of
from nattools.model.host import ConfiguredAddress, Host, Interface, Ipv6Setup
from nattools.model.ipv6 import AddressUse


@pytest.mark.parametrize(
    ("address", "temporary", "stable", "kind"),
    [
        ("fe80::1", False, True, "link-local"),
        ("fd00:1::2", True, False, "ula"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", None, None, "teredo"),
        ("2002:c000:204::1", None, None, "6to4"),
        ("2a10:1::a5c1:7e09:33d4:2", True, False, "temporary"),
        ("2a10:1::216:3eff:fe00:2", False, True, "eui-64"),
        ("2a10:1::216:3eff:fe00:2", None, None, "eui-64"),
        ("2a10:1::a5c1:7e09:33d4:2", False, True, "stable"),
        ("2a10:1::a5c1:7e09:33d4:2", None, None, "other"),
    ],
)
def test_kinds(address: str, temporary: bool | None, stable: bool | None, kind: AddressUse) -> None:
    configured = ConfiguredAddress(address=address, interface="eth0", temporary=temporary, stable=stable)
    assert use_of(configured) == kind


def test_which_show_the_hardware_address() -> None:
    assert shows_mac("fe80::216:3eff:fe00:2")
    assert not shows_mac("2a10:1::a5c1:7e09:33d4:2")


@pytest.mark.parametrize(
    ("inside", "outside", "same"),
    [
        ("fd00:1:0:1:a5c1:7e09:33d4:2", "2a10:1:0:1:a5c1:7e09:33d4:2", True),
        # RFC 6296's own example has its checksum mended in the first half
        ("fd01:203:405:1::1234", "2001:db8:1:d550::1234", None),
        ("fd01:203:405:1::a5c1:1234", "2001:db8:1:d550::a5c1:1234", True),
        ("fd00:1:0:1::2", "2a10:1::2", None),
        ("fd00:1:0:1:a5c1:7e09:33d4:2", "2a10:1::2", False),
        ("fd00:1:0:1:a5c1:7e09:33d4:2", "2a10:1:0:1:a5c1:7e09:33d4:3", False),
    ],
)
def test_one_address_under_two_prefixes(inside: str, outside: str, same: bool | None) -> None:
    assert same_host_part(inside, outside) is same


def test_a_checksum_that_is_mended_in_the_second_half() -> None:
    # fd00 became 2a10: the difference is made good in one word
    difference = (0xFD00 - 0x2A10) % 0xFFFF
    word = (0xA5C1 + difference) % 0xFFFF
    assert same_host_part("fd00:1:0:1:a5c1:7e09:33d4:2", f"2a10:1:0:1:{word:x}:7e09:33d4:2") is True


def test_nonsense_in_a_saved_report_is_left_out() -> None:
    setup = Ipv6Setup(
        addresses=(
            ConfiguredAddress(address="no address", interface="eth0"),
            ConfiguredAddress(address="fe80::1", interface="eth0"),
            ConfiguredAddress(address="2a10::1:5", interface="eth0", stable=True, duplicate=True),
        )
    )
    interfaces = (Interface(name="clat", addresses=("192.0.0.2", "nonsense")),)
    found = described(Host(os="", interfaces=interfaces, ipv6=setup), {}, {})
    assert [(each.kind, each.tentative) for each in found] == [
        ("stable", True),
        ("link-local", False),
        ("clat", False),
    ]
