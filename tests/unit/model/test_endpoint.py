"""Addresses and ports as text."""

from __future__ import annotations

import pytest

from nattools.model.endpoint import Endpoint, parse_address, parse_endpoint


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [("1.2.3.4:0", Endpoint("1.2.3.4", 0)), ("[2A10:0::1]:65535", Endpoint("2a10::1", 65535))],
)
def test_endpoints_are_read_and_written(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    "text",
    ["", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:-1", "1.2.3.4:\u0661", "[1.2.3.4]:1", "2a10::1:1",
     "name:1", "[::1:1", "1.2.3.4:1 ", ":1"],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_endpoint(text)


def test_a_zone_is_no_part_of_an_address() -> None:
    assert parse_address("fe80::1%eth0") == parse_address("fe80::1")
