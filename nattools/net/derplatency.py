"""How far away a DERP server is, without relaying anything: by STUN, by HTTPS where UDP is blocked; and
whether a captive portal stands before it."""

from __future__ import annotations

import asyncio
from typing import Final

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Family
from nattools.net import exchange
from nattools.net.base import Network, TcpStream
from nattools.net.derpsocket import derp_endpoints, security_of
from nattools.net.eventloop import TimeLimit
from nattools.net.serverstream import open_server_stream
from nattools.net.steps import StepFailure, Steps
from nattools.net.webrequest import ask
from nattools.protocols import derp, stun
from nattools.protocols.http import HttpResponse

_MAX_PAGE: Final = 16_384
_PATIENCE_S: Final = (0.5, 1.0, 1.5)


def stun_question(endpoint: Endpoint, patience_s: float) -> stun.Transaction:
    """A Binding transaction of the kind that such servers answer, to be run in an `Exchanges`: one request,
    so that it is known which one was answered."""
    request = derp.tailnode_request(stun.new_transaction_id())
    return stun.Transaction(request, endpoint, rto_s=patience_s, rc=1, rm=1, check_source=True)


async def stun_latency(
    network: Network, node: derp.DerpNode, *, family: Family | None = None, interface: str | None = None
) -> float | StepFailure:
    """Seconds to the server's STUN port and back. CannotRun: no socket can be opened."""
    steps = Steps()
    endpoints = await derp_endpoints(network, node, steps, family, node.stun_port)
    if isinstance(endpoints, StepFailure):
        return endpoints
    socket = await network.open_udp(family=endpoints[0].family, interface=interface)
    problem = ""
    try:
        for patience_s in _PATIENCE_S:
            question = stun_question(endpoints[0], patience_s)
            await exchange.run(question, socket)
            if question.response is not None and question.rtt_s is not None:
                return question.rtt_s
            problem = question.problem
    finally:
        socket.close()
    return steps.failed("connect", "timeout", problem or f"no answer to {len(_PATIENCE_S)} requests")


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
