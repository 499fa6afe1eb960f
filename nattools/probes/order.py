"""Ordering a dial-back from a nattools server, over UDP or TCP, up to the server's word on it."""

from __future__ import annotations

import asyncio

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure, TcpStream, UdpSocket
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.target import Target
from nattools.protocols import dialback, stun

CONNECT_S = 3.0


async def order(place: GatewayContext, target: Target, ask: dialback.Ask) -> dialback.Result | str:
    """What the server says of a dial-back to this machine's address as it sees it; or why it says nothing."""
    try:
        return await (_over_udp if target.transport == "udp" else _over_tcp)(place, target, ask)
    except CannotRun as error:
        return str(error)


async def _over_udp(place: GatewayContext, target: Target, ask: dialback.Ask) -> dialback.Result | str:
    loop = asyncio.get_running_loop()
    rto_s = max(0.1, 1.5 * target.rtt_s)
    request = dialback.DialBackRequest(ask, target.endpoint, loop.time(), rto_s=rto_s)
    socket = await place.open_udp()
    answered = asyncio.Event()

    def on_datagram(data: bytes, source: Endpoint) -> None:
        if request.receive_datagram(data, source, loop.time()):
            answered.set()

    socket.on_datagram = on_datagram
    try:
        await _drive(request, socket, target.endpoint, answered)
    finally:
        socket.close()
    return request.result or f"the server {target.endpoint} gave {request.failure or 'no answer'}"


async def _drive(
    request: dialback.DialBackRequest, socket: UdpSocket, server: Endpoint, answered: asyncio.Event
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        for datagram in request.datagrams_to_send(loop.time()):
            socket.send(datagram, server)
        deadline = request.next_timeout()
        if deadline is None:
            return
        answered.clear()
        try:
            async with asyncio.timeout_at(deadline):
                await answered.wait()
        except TimeoutError:
            request.handle_timeout(loop.time())


async def _over_tcp(place: GatewayContext, target: Target, ask: dialback.Ask) -> dialback.Result | str:
    loop = asyncio.get_running_loop()
    stream = await place.connect(target.endpoint, CONNECT_S)
    if isinstance(stream, TcpFailure):
        return f"the server {target.endpoint} could not be reached: {stream.outcome}"
    request = dialback.DialBackRequest(ask, target.endpoint, loop.time(), reliable=True)
    try:
        for message in request.datagrams_to_send(loop.time()):
            stream.write(message)
        async with asyncio.timeout_at(request.next_timeout()):
            await _read(request, stream)
    except (TimeoutError, ProtocolError):
        pass
    finally:
        stream.abort()
    return request.result or f"the server {target.endpoint} gave {request.failure or 'no answer'}"


async def _read(request: dialback.DialBackRequest, stream: TcpStream) -> None:
    framer = stun.Framer()
    loop = asyncio.get_running_loop()
    while not request.done and (data := await stream.read()):
        for frame in framer.feed(data):
            request.receive_datagram(frame, stream.remote, loop.time())
