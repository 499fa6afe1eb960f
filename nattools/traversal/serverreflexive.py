"""Server-reflexive addresses (RFC 8445 5.1.1.2): where a server sees a socket, asked from the very socket
that a strategy uses next."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net import exchange
from nattools.net.base import Network, TcpFailure, TcpStream, UdpSocket
from nattools.protocols import stun

PATIENCE_S = 3.0
GRACE_S = 0.25
SLOWER = 2.0
"""After the first answer others may take so long, or so many times as long: one may be lost, and repeated."""
TCP_PATIENCE_S = 9.0
"""Lost SYNs are repeated after 1, 3 and 7 seconds (RFC 6298 2.1, 5.5)."""


async def server_reflexive(socket: UdpSocket, server: Endpoint) -> Endpoint | None:
    """Ask until it is answered, for a few seconds at most. It leaves the socket without a handler."""
    transaction = _question(server)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            await exchange.run(transaction, socket)
    return _mapped(transaction.response)


async def server_reflexive_of_each(
    asked: Sequence[tuple[UdpSocket, Sequence[Endpoint]]],
) -> list[tuple[Endpoint, ...]]:
    """Where servers see each of several sockets, one place for each outside address. All are asked at once;
    soon after the first answer nobody is waited for any more: an interface that leads nowhere delays nothing.
    It leaves the sockets without handlers."""
    exchanges, loop = exchange.Exchanges(), asyncio.get_running_loop()
    transactions = [[_question(server) for server in servers] for _, servers in asked]
    began = loop.time()
    until = began + PATIENCE_S
    try:
        for (socket, _), questions in zip(asked, transactions, strict=True):
            exchange.attach(exchanges, socket)
            for question in questions:
                exchanges.start(question, socket)
        while not exchanges.idle and loop.time() < until:
            await exchanges.step(until)
            if any(question.response is not None for each in transactions for question in each):
                now = loop.time()
                until = min(until, now + max(GRACE_S, SLOWER * (now - began)))
    finally:
        for socket, _ in asked:
            socket.on_datagram = socket.on_icmp = None
    return [_by_host([_mapped(question.response) for question in each]) for each in transactions]


def _by_host(places: list[Endpoint | None]) -> tuple[Endpoint, ...]:
    return tuple({place.host: place for place in reversed(places) if place is not None}.values())[::-1]


def _question(server: Endpoint) -> stun.Transaction:
    return stun.Transaction(
        stun.binding_request(stun.new_transaction_id(), hello=False), server, rto_s=0.15, rc=5
    )


def _mapped(response: stun.Message | None) -> Endpoint | None:
    try:
        return response.mapped if response is not None else None
    except ProtocolError:
        return None


async def server_reflexive_over_tcp(
    network: Network, server: Endpoint, *, tls: str | None = None
) -> tuple[TcpStream, Endpoint] | None:
    """A connection to the server, still open, and where the server sees it; None if there is none, or it does
    not say. `tls`: it is asked within TLS, and its certificate has to bear that name."""
    try:
        connected = await network.connect_tcp(server, timeout_s=TCP_PATIENCE_S)
    except CannotRun:
        return None
    if isinstance(connected, TcpFailure):
        return None
    stream: TcpStream | str = connected
    if tls is not None:
        from nattools.net.web.tls import client_context, start_tls

        stream = await start_tls(connected, client_context(), timeout_s=TCP_PATIENCE_S, server_name=tls)
    if isinstance(stream, str):
        return None
    mapped: Endpoint | None = None
    try:
        with contextlib.suppress(TimeoutError, ProtocolError):
            async with asyncio.timeout(TCP_PATIENCE_S):
                mapped = await _answer_over(stream)
    finally:
        if mapped is None:
            stream.abort()
    return None if mapped is None else (stream, mapped)


async def _answer_over(stream: TcpStream) -> Endpoint | None:
    """ProtocolError: what the server says is no STUN."""
    stream.write(stun.binding_request(stun.new_transaction_id(), hello=False))
    framer = stun.Framer()
    while data := await stream.read():
        for message in framer.feed(data):
            mapped = _mapped(stun.decode(message))
            if mapped is not None:
                return mapped
    return None
