"""HTTP requests to a router: one per connection, in bounded time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net import webrequest
from nattools.net.base import TcpFailure
from nattools.net.eventloop import TimeLimit
from nattools.probes.portmap.gateway import GatewayContext
from nattools.protocols import http
from nattools.protocols.routerurls import LanUrl, resolve_url

logger = logging.getLogger(__name__)

CONNECT_S = 2.0
"""Long enough for a second SYN, which comes after 1 s."""
REQUEST_S = 4.0
"""Slow routers take seconds for a description."""
_MAX_REDIRECTS = 2
_REDIRECTS = (301, 302, 303, 307, 308)


Outcome = Literal["timeout", "unreachable", "malformed"]


class HttpFailure(msgspec.Struct, frozen=True):
    """No response, and why."""

    failure: Outcome
    detail: str


async def ask(
    gateway: GatewayContext, url: LanUrl, encode: Callable[[LanUrl], bytes], *, timeout_s: float = REQUEST_S
) -> http.HttpResponse | HttpFailure:
    """Send the request that `encode` makes for a URL and read its response, following at most 2 redirects;
    connecting, writing and reading take at most `timeout_s`, all together."""
    async with TimeLimit(timeout_s):
        return await _follow(gateway, url, encode, timeout_s)
    return HttpFailure("timeout", f"{url} did not answer in full within {timeout_s:g} s")


async def get(gateway: GatewayContext, url: LanUrl) -> http.HttpResponse | HttpFailure:
    """GET."""

    def encode(at: LanUrl) -> bytes:
        return http.encode_request("GET", at.target, at.authority, (("Accept", "text/xml, */*"),))

    return await ask(gateway, url, encode)


async def _follow(
    gateway: GatewayContext, url: LanUrl, encode: Callable[[LanUrl], bytes], timeout_s: float
) -> http.HttpResponse | HttpFailure:
    for _ in range(_MAX_REDIRECTS + 1):
        response = await _ask(gateway, url, encode(url), timeout_s)
        if isinstance(response, HttpFailure) or response.status not in _REDIRECTS:
            return response
        try:
            url, problem = resolve_url(url, response.headers.get("location"), gateway.lan)
        except ProtocolError as error:
            return HttpFailure("malformed", f"a redirect to {error}")
        if problem:
            logger.debug("a redirect to %s", problem)
    return HttpFailure("malformed", f"more than {_MAX_REDIRECTS} redirects")


async def _ask(
    gateway: GatewayContext, url: LanUrl, request: bytes, timeout_s: float
) -> http.HttpResponse | HttpFailure:
    stream = await gateway.connect(Endpoint(url.host, url.port), min(CONNECT_S, timeout_s))
    if isinstance(stream, TcpFailure):
        failure: Literal["timeout", "unreachable"] = (
            "timeout" if stream.outcome == "timeout" else "unreachable"
        )
        return HttpFailure(failure, f"{url.host} port {url.port}: {stream.outcome}")
    try:
        response = await webrequest.ask(stream, request)
    except ProtocolError as error:
        stream.abort()
        return HttpFailure("malformed", str(error))
    except asyncio.CancelledError:
        stream.abort()
        raise
    stream.close()
    return response
