"""How far away a DERP server is, without relaying anything: by STUN, by HTTPS where UDP is blocked; and
whether a captive portal stands before it."""

from __future__ import annotations

import asyncio
from typing import Final

from nattools.errors import ProtocolError
from nattools.model.endpoint import Family
from nattools.net.base import Network, TcpStream
from nattools.net.derp.derpsocket import derp_endpoints, security_of
from nattools.net.eventloop import TimeLimit
from nattools.net.web.serversteps import StepFailure, Steps
from nattools.net.web.serverstream import open_server_stream
from nattools.net.web.webrequest import ask
from nattools.protocols import derp
from nattools.protocols.http import HttpResponse

_MAX_PAGE: Final = 16_384


async def https_latency(
    network: Network,
    node: derp.DerpNode,
    *,
    family: Family | None = None,
    interface: str | None = None,
    timeout_s: float = 10.0,
) -> float | StepFailure:
    """Seconds for an HTTP request to the server and back, once the connection stands."""
    loop = asyncio.get_running_loop()
    steps = Steps()
    endpoints = await derp_endpoints(network, node, steps, family)
    if isinstance(endpoints, StepFailure):
        return endpoints
    stream = await open_server_stream(
        network, endpoints, steps, security_of(node), timeout_s=timeout_s, interface=interface
    )
    if isinstance(stream, StepFailure):
        return stream
    began_at = loop.time()
    response = await _asked(stream, derp.latency_request(node), timeout_s)
    if response is None:
        return steps.failed("relay", "not-a-relay", "it did not answer /derp/latency-check")
    if response.status != 200:
        return steps.failed("relay", "not-a-relay", f"it answered /derp/latency-check with {response.status}")
    return loop.time() - began_at


async def captive_portal(
    network: Network, node: derp.DerpNode, *, interface: str | None = None, timeout_s: float = 5.0
) -> bool | None:
    """Does somebody answer in the server's place at port 80, as captive portals do? None: nobody answers, or
    the server is one that does not answer there."""
    if not node.answers_port_80:
        return None
    steps = Steps()
    endpoints = await derp_endpoints(network, node, steps, None, 80)
    if isinstance(endpoints, StepFailure):
        return None
    stream = await open_server_stream(
        network, endpoints, steps, None, timeout_s=timeout_s, interface=interface
    )
    if isinstance(stream, StepFailure):
        return None
    response = await _asked(stream, derp.portal_request(node), timeout_s)
    return None if response is None else not derp.meets_challenge(node, response)


async def _asked(stream: TcpStream, request: bytes, timeout_s: float) -> HttpResponse | None:
    """None: no answer, or none that makes sense."""
    try:
        async with TimeLimit(timeout_s):
            return await ask(stream, request, max_body=_MAX_PAGE)
    except ProtocolError:
        pass
    finally:
        stream.abort()
    return None
