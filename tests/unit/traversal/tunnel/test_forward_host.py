"""Forwards over the system's own sockets, on loopback alone."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

from links import Pair

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure, TcpStream
from nattools.net.system.hostnetwork import HostNetwork
from nattools.traversal.forwardspec import Allowed, parse_forward
from nattools.traversal.tunnel.forward import Forwarding

LOCAL = "127.0.0.1"
DATA = Random(7).randbytes(3_000_000)


async def free_port(network: HostNetwork) -> int:
    """One that the system gives to nobody by itself."""
    for port in range(21_000, 22_000):
        with contextlib.suppress(CannotRun):
            (await network.open_udp(family=4, host=LOCAL, port=port)).close()
            listener = await network.listen_tcp(family=4, host=LOCAL, port=port, on_stream=TcpStream.abort)
            listener.close()
            return port
    raise AssertionError("a thousand ports are taken")


async def answer_reversed(stream: TcpStream) -> None:
    received = bytearray()
    while data := await stream.read():
        received += data
    stream.write(bytes(reversed(received)))
    stream.close()


async def main() -> tuple[bytes, list[bytes], str]:
    network, pair, said = HostNetwork(), Pair(), list[str]()
    arrived: asyncio.Queue[TcpStream] = asyncio.Queue()
    server = await network.listen_tcp(family=4, host=LOCAL, on_stream=arrived.put_nowait)
    echo = await network.open_udp(family=4, host=LOCAL)
    echo.on_datagram = echo.send
    Forwarding(
        pair.other,
        network,
        Allowed.parse([f"localhost:{server.local.port}", f"localhost:{echo.local.port}/udp"]),
    )
    forwarding = Forwarding(pair.one, network, say=said.append)
    port = await free_port(network)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(pair.one.run())
        group.create_task(pair.other.run())
        pair.join(0.001)
        await forwarding.start(
            [
                parse_forward(f"{LOCAL}:{port}:localhost:{server.local.port}"),
                parse_forward(f"{LOCAL}:{port}:localhost:{echo.local.port}/udp"),
            ]
        )
        client = await network.connect_tcp(Endpoint(LOCAL, port), timeout_s=30)
        assert not isinstance(client, TcpFailure), client
        client.write(DATA)
        client.end()
        await answer_reversed(await arrived.get())
        received = bytearray()
        while data := await client.read():
            received += data
        client.close()
        datagrams = await _ask(network, port)
        forwarding.close()
        pair.one.stop("over")
        pair.other.stop("over")
    server.close()
    echo.close()
    return bytes(received), datagrams, said[0]


async def _ask(network: HostNetwork, port: int) -> list[bytes]:
    socket = await network.open_udp(family=4, host=LOCAL)
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    socket.on_datagram = lambda data, source: answers.put_nowait(data)
    got = []
    for size in (1, 1000, 9000):
        socket.send(bytes(size), Endpoint(LOCAL, port))
        got.append(await answers.get())
    socket.close()
    return got


def test_forwards_over_real_sockets() -> None:
    received, datagrams, said = asyncio.run(main())
    assert received == bytes(reversed(DATA))
    assert datagrams == [bytes(1), bytes(1000), bytes(9000)]
    assert said.startswith(LOCAL)
