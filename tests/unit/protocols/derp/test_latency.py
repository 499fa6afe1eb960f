"""What is asked of a server without relaying."""

from __future__ import annotations

import pytest

from nattools.protocols import derp, stun
from nattools.protocols.headers import Headers
from nattools.protocols.http import HttpResponse
from nattools.protocols.stun import constants as c

NODE = derp.DerpNode(host="derp1.example")


def test_the_stun_request_is_the_one_that_is_answered() -> None:
    request = stun.decode(derp.tailnode_request(bytes(12)))
    assert request.attributes[0] == (c.SOFTWARE, b"tailnode")
    assert request.attributes[-1][0] == c.FINGERPRINT
    assert stun.verify_fingerprint(request)


def test_the_http_requests_name_the_server() -> None:
    assert b"GET /derp/latency-check HTTP/1.1\r\nHost: derp1.example\r\n" in derp.latency_request(NODE)
    asked = derp.portal_request(derp.DerpNode(host="2001:db8::1", port=8443))
    assert b"GET /generate_204 HTTP/1.1\r\nHost: [2001:db8::1]\r\n" in asked
    assert b"X-Tailscale-Challenge: nt_2001:db8::1\r\n" in asked


@pytest.mark.parametrize(
    ("status", "headers", "open_"),
    [
        (204, [("x-tailscale-response", "response nt_derp1.example")], True),
        (204, [("x-tailscale-response", "response nt_other.example")], False),
        (204, [], False),  # what some portals answer to everything
        (302, [("location", "http://portal/")], False),
        (200, [("x-tailscale-response", "response nt_derp1.example")], False),
    ],
)
def test_a_portal_is_told_from_the_server(status: int, headers: list[tuple[str, str]], open_: bool) -> None:
    assert derp.meets_challenge(NODE, HttpResponse(status, "", Headers(headers), b"")) is open_
