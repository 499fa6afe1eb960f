import ipaddress
import random

import pytest

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun

TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
HOSTS = ["0.0.0.0", "255.255.255.255", "192.0.2.1", "::", "::1", "2001:db8::1", "::ffff:192.0.2.1"]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("port", [0, 1, 8466, 65535])
def test_round_trips(host: str, port: int) -> None:
    endpoint = Endpoint(str(ipaddress.ip_address(host)), port)
    assert stun.unpack_address(stun.pack_address(endpoint)) == endpoint
    packed = stun.pack_xor_address(endpoint, TRANSACTION)
    assert stun.unpack_xor_address(packed, TRANSACTION) == endpoint


def test_text_is_what_ipaddress_writes() -> None:
    random.seed(1)
    for _ in range(300):
        number = random.getrandbits(32)
        value = b"\0\1\0\7" + number.to_bytes(4, "big")
        assert stun.unpack_address(value) == Endpoint(str(ipaddress.IPv4Address(number)), 7)


def test_the_first_byte_is_ignored() -> None:
    assert stun.unpack_address(bytes.fromhex("ff010007c0000201")) == Endpoint("192.0.2.1", 7)


def test_a_zone_is_not_sent() -> None:
    assert stun.pack_address(Endpoint("fe80::1%eth0", 1)) == stun.pack_address(Endpoint("fe80::1", 1))


def test_endpoints_are_endpoints() -> None:
    endpoint = stun.unpack_xor_address(
        stun.pack_xor_address(Endpoint("192.0.2.1", 7), TRANSACTION), TRANSACTION
    )
    assert isinstance(endpoint, Endpoint)
    assert str(endpoint) == "192.0.2.1:7"
    assert endpoint.family == 4


@pytest.mark.parametrize(
    "value",
    ["", "00", "0001", "00010007", "00010007c00002", "00020007c0000201", "00030007c0000201", "0001" * 10],
)
def test_malformed_values(value: str) -> None:
    with pytest.raises(ProtocolError, match="address attribute"):
        stun.unpack_address(bytes.fromhex(value))
    with pytest.raises(ProtocolError, match="address attribute"):
        stun.unpack_xor_address(bytes.fromhex(value), TRANSACTION)
    with pytest.raises(ProtocolError, match="address attribute"):
        stun.unpack_xor_address(bytes.fromhex(value), bytes(4) + TRANSACTION)


@pytest.mark.parametrize(
    "host", ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "example.org", "1::2::3", ":", "-1.2.3.4"]
)
def test_what_is_no_address_is_not_sent(host: str) -> None:
    with pytest.raises(ValueError):
        stun.pack_address(Endpoint(host, 1))
    with pytest.raises(ValueError):
        stun.binding_success(TRANSACTION, Endpoint(host, 1))


@pytest.mark.parametrize("port", [-1, 65536])
def test_what_is_no_port_is_not_sent(port: int) -> None:
    with pytest.raises(ValueError, match="not a port"):
        stun.binding_success(TRANSACTION, Endpoint("192.0.2.1", port))
