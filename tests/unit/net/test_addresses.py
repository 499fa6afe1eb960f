"""`is_public` against the special-purpose registries and the ranges that the lab calls public."""

from __future__ import annotations

import pytest

from nattools.net.addresses import is_public

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
