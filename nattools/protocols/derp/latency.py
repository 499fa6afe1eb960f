"""The questions that measure a DERP server without relaying anything: STUN, HTTP, and whether a captive
portal answers in its place."""

from __future__ import annotations

from typing import Final

from nattools.protocols import http, stun
from nattools.protocols.derp.derpmap import DerpNode
from nattools.protocols.http import HttpResponse
from nattools.protocols.stun import constants as c

_ANSWER: Final = "x-tailscale-response"


def tailnode_request(transaction_id: bytes) -> bytes:
    """A Binding request as DERP servers take it: with SOFTWARE `tailnode`, and FINGERPRINT at its end. They
    answer no other."""
    request = stun.Message(c.BINDING, "request", transaction_id, ((c.SOFTWARE, b"tailnode"),))
    return stun.encode(request, fingerprint=True)


def latency_request(node: DerpNode) -> bytes:
    """An HTTP request that is answered at once, where UDP is blocked."""
    return http.encode_request("GET", "/derp/latency-check", node.authority)


def challenge_for(node: DerpNode) -> str:
    """What `portal_request` asks the server to repeat."""
    return f"nt_{node.host}"[:64]


def portal_request(node: DerpNode) -> bytes:
    """A request, to port 80, that a captive portal answers in the server's place (RFC 8952 4)."""
    headers = (("X-Tailscale-Challenge", challenge_for(node)),)
    return http.encode_request("GET", "/generate_204", node.host_header, headers)


def meets_challenge(node: DerpNode, response: HttpResponse) -> bool:
    """Is this the server's own answer, and none of a portal?"""
    return response.status == 204 and response.headers.get(_ANSWER) == f"response {challenge_for(node)}"
