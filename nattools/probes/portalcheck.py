"""Does a captive portal stand between this machine and the internet? Asked where no server answered.

Portals answer in the name of whoever is asked. So one is asked whom nobody has: an address for examples (RFC
5737, RFC 3849), at the port of web pages, which is where portals wait. Nothing is sent to anybody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint, Family, url_host
from nattools.model.observation import Portal
from nattools.net import exchange
from nattools.net.addresses import NOBODY
from nattools.net.base import Network, TcpFailure
from nattools.net.eventloop import TimeLimit
from nattools.protocols import stun
from nattools.protocols.http import HttpResponse, ResponseReader, encode_request

STUN_RTO_S = 0.15
PATIENCE_S = 2.5
"""A SYN that was lost is repeated after a second (RFC 6298 2.1)."""
_MOST = 4096
_LONGEST = 300


async def find_portal(
    network: Network, families: Iterable[Family], servers: Iterable[str], interface: str | None = None
) -> Portal | None:
    """Who answers for somebody else; None: nobody. `servers`: the addresses that names gave; a private one
    may be the portal's own, given instead of the right one."""
    asked = [NOBODY[family] for family in families]
    asked += [host for host in dict.fromkeys(servers) if not network.is_public(host)][:2]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_ask(network, host, interface)) for host in asked]
    return next((found for task in tasks if (found := task.result()) is not None), None)


async def answers_for_nobody(network: Network, server: Endpoint) -> bool:
    """Does somebody answer STUN over UDP for an address that nobody can have, at a server's port?"""
    at = Endpoint(NOBODY[server.family], server.port)
    request = stun.binding_request(stun.new_transaction_id(), hello=False)
    question = stun.Transaction(request, at, rto_s=STUN_RTO_S, rc=3)
    try:
        socket = await network.open_udp(family=at.family)
    except CannotRun:
        return False
    try:
        await exchange.run(question, socket)
    finally:
        socket.close()
    return question.response is not None


async def _ask(network: Network, host: str, interface: str | None) -> Portal | None:
    at = Endpoint(host, 80)
    try:
        stream = await network.connect_tcp(at, timeout_s=PATIENCE_S, interface=interface)
    except CannotRun:
        return None
    if isinstance(stream, TcpFailure):
        return None
    stream.write(encode_request("GET", "/", url_host(host)))
    reader = ResponseReader(max_body=_MOST)
    try:
        async with TimeLimit(PATIENCE_S):
            while reader.response is None and (data := await stream.read(_MOST)):
                reader.feed(data)
    except ProtocolError:
        pass
    finally:
        stream.abort()
    said = reader.response
    if said is None:
        return Portal(probe="portal", asked=str(at)) if host in NOBODY.values() else None
    return Portal(probe="portal", asked=str(at), status=said.status, location=_location(said))


def _location(said: HttpResponse) -> str | None:
    """Where it sends browsers."""
    found = said.headers.get("location")[:_LONGEST]
    return found if found.startswith(("http://", "https://")) else None
