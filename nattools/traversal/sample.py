"""Where a server sees a socket: asked from the very socket that a strategy uses next."""

from __future__ import annotations

import asyncio
import contextlib

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net import exchange
from nattools.net.base import Network, TcpFailure, TcpStream, UdpSocket
from nattools.protocols import stun

PATIENCE_S = 3.0
TCP_PATIENCE_S = 9.0
"""Lost SYNs are repeated after 1, 3 and 7 seconds (RFC 6298 2.1, 5.5)."""


async def where_seen(socket: UdpSocket, server: Endpoint, *, rto_s: float = 0.15) -> Endpoint | None:
    """Ask until it is answered, for a few seconds at most. It leaves the socket without a handler."""
    request = stun.binding_request(stun.new_transaction_id(), hello=False)
    transaction = stun.Transaction(request, server, rto_s=rto_s, rc=5)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            await exchange.run(transaction, socket)
    return _mapped(transaction.response)


def _mapped(response: stun.Message | None) -> Endpoint | None:
    try:
        return response.mapped if response is not None else None
    except ProtocolError:
        return None


async def where_seen_over_tcp(
    network: Network, server: Endpoint, *, host: str | None = None
) -> tuple[TcpStream, Endpoint] | None:
    """A connection to the server, still open, and where the server sees it; None if there is none, or it does
    not say."""
    try:
        stream = await network.connect_tcp(server, host=host, timeout_s=TCP_PATIENCE_S)
    except CannotRun:
        return None
    if isinstance(stream, TcpFailure):
        return None
    stream.write(stun.binding_request(stun.new_transaction_id(), hello=False))
    framer = stun.Framer()
    with contextlib.suppress(TimeoutError, ProtocolError):
        async with asyncio.timeout(TCP_PATIENCE_S):
            while data := await stream.read():
                for message in framer.feed(data):
                    mapped = _mapped(stun.decode(message))
                    if mapped is not None:
                        return stream, mapped
    stream.abort()
    return None
