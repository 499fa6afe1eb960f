"""Where a server sees a socket, and servers that do not say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from simulated import Notes, open_internet, run

from nattools.errors import CannotRun
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpStream
from nattools.protocols import stun
from nattools.protocols.stun.constants import MAPPED_ADDRESS
from nattools.traversal.serverreflexive import (
    PATIENCE_S,
    TCP_PATIENCE_S,
    server_reflexive,
    server_reflexive_of_each,
    server_reflexive_over_tcp,
)

Answer = Callable[[bytes, Endpoint], bytes]
PORT = 3478


def whole(request: bytes, source: Endpoint) -> bytes:
    return stun.binding_success(stun.decode(request).transaction_id, source)


def response(request: bytes, kind: stun.Kind, *attributes: tuple[int, bytes]) -> bytes:
    return stun.encode(replace(stun.decode(request), kind=kind, attributes=attributes))


def without_address(request: bytes, _: Endpoint) -> bytes:
    return response(request, "success")


def damaged_address(request: bytes, _: Endpoint) -> bytes:
    return response(request, "success", (MAPPED_ADDRESS, bytes(2)))


def refusal(request: bytes, _: Endpoint) -> bytes:
    return response(request, "error")


def noise(request: bytes, _: Endpoint) -> bytes:
    return b"HTTP/1.1 400 Bad Request\r\n\r\n"


def silence(request: bytes, _: Endpoint) -> bytes:
    return b""


NO_ANSWERS = [without_address, damaged_address, refusal, noise, silence]


@pytest.mark.parametrize("answer", [whole, *NO_ANSWERS])
def test_over_udp(answer: Answer) -> None:
    async def main(lab: SimLab) -> None:
        server = await lab.network("bob").open_udp(family=4, port=PORT)

        def asked(data: bytes, source: Endpoint) -> None:
            server.send(answer(data, source), source)

        server.on_datagram = asked
        socket = await lab.network("alice").open_udp(family=4)
        loop = asyncio.get_running_loop()
        began = loop.time()
        seen = await server_reflexive(socket, server.local)
        assert seen == (socket.local if answer is whole else None)
        assert loop.time() - began <= PATIENCE_S
        assert socket.on_datagram is None

    run(open_internet(), main)


@pytest.mark.parametrize("closes", [False, True], ids=["stays open", "closes"])
@pytest.mark.parametrize("answer", [whole, *NO_ANSWERS])
def test_over_tcp(answer: Answer, closes: bool) -> None:
    """The stream is left open where the server has said it, and is reset where not."""
    streams: list[TcpStream] = []

    async def serve(stream: TcpStream) -> None:
        streams.append(stream)
        said = answer(await stream.read(), stream.remote)
        for part in (said[:7], said[7:]):
            stream.write(part)
        if closes:
            stream.close()

    async def main(lab: SimLab) -> None:
        async with asyncio.TaskGroup() as group:
            listener = await lab.network("bob").listen_tcp(
                family=4, port=PORT, on_stream=lambda stream: group.create_task(serve(stream))
            )
            loop = asyncio.get_running_loop()
            began = loop.time()
            found = await server_reflexive_over_tcp(lab.network("alice"), listener.local)
            assert loop.time() - began <= TCP_PATIENCE_S + 1
        if answer is whole:
            assert found is not None
            assert found[1] == found[0].local == streams[0].remote
            assert not found[0].over
            found[0].close()
        else:
            assert found is None
            await asyncio.sleep(1)
            assert streams[0].over

    run(open_internet(), main)


def test_over_tcp_what_is_broken_off_leaves_no_connection() -> None:
    async def main(lab: SimLab) -> None:
        there: asyncio.Future[TcpStream] = asyncio.get_running_loop().create_future()
        listener = await lab.network("bob").listen_tcp(family=4, port=PORT, on_stream=there.set_result)
        asking = asyncio.ensure_future(server_reflexive_over_tcp(lab.network("alice"), listener.local))
        stream = await there
        assert await stream.read()
        asking.cancel()
        await asyncio.sleep(1)
        assert asking.cancelled()
        assert stream.over

    run(open_internet(), main)


def test_a_closed_port_and_no_socket_are_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(lab: SimLab) -> None:
        network, server = lab.network("alice"), Notes(await lab.network("bob").open_udp(family=4)).local
        assert await server_reflexive_over_tcp(network, server) is None

        async def refuse(*_: object, **__: object) -> None:
            raise CannotRun("no socket")

        monkeypatch.setattr(type(network), "connect_tcp", refuse)
        assert await server_reflexive_over_tcp(network, server) is None

    run(open_internet(), main)


def test_a_socket_that_leads_nowhere_delays_nothing_and_every_outside_address_is_told() -> None:
    """Two servers see one socket at two addresses; nobody answers the other socket, nor the third server."""

    def elsewhere(request: bytes, _: Endpoint) -> bytes:
        return whole(request, Endpoint("11.99.0.7", 4711))

    async def main(lab: SimLab) -> None:
        servers = []
        for port, answer in ((PORT, whole), (PORT + 1, elsewhere), (PORT + 2, silence)):
            server = await lab.network("bob").open_udp(family=4, port=port)
            server.on_datagram = lambda data, source, server=server, answer=answer: server.send(
                answer(data, source), source
            )
            servers.append(server.local)
        socket, dead = [await lab.network("alice").open_udp(family=4) for _ in range(2)]
        loop = asyncio.get_running_loop()
        began = loop.time()
        seen = await server_reflexive_of_each([(socket, servers), (dead, [Endpoint("11.99.0.1", 1)])])
        assert seen == [(socket.local, Endpoint("11.99.0.7", 4711)), ()]
        assert loop.time() - began < 0.3
        assert socket.on_datagram is None

    run(open_internet(), main)
