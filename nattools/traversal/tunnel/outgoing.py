"""A stream of the tunnel is joined to a place out there."""

from __future__ import annotations

from typing import Final

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Transport
from nattools.net.base import Network, TcpFailure, TcpStream
from nattools.traversal.forwardspec import written
from nattools.traversal.tunnel.flow import Flow
from nattools.traversal.tunnel.splice import splice
from nattools.traversal.tunnel.stream import TunnelStream
from nattools.traversal.tunnel.tunnel import Tunnel

CONNECT_S: Final = 10.0
_ADDRESSES_TRIED: Final = 4
_LOOPBACK: Final = ("127.0.0.1", "::1")  # RFC 6761 6.3


async def join(
    tunnel: Tunnel, network: Network, stream: TunnelStream, transport: Transport, host: str, port: int
) -> str | None:
    """Until the stream is over. None if all went well, else why not. CannotRun: the place cannot be had."""
    place = written(transport, host, port)
    addresses = _LOOPBACK if host.rstrip(".").lower() == "localhost" else await network.resolve(host)
    if isinstance(addresses, str):
        raise CannotRun(f"{place}: {addresses}")
    if transport == "udp":
        return await _datagrams(tunnel, network, stream, Endpoint(addresses[0], port))
    tcp = await _connect(network, place, [Endpoint(address, port) for address in addresses])
    return await splice(stream, tcp)


async def _connect(network: Network, place: str, candidates: list[Endpoint]) -> TcpStream:
    reason = "it has no address"
    for remote in candidates[:_ADDRESSES_TRIED]:
        tcp = await network.connect_tcp(remote, timeout_s=CONNECT_S)
        if not isinstance(tcp, TcpFailure):
            return tcp
        reason = f"{tcp.outcome} {tcp.detail}"
    raise CannotRun(f"{place}: {reason}")


async def _datagrams(tunnel: Tunnel, network: Network, stream: TunnelStream, target: Endpoint) -> str | None:
    socket = await network.open_udp(family=target.family)
    flow = Flow(tunnel, stream, lambda data: socket.send(data, target))

    def arrived(data: bytes, source: Endpoint) -> None:
        if source == target:
            flow.send(data)

    socket.on_datagram = arrived
    try:
        flow.welcome()
        return await flow.run()
    finally:
        socket.close()
