"""What a server may say of us, and what cannot be."""

from __future__ import annotations

import pytest

from nattools.model.endpoint import Endpoint
from nattools.net.mappedaddress import as_ipv4, why_impossible

SERVER = Endpoint("11.201.0.2", 3478)
INSIDE = Endpoint("10.0.1.2", 5000)


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ("0.0.0.0", "unspecified"),
        ("127.0.0.1", "loopback"),
        ("169.254.7.7", "link-local"),
        ("172.17.0.1", "private"),
        ("192.0.2.1", "documentation"),
        ("224.0.0.5", "multicast"),
        ("255.255.255.255", "reserved"),
        ("11.201.0.2", "server"),
        ("2a10::1", "family"),
        ("11.1.0.2", None),
        ("100.64.7.7", None),  # a server of the own provider
        ("10.0.1.2", None),  # a server on this side of the NAT
    ],
)
def test_a_server_on_the_internet(seen: str, why: str | None) -> None:
    assert why_impossible(Endpoint(seen, 5000), SERVER, INSIDE) == why


def test_a_port_that_is_none() -> None:
    assert why_impossible(Endpoint("11.1.0.2", 0), SERVER, INSIDE) == "port 0"


def test_the_own_inside_address_where_a_gateway_may_have_written_it() -> None:
    assert why_impossible(INSIDE, SERVER, INSIDE, unmasked=True) == "inside"
    public = Endpoint("11.101.0.2", 5000)
    assert why_impossible(public, SERVER, public, unmasked=True) is None


@pytest.mark.parametrize(
    ("seen", "asked"),
    [
        ("127.0.0.1", "127.0.0.2"),
        ("192.168.7.7", "10.9.9.9"),  # a server in a company's network, behind a NAT of its own
        ("fe80::1", "fe80::2"),
        ("192.0.2.7", "192.0.2.1"),
    ],
)
def test_a_server_near_by(seen: str, asked: str) -> None:
    assert why_impossible(Endpoint(seen, 5), Endpoint(asked, 3478), None) is None


def test_on_one_machine_the_servers_address_is_ours() -> None:
    assert why_impossible(Endpoint(SERVER.host, 5), SERVER, Endpoint(SERVER.host, 5)) is None


def test_a_wrapped_address_is_unwrapped() -> None:
    assert as_ipv4(Endpoint("::ffff:11.1.0.2", 5)) == Endpoint("11.1.0.2", 5)
    assert as_ipv4(Endpoint("2a10::1", 5)) == Endpoint("2a10::1", 5)
