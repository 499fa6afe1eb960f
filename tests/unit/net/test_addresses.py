"""`is_public` against the special-purpose registries and the ranges that the lab calls public."""

from __future__ import annotations

import pytest

from nattools.net.addresses import is_public, is_shared, is_squatted, kind_of

PUBLIC = [
    "8.8.8.8",
    "11.1.0.2",
    "100.63.255.255",
    "100.128.0.1",
    "2a10:1::2",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
]
NOT_PUBLIC = [
    "10.0.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "169.254.1.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "240.0.0.1",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fd00::1",
    "ff02::fb",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "stun.example.org",
    "",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_everybody_routes_there(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_everybody_routes_there(address: str) -> None:
    assert not is_public(address)


KINDS = [
    ("11.0.0.1", "public"),
    ("192.168.7.1", "private"),
    ("fd12::1", "private"),
    ("100.64.0.1", "shared"),
    ("100.127.255.255", "shared"),
    ("100.128.0.0", "public"),
    ("127.9.9.9", "loopback"),
    ("fe80::1%eth0", "link-local"),
    ("ff02::1", "multicast"),
    ("::", "unspecified"),
    ("203.0.113.9", "documentation"),
    ("3fff:1::", "documentation"),
    ("64:ff9b::8.8.8.8", "translated"),
    ("2002:808:808::1", "translated"),
    ("2001:0:1::", "translated"),
    ("192.0.0.9", "public"),
    ("192.0.0.8", "reserved"),
    ("4000::1", "reserved"),
    ("::ffff:100.64.0.1", "shared"),
    ("localhost", None),
]


@pytest.mark.parametrize(("address", "kind"), KINDS)
def test_kinds(address: str, kind: str | None) -> None:
    assert kind_of(address) == kind
    assert is_shared(address) == (kind == "shared")


@pytest.mark.parametrize(
    ("address", "squatted"),
    [("25.60.0.1", True), ("215.0.0.9", True), ("11.1.0.2", False), ("10.0.0.1", False), ("8.8.8.8", False)],
)
def test_what_somebody_else_holds_and_nobody_routes(address: str, squatted: bool) -> None:
    assert is_squatted(address) is squatted


@pytest.mark.parametrize("text", ["", "25", "25.", "25.0.0.0.1", "2500::1", "25::1", "x.0.0.1"])
def test_what_is_no_ipv4_address_is_not_squatted(text: str) -> None:
    assert is_squatted(text) is False
