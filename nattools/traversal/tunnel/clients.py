"""Whoever connects to a listening end gets a stream of the tunnel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Transport
from nattools.net.base import Network, TcpStream, UdpSocket
from nattools.protocols.tunnel import Purpose
from nattools.traversal.tunnel.flow import Flow
from nattools.traversal.tunnel.listening import Listening, listen
from nattools.traversal.tunnel.splice import splice
from nattools.traversal.tunnel.stream import TunnelStream
from nattools.traversal.tunnel.tunnel import Tunnel

MAX_FLOWS: Final = 128
Say = Callable[[str], None]


class Clients:
    """Of one listening end. `purpose` says what a client's stream is for, given where the client is; `name`
    is what `say` calls this end when it tells of a failure."""

    def __init__(self, tunnel: Tunnel, purpose: Callable[[Endpoint], Purpose], name: str, say: Say) -> None:
        self._tunnel = tunnel
        self._purpose = purpose
        self._name = name
        self._say = say
        self._flows: dict[tuple[Endpoint, Endpoint], Flow] = {}
        self._told_full = False

    async def listen(self, network: Network, transport: Transport, bind: str, port: int) -> Listening:
        """See `listening.listen`."""
        return await listen(
            network, transport, bind, port, on_stream=self._connected, on_datagram=self._datagram
        )

    def _open(self, source: Endpoint) -> TunnelStream | None:
        try:
            return self._tunnel.open(self._purpose(source))
        except CannotRun as error:
            self._failed(source, str(error))
            return None

    def _connected(self, tcp: TcpStream) -> None:
        stream = self._open(tcp.remote)
        if stream is None:
            tcp.abort()
        else:
            self._tunnel.spawn(self._splice(stream, tcp))

    async def _splice(self, stream: TunnelStream, tcp: TcpStream) -> None:
        failed = await splice(stream, tcp)
        if failed is not None:
            self._failed(tcp.remote, failed)

    def _datagram(self, socket: UdpSocket, data: bytes, source: Endpoint) -> None:
        flow = self._flows.get((socket.local, source)) or self._new_flow(socket, source)
        if flow is not None:
            flow.send(data)

    def _new_flow(self, socket: UdpSocket, source: Endpoint) -> Flow | None:
        if len(self._flows) >= MAX_FLOWS:
            if not self._told_full:
                self._told_full = True
                self._failed(source, f"{MAX_FLOWS} others send datagrams there already")
            return None
        stream = self._open(source)
        if stream is None:
            return None
        flow = Flow(self._tunnel, stream, lambda data: socket.send(data, source))
        self._flows[socket.local, source] = flow
        self._tunnel.spawn(self._run(flow, socket.local, source))
        return flow

    async def _run(self, flow: Flow, local: Endpoint, source: Endpoint) -> None:
        try:
            failed = await flow.run()
        finally:
            del self._flows[local, source]
        if failed is not None:
            self._failed(source, failed)

    def _failed(self, source: Endpoint, reason: str) -> None:
        self._say(f"{self._name}, from {source}: {reason}")
