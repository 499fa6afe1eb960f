"""TURN's attributes beside the figures of RFC 8656 18 and RFC 6062 6.2."""

from typing import Any

import pytest

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c

ID = bytes(range(12))
PEER4 = Endpoint("192.0.2.9", 49152)
PEER6 = Endpoint("2001:db8::9", 49153)


def read(attribute_type: int, value: bytes, name: str) -> Any:
    """The property of a message that came with this attribute alone."""
    data = stun.encode(stun.Message(c.ALLOCATE, "request", ID, ((attribute_type, value),)))
    return getattr(stun.decode(data), name)


@pytest.mark.parametrize(
    ("attribute_type", "name", "value", "wire"),
    [
        (c.CHANNEL_NUMBER, "channel", turn.pack_channel(0x4001), "40 01 00 00"),
        (c.LIFETIME, "lifetime_s", (600).to_bytes(4, "big"), "00 00 02 58"),
        (c.REQUESTED_ADDRESS_FAMILY, "requested_family", turn.pack_family(4), "01 00 00 00"),
        (c.ADDITIONAL_ADDRESS_FAMILY, "additional_family", turn.pack_family(6), "02 00 00 00"),
        (c.EVEN_PORT, "even_port", turn.pack_even_port(reserve_next=True), "80"),
        (c.EVEN_PORT, "even_port", turn.pack_even_port(reserve_next=False), "00"),
        (c.REQUESTED_TRANSPORT, "requested_transport", turn.pack_transport(17), "11 00 00 00"),
        (c.DONT_FRAGMENT, "dont_fragment", b"", ""),
        (c.RESERVATION_TOKEN, "reservation_token", bytes(range(8)), "00 01 02 03 04 05 06 07"),
        (
            c.ADDRESS_ERROR_CODE,
            "address_error",
            turn.pack_address_error(6, 440, "none"),
            "02 00 04 28 6e 6f 6e 65",
        ),
        (c.ICMP, "icmp", turn.pack_icmp(3, 4, 1280), "00 00 06 04 00 00 05 00"),
        (c.CONNECTION_ID, "connection_id", (7).to_bytes(4, "big"), "00 00 00 07"),
    ],
)
def test_as_the_figures_have_it(attribute_type: int, name: str, value: bytes, wire: str) -> None:
    assert value == bytes.fromhex(wire)
    assert (
        read(attribute_type, value, name)
        == {
            "channel": 0x4001,
            "lifetime_s": 600,
            "requested_family": 4,
            "additional_family": 6,
            "even_port": value == b"\x80",
            "requested_transport": 17,
            "dont_fragment": True,
            "reservation_token": bytes(range(8)),
            "address_error": (6, 440, "none"),
            "icmp": (3, 4, 1280),
            "connection_id": 7,
        }[name]
    )


@pytest.mark.parametrize("number", [c.XOR_PEER_ADDRESS, c.XOR_RELAYED_ADDRESS])
def test_addresses_may_come_several_times(number: int) -> None:
    attributes = tuple((number, stun.pack_xor_address(each, ID)) for each in (PEER4, PEER6))
    message = stun.decode(stun.encode(stun.Message(c.ALLOCATE, "success", ID, attributes)))
    assert (message.peers if number == c.XOR_PEER_ADDRESS else message.relayed) == (PEER4, PEER6)
    assert message.unknown_required() == ()


@pytest.mark.parametrize(
    ("attribute_type", "name"),
    [
        (c.CHANNEL_NUMBER, "channel"),
        (c.LIFETIME, "lifetime_s"),
        (c.REQUESTED_ADDRESS_FAMILY, "requested_family"),
        (c.EVEN_PORT, "even_port"),
        (c.REQUESTED_TRANSPORT, "requested_transport"),
        (c.RESERVATION_TOKEN, "reservation_token"),
        (c.ADDRESS_ERROR_CODE, "address_error"),
        (c.ICMP, "icmp"),
        (c.CONNECTION_ID, "connection_id"),
        (c.XOR_PEER_ADDRESS, "peers"),
        (c.XOR_RELAYED_ADDRESS, "relayed"),
    ],
)
def test_other_sizes_are_the_peers_fault(attribute_type: int, name: str) -> None:
    with pytest.raises(ProtocolError):
        read(attribute_type, b"\x01\x02", name)
    with pytest.raises(ProtocolError):
        read(c.DONT_FRAGMENT, b"\x01", "dont_fragment")


def test_an_address_family_that_is_none() -> None:
    assert read(c.REQUESTED_ADDRESS_FAMILY, b"\x03\0\0\0", "requested_family") is None
    with pytest.raises(ProtocolError, match="address family 3"):
        read(c.ADDRESS_ERROR_CODE, b"\x03\0\x04\x28", "address_error")


def test_methods_as_the_registry_has_them() -> None:
    """RFC 8656 17: the first two bytes of each message."""
    requests = {c.ALLOCATE: 0x0003, c.REFRESH: 0x0004, c.CREATE_PERMISSION: 0x0008, c.CHANNEL_BIND: 0x0009}
    requests |= {c.CONNECT: 0x000A, c.CONNECTION_BIND: 0x000B}
    assert all(stun.message_type(method, "request") == number for method, number in requests.items())
    assert stun.message_type(c.SEND, "indication") == 0x0016
    assert stun.message_type(c.DATA_METHOD, "indication") == 0x0017
    assert stun.message_type(c.CONNECTION_ATTEMPT, "indication") == 0x001C
