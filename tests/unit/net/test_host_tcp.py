"""TCP connections of the system, on loopback alone."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure, TcpListener, TcpStream
from nattools.net.system.hostnetwork import HostNetwork
from nattools.net.system.hosttcp import HostStream
from nattools.net.system.oserrors import tcp_failure

Pair = tuple[TcpStream, TcpStream, TcpListener]
LIMIT_S = 30.0


async def connected(network: HostNetwork, host: str = "127.0.0.1") -> Pair:
    """A client's stream, the server's, and the listener between them."""
    accepted: asyncio.Queue[TcpStream] = asyncio.Queue()
    family: Any = 6 if ":" in host else 4
    listener = await network.listen_tcp(family=family, host=host, on_stream=accepted.put_nowait)
    client = await network.connect_tcp(listener.local, host=host, timeout_s=LIMIT_S)
    assert not isinstance(client, TcpFailure), client
    return client, await asyncio.wait_for(accepted.get(), LIMIT_S), listener


@asynccontextmanager
async def raw_client(network: HostNetwork) -> AsyncIterator[tuple[socket.socket, TcpStream]]:
    """A bare socket that is connected, and the server's stream to it."""
    accepted: asyncio.Queue[TcpStream] = asyncio.Queue()
    listener = await network.listen_tcp(family=4, host="127.0.0.1", on_stream=accepted.put_nowait)
    with socket.socket() as raw:
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, listener.local)
        yield raw, await accepted.get()
    listener.close()


def run(main: Callable[[HostNetwork], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * LIMIT_S):
            await main(HostNetwork())

    asyncio.run(bounded())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_ways_and_half_closed(host: str) -> None:
    async def main(network: HostNetwork) -> None:
        client, server, listener = await connected(network, host)
        assert (client.local, client.remote) == (server.remote, server.local)
        client.write(b"ask")
        assert await server.read() == b"ask"
        server.write(b"answer")
        server.close()
        assert await client.read(3) == b"ans"
        assert await client.read() == b"wer"
        assert await client.read() == b""
        assert await client.read() == b""
        client.close()
        client.close()
        listener.close()
        listener.close()

    run(main)


def test_more_than_the_buffers_hold() -> None:
    async def main(network: HostNetwork) -> None:
        client, server, listener = await connected(network)
        sent = bytes(range(256)) * 16384

        async def send() -> None:
            for start in range(0, len(sent), 100_000):
                client.write(sent[start : start + 100_000])
                await client.drain()
            client.close()

        received = bytearray()
        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            while data := await server.read():
                received += data
        assert received == sent
        server.close()
        listener.close()

    run(main)


class Transport(asyncio.Transport):
    """Notes whether reading is paused."""

    reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def test_unread_bytes_are_bounded() -> None:
    async def main(network: HostNetwork) -> None:
        transport, end = Transport(), Endpoint("127.0.0.1", 1)
        stream = HostStream(end, end)
        stream.connection_made(transport)
        chunk, received = bytes(65536), 0
        while transport.reading:
            stream.data_received(chunk)
            received += len(chunk)
        assert received <= 512 * 1024
        while not transport.reading:
            received -= len(await stream.read(10_000))
        assert 0 < received < 256 * 1024

    run(main)


def test_the_other_side_may_end_first() -> None:
    async def main(network: HostNetwork) -> None:
        loop = asyncio.get_running_loop()
        async with raw_client(network) as (raw, server):
            await loop.sock_sendall(raw, b"question")
            raw.shutdown(socket.SHUT_WR)
            assert await server.read() == b"question"
            assert await server.read() == b""
            server.write(b"answer")
            assert await loop.sock_recv(raw, 100) == b"answer"
            server.close()
            assert await loop.sock_recv(raw, 100) == b""

    run(main)


def test_abort_resets_and_the_other_side_reads_an_end() -> None:
    async def main(network: HostNetwork) -> None:
        loop = asyncio.get_running_loop()
        async with raw_client(network) as (raw, server):
            server.abort()
            server.abort()
            with pytest.raises(ConnectionResetError):
                await loop.sock_recv(raw, 10)

    run(main)


def test_writing_after_a_reset_is_no_error() -> None:
    async def main(network: HostNetwork) -> None:
        client, server, listener = await connected(network)
        server.abort()
        assert await client.read() == b""
        for _ in range(10):
            client.write(b"nobody reads this")
        await client.drain()
        assert await client.read() == b""
        client.close()
        client.abort()
        listener.close()

    run(main)


def test_refused() -> None:
    async def main(network: HostNetwork) -> None:
        listener = await network.listen_tcp(family=4, host="127.0.0.1", on_stream=lambda stream: None)
        listener.close()
        result = await network.connect_tcp(listener.local, timeout_s=LIMIT_S)
        assert result == TcpFailure("refused", "connection refused")

    run(main)


def test_timeout() -> None:
    """A listener whose queue is full answers no SYN."""

    async def main(network: HostNetwork) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as full, socket.socket() as first:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            first.setblocking(False)
            await loop.sock_connect(first, full.getsockname())
            began = loop.time()
            result = await network.connect_tcp(Endpoint(*full.getsockname()), timeout_s=0.2)
            assert result == TcpFailure("timeout", "no answer in 0.2 s")
            assert 0.2 <= loop.time() - began < LIMIT_S  # the system itself gives up after two minutes

    run(main)


def test_one_port_listens_and_connects_at_once_to_several() -> None:
    async def main(network: HostNetwork) -> None:
        accepted: asyncio.Queue[TcpStream] = asyncio.Queue()
        first = await network.listen_tcp(family=4, host="127.0.0.2", on_stream=accepted.put_nowait)
        second = await network.listen_tcp(family=4, host="127.0.0.3", on_stream=accepted.put_nowait)
        own = await network.listen_tcp(family=4, host="127.0.0.1", on_stream=accepted.put_nowait)
        streams = [
            await network.connect_tcp(target, host="127.0.0.1", port=own.local.port, timeout_s=LIMIT_S)
            for target in (first.local, second.local)
        ]
        inbound = await network.connect_tcp(own.local, host="127.0.0.4", timeout_s=LIMIT_S)
        for stream in [*streams, inbound]:
            assert not isinstance(stream, TcpFailure)
        assert {stream.local for stream in streams} == {own.local}  # type: ignore[union-attr]
        for stream in [*streams, inbound, *[await accepted.get() for _ in range(3)]]:
            stream.abort()  # type: ignore[union-attr]
        for listener in (first, second, own):
            listener.close()

    run(main)


def test_a_port_in_time_wait_connects_elsewhere_but_not_to_the_same_place() -> None:
    async def main(network: HostNetwork) -> None:
        client, server, listener = await connected(network)
        other = await network.listen_tcp(family=4, host="127.0.0.3", on_stream=lambda stream: stream.abort())
        client.close()  # the side that closes first waits
        assert await server.read() == b""
        server.close()
        port = client.local.port
        again = await network.connect_tcp(other.local, host="127.0.0.1", port=port, timeout_s=LIMIT_S)
        assert not isinstance(again, TcpFailure), again
        assert again.local == client.local
        again.abort()
        other.close()
        listener.close()

    run(main)


def test_the_same_pair_of_ends_twice_is_an_error() -> None:
    async def main(network: HostNetwork) -> None:
        client, server, listener = await connected(network)
        again = await network.connect_tcp(
            listener.local, host="127.0.0.1", port=client.local.port, timeout_s=LIMIT_S
        )
        assert isinstance(again, TcpFailure)
        assert again.outcome == "error"
        assert "this local port" in again.detail
        for stream in (client, server):
            stream.abort()
        listener.close()

    run(main)


def test_a_local_end_that_cannot_be_had() -> None:
    async def main(network: HostNetwork) -> None:
        with pytest.raises(CannotRun, match="no address"):
            await network.connect_tcp(Endpoint("127.0.0.1", 9), host="203.0.113.77", timeout_s=1)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            with pytest.raises(CannotRun, match="in use"):
                await network.listen_tcp(
                    family=4,
                    host="127.0.0.1",
                    port=taken.getsockname()[1],
                    on_stream=lambda stream: None,
                )

    run(main)


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (errno.ECONNREFUSED, "refused"),
        (errno.ETIMEDOUT, "timeout"),
        (errno.ENETUNREACH, "unreachable"),
        (errno.EHOSTUNREACH, "unreachable"),
        (errno.EACCES, "prohibited"),
        (errno.EPERM, "prohibited"),
        (errno.ECONNRESET, "reset"),
        (errno.EINVAL, "error"),
        (errno.EMSGSIZE, "error"),
    ],
)
def test_error_numbers(number: int, outcome: str) -> None:
    failure = tcp_failure(OSError(number, "as asyncio words it"))
    assert failure.outcome == outcome
    assert "asyncio" not in failure.detail


def test_a_stream_that_has_ended_still_reads() -> None:
    async def main(network: HostNetwork) -> None:
        client, server, listener = await connected(network)
        client.write(b"all")
        client.end()
        client.end()
        client.write(b"too late")
        assert await server.read() == b"all"
        assert await server.read() == b""
        assert not server.over
        server.write(b"answer")
        assert await client.read() == b"answer"
        assert not client.over
        server.abort()
        assert await client.read() == b""
        assert client.over
        client.end()
        client.close()
        listener.close()

    run(main)


@pytest.mark.parametrize("turns", range(7))
def test_who_is_accepted_as_the_listener_closes_is_nobodys_and_is_told_so(turns: int) -> None:
    """Between the system's accepting and the stream's first word there are some turns of the event loop."""

    async def main(network: HostNetwork) -> None:
        closed, late, taken = False, [], []

        def take(stream: TcpStream) -> None:
            (late if closed else taken).append(stream)

        listener = await network.listen_tcp(family=4, host="127.0.0.1", on_stream=take)
        with socket.create_connection(listener.local, timeout=LIMIT_S) as raw:
            for _ in range(turns):
                await asyncio.sleep(0)
            listener.close()
            closed = True
            for stream in taken:
                stream.abort()
            raw.settimeout(LIMIT_S)
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(raw.recv, 1)
        assert late == []

    run(main)
