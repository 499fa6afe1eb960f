"""Router advertisements that tell of a NAT64."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.protocols.nat64 import parse_prefix
from nattools.protocols.routeradvert import advertisement, prefixes_advertised

PREFIXES = [
    "64:ff9b::/96",
    "2001:db8:122:344::/64",
    "2001:db8:122:300::/56",
    "2001:db8:122::/48",
    "2001:db8:100::/40",
    "2001:db8::/32",
]
HEAD = bytes.fromhex("86000000 40 00 0708 00000000 00000000")
MTU = bytes.fromhex("0501 0000 000005dc")


@pytest.mark.parametrize("text", PREFIXES)
def test_what_is_advertised_is_read(text: str) -> None:
    assert prefixes_advertised(advertisement(parse_prefix(text), 1800)) == (parse_prefix(text),)


def test_bytes_as_a_router_sends_them() -> None:
    """Written by hand from RFC 8781 4: type 38, length 2, a lifetime of 1800 s as 225 units, the code 1."""
    option = bytes.fromhex("26 02 0709 2a10 0064 0000 0001 0000 0000")
    assert prefixes_advertised(HEAD + MTU + option) == (parse_prefix("2a10:64:0:1::/64"),)


def test_scapy_writes_the_same() -> None:
    from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptMTU, ICMPv6NDOptPREF64

    option = ICMPv6NDOptPREF64(scaledlifetime=225, plc=0, prefix="64:ff9b::")
    written = bytes(ICMPv6ND_RA() / ICMPv6NDOptMTU() / option)
    assert prefixes_advertised(written) == (parse_prefix("64:ff9b::/96"),)


def test_several_and_those_that_mean_nothing() -> None:
    first, second = (advertisement(parse_prefix(text), 600)[16:] for text in PREFIXES[:2])
    withdrawn = advertisement(parse_prefix(PREFIXES[2]), 0)[16:]
    unknown_code = bytes((first[0], first[1], first[2], first[3] | 7)) + first[4:]
    message = HEAD + first + withdrawn + unknown_code + second + first
    assert prefixes_advertised(message) == tuple(map(parse_prefix, PREFIXES[:2]))


@pytest.mark.parametrize(
    "data", [b"", HEAD[:-1], b"\x85" + HEAD[1:], HEAD + b"\x26", HEAD + b"\x26\0", HEAD + b"\x26\2x"]
)
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        prefixes_advertised(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_the_named_error(data: bytes) -> None:
    for message in (data, HEAD + data):
        try:
            prefixes_advertised(message)
        except ProtocolError:
            continue
