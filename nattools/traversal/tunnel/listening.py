"""Local ends to connect to: TCP listeners and UDP sockets, on loopback unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family, Transport, family_of, parse_address
from nattools.net.base import Network, StreamHandler, TcpListener, UdpSocket
from nattools.traversal.forwardspec import ANY

_LOOPBACK: Final[tuple[tuple[Family, str], ...]] = ((4, "127.0.0.1"), (6, "::1"))
SocketHandler = Callable[[UdpSocket, bytes, Endpoint], None]


@dataclass(slots=True)
class Listening:
    """What listens for one forward; `port` is the same on all addresses."""

    port: int
    ends: list[TcpListener | UdpSocket] = field(default_factory=list)

    def close(self) -> None:
        """Idempotent."""
        for end in self.ends:
            end.close()

    def __str__(self) -> str:
        return " and ".join(str(end.local) for end in self.ends)


async def listen(
    network: Network,
    transport: Transport,
    bind: str,
    port: int,
    *,
    on_stream: StreamHandler,
    on_datagram: SocketHandler,
) -> Listening:
    """Listen on an address, on both loopback ones ("") or on all ("*"); of two, one is enough.

    CannotRun: none can be listened on."""
    listening, problem = Listening(port), CannotRun("there is no address to listen on")
    for family, host in _places(bind):
        try:
            if transport == "tcp":
                end: TcpListener | UdpSocket = await network.listen_tcp(
                    family=family, host=host, port=listening.port, on_stream=on_stream
                )
            else:
                end = await _udp(network, family, host, listening.port, on_datagram)
        except CannotRun as error:
            problem = error if not listening.ends else problem
            continue
        listening.ends.append(end)
        listening.port = end.local.port
    if not listening.ends:
        raise problem
    return listening


def _places(bind: str) -> tuple[tuple[Family, str | None], ...]:
    if not bind:
        return _LOOPBACK
    if bind == ANY:
        return ((4, None), (6, None))
    try:
        parse_address(bind)
    except ValueError:
        raise CannotRun(f"{bind!r} is not an address to listen on") from None
    return ((family_of(bind), bind),)


async def _udp(
    network: Network, family: Family, host: str | None, port: int, on_datagram: SocketHandler
) -> UdpSocket:
    socket = await network.open_udp(family=family, host=host, port=port)
    socket.on_datagram = lambda data, source: on_datagram(socket, data, source)
    return socket
