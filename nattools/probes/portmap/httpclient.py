"""HTTP requests to a router: one per connection, in bounded time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure
from nattools.net.eventloop import TimeLimit
from nattools.net.web import webrequest
from nattools.probes.portmap.gateway import GatewayContext
from nattools.protocols import http
from nattools.protocols.routerurls import LanUrl, resolve_url

logger = logging.getLogger(__name__)

CONNECT_S = 2.0
"""Long enough for a second SYN, which comes after 1 s."""
REQUEST_S = 4.0
"""Slow routers take seconds for a description."""
_PAUSES_S = (0.3, 1.0, 1.0, 2.0, 2.0, 2.0)
"""After what time a router that is too busy is asked again."""
_BUSY = (429, 503)
_MAX_REDIRECTS = 2


Outcome = Literal["timeout", "unreachable", "malformed"]


class HttpFailure(msgspec.Struct, frozen=True):
    """No response, and why. `hung_up`: the router took the connection and closed it without a word, as one
    does that serves another connection still. `closed`: nobody listens there."""

    failure: Outcome
    detail: str
    hung_up: bool = False
    closed: bool = False


async def ask(
    gateway: GatewayContext,
    url: LanUrl,
    encode: Callable[[LanUrl], bytes],
    *,
    timeout_s: float = REQUEST_S,
    insist_s: float | None = None,
    closed_s: float = 0.0,
) -> http.HttpResponse | HttpFailure:
    """Send the request that `encode` makes for a URL and read its response, following at most 2 redirects;
    that takes at most `timeout_s`. A router that calls itself too busy is asked again for as long; to insist
    is to do so for `insist_s`, and where it hangs up too; where nobody listens any more it is asked again for
    `closed_s`: a web server that ended may be started again."""
    now = asyncio.get_running_loop().time
    began = now()
    for pause_s in _PAUSES_S:
        left_s = max(timeout_s, insist_s or 0.0, closed_s) - (now() - began)
        response = await _ask_within(gateway, url, encode, min(timeout_s, left_s))
        if isinstance(response, HttpFailure):
            until_s = closed_s if response.closed else (insist_s or 0.0) if response.hung_up else 0.0
        else:
            until_s = max(timeout_s, insist_s or 0.0) if response.status in _BUSY else 0.0
        if now() - began + pause_s >= until_s:
            break
        await asyncio.sleep(pause_s)
    return response


async def get(gateway: GatewayContext, url: LanUrl) -> http.HttpResponse | HttpFailure:
    """GET."""

    def encode(at: LanUrl) -> bytes:
        return http.encode_request("GET", at.target, at.authority, (("Accept", "text/xml, */*"),))

    return await ask(gateway, url, encode, insist_s=2 * REQUEST_S)


async def _ask_within(
    gateway: GatewayContext, url: LanUrl, encode: Callable[[LanUrl], bytes], timeout_s: float
) -> http.HttpResponse | HttpFailure:
    async with TimeLimit(timeout_s):
        return await _follow(gateway, url, encode, timeout_s)
    return HttpFailure("timeout", f"{url} did not answer in full within {timeout_s:g} s")


async def _follow(
    gateway: GatewayContext, url: LanUrl, encode: Callable[[LanUrl], bytes], timeout_s: float
) -> http.HttpResponse | HttpFailure:
    for _ in range(_MAX_REDIRECTS + 1):
        response = await _ask(gateway, url, encode(url), timeout_s)
        if isinstance(response, HttpFailure) or response.status not in http.REDIRECTS:
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
        detail = f"{url.host} port {url.port}: {stream.outcome}"
        return HttpFailure(failure, detail, stream.outcome == "reset", stream.outcome == "refused")
    try:
        response = await webrequest.ask(stream, request)
    except ProtocolError as error:
        stream.abort()
        return HttpFailure("malformed", str(error), isinstance(error, http.HungUpError))
    except asyncio.CancelledError:
        stream.abort()
        raise
    stream.close()
    return response
