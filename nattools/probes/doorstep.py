"""A port of this machine behind a mapping, and who knocks there."""

from __future__ import annotations

import asyncio

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Transport
from nattools.net.base import TcpListener, TcpStream, UdpSocket
from nattools.probes.arrival import Arrival
from nattools.probes.portmap.gateway import GatewayContext
from nattools.protocols import dialback, stun

_PATIENCE_S = 5.0


class Doorstep:
    """A port that listens for dial-backs and sends nothing, so that no NAT or firewall opens for its sake.

    Made by `open_doorstep`; close it. `knocked` is set when a dial-back with one of `nonces` has come, which
    came from `origin`.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.local = Endpoint("", 0)
        self.nonces: set[bytes] = set()
        self.knocked = Arrival()
        self.origin: Endpoint | None = None
        self.socket: UdpSocket | TcpListener | None = None
        self._greetings: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Idempotent."""
        if self.socket is not None:
            self.socket.close()
        for task in tuple(self._greetings):
            task.cancel()

    def on_datagram(self, data: bytes, source: Endpoint) -> None:
        """Is it a dial-back of ours?"""
        try:
            arrival = dialback.decode_indication(stun.decode(data))
        except ProtocolError:
            return
        if arrival is not None and arrival.nonce in self.nonces:
            self.origin = self.origin or source
            self.knocked.set()

    def on_stream(self, stream: TcpStream) -> None:
        """Somebody has connected; it tells who it is."""
        task = asyncio.get_running_loop().create_task(self._greet(stream))
        self._greetings.add(task)
        task.add_done_callback(self._greetings.discard)

    async def _greet(self, stream: TcpStream) -> None:
        framer = stun.Framer()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not self.knocked.came and (data := await stream.read()):
                    for frame in framer.feed(data):
                        self.on_datagram(frame, stream.remote)
        except (ProtocolError, TimeoutError):
            return
        finally:
            stream.abort()


async def open_doorstep(place: GatewayContext, transport: Transport, port: int = 0) -> Doorstep:
    """Listen on a port of the own address there (0: one that the system chooses). CannotRun: it is taken."""
    doorstep = Doorstep(transport)
    if transport == "udp":
        socket = await place.open_udp(port=port)
        socket.on_datagram = doorstep.on_datagram
        doorstep.socket, doorstep.local = socket, Endpoint(place.local, socket.local.port)
        return doorstep
    listener = await place.network.listen_tcp(
        family=place.family, host=place.local, port=port, on_stream=doorstep.on_stream
    )
    doorstep.socket, doorstep.local = listener, Endpoint(place.local, listener.local.port)
    return doorstep
