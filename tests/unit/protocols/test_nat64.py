"""IPv4 addresses within IPv6 ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.model.endpoint import parse_endpoint
from nattools.protocols.nat64 import (
    LENGTHS,
    WELL_KNOWN,
    Nat64Prefix,
    embed,
    embedded,
    parse_prefix,
    prefix_of,
    prefixes_in,
)

TABLE = [
    ("2001:db8::/32", "2001:db8:c000:221::"),
    ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
    ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
    ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
    ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100:0"),
    ("2001:db8:122:344::/96", "2001:db8:122:344::c000:221"),
    ("64:ff9b::/96", "64:ff9b::c000:221"),
]
"""RFC 6052 2.4, for 192.0.2.33."""


@pytest.mark.parametrize(("prefix", "made"), TABLE)
def test_the_table_of_the_rfc(prefix: str, made: str) -> None:
    known = parse_prefix(prefix)
    assert str(known) == prefix
    assert parse_endpoint(f"[{known.embed('192.0.2.33')}]:1") == parse_endpoint(f"[{made}]:1")
    assert known.extract(made) == "192.0.2.33"


@given(st.ip_addresses(v=4), st.ip_addresses(v=6), st.sampled_from(LENGTHS))
def test_what_is_put_in_comes_out(four: object, six: object, length: int) -> None:
    prefix = prefix_of(str(six), length)
    assert prefix is not None
    if length == 96:
        assert prefix.extract(prefix.embed(str(four))) == str(four)
        return
    known = Nat64Prefix(prefix.network, length)
    assert known.extract(known.embed(str(four))) == str(four)


@pytest.mark.parametrize(
    "text", ["64:ff9b::/95", "64:ff9b::1/96", "x", "", "192.0.2.0/24", "1:2:3:4:ff00::/96"]
)
def test_what_can_be_no_prefix_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_prefix(text)


def test_what_stands_elsewhere_is_not_translated() -> None:
    assert parse_prefix("2001:db8::/32").extract("2001:db8:c000:221:0:1::") is None  # something behind it
    assert WELL_KNOWN.extract("64:ff9b:0:1::c000:221") is None
    assert WELL_KNOWN.extract("192.0.2.33") is None
    assert WELL_KNOWN.extract("nonsense") is None
    assert embedded(parse_endpoint("[2001:db8::1]:3478"), WELL_KNOWN) is None


@pytest.mark.parametrize(("prefix", "_"), TABLE)
def test_a_prefix_is_learnt_from_the_name_that_has_ipv4_alone(prefix: str, _: str) -> None:
    known = parse_prefix(prefix)
    both = [known.embed("192.0.0.170"), known.embed("192.0.0.171")]
    assert prefixes_in(both) == (known,)
    assert prefixes_in(both[1:]) == (known,)


def test_several_prefixes_and_none() -> None:
    own = parse_prefix("2001:db8:122::/48")
    found = prefixes_in([WELL_KNOWN.embed("192.0.0.170"), own.embed("192.0.0.170")])
    assert found == (WELL_KNOWN, own)
    assert prefixes_in(["2001:db8::1", "64:ff9b::1.2.3.4", "192.0.0.170", "nonsense"]) == ()


def test_the_other_address_tells_which_place_is_meant() -> None:
    """The prefix itself holds what looks like the name's address (RFC 7050 3)."""
    odd = parse_prefix("2001:db8:c000:aa::/96")
    assert odd in prefixes_in([odd.embed("192.0.0.170")])
    assert prefixes_in([odd.embed("192.0.0.170"), odd.embed("192.0.0.171")]) == (odd,)


def test_endpoints() -> None:
    inside = embed(parse_endpoint("11.201.0.2:3478"), WELL_KNOWN)
    assert str(inside) == "[64:ff9b::bc9:2]:3478"
    assert str(embedded(inside, WELL_KNOWN)) == "11.201.0.2:3478"
    assert prefix_of(inside.host) == WELL_KNOWN
    assert prefix_of("11.1.0.2") is None
