"""The server on real sockets of the loopback interface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nattools.errors import CannotRun, UsageError
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure, TcpListener, TcpStream, UdpSocket
from nattools.net.system.hostnetwork import HostNetwork
from nattools.protocols import dialback, stun
from nattools.protocols.dialback import Ask, DialBackRequest
from nattools.protocols.stun import constants as c
from nattools.server.serving import Running, ServeConfig, serve

TWO = ("127.0.0.1", "127.0.0.2")
NONCE = b"12345678"
ID = bytes(range(12))
LIMIT_S = 30.0


@asynccontextmanager
async def running(*addresses: str, **options: Any) -> AsyncIterator[Running]:
    options = {"dials": lambda address: True} | options  # here all is on this machine
    config = ServeConfig(addresses=addresses or TWO, port=0, alternate_port=0, **options)
    server = await serve(HostNetwork(), config)
    try:
        yield server
    finally:
        await server.close()


class Client:
    """A UDP socket with a queue of what arrived."""

    def __init__(self, socket: UdpSocket) -> None:
        self.socket = socket
        self.inbox: asyncio.Queue[tuple[bytes, Endpoint]] = asyncio.Queue()
        socket.on_datagram = lambda data, source: self.inbox.put_nowait((data, source))

    async def ask(self, request: bytes, server: Endpoint) -> tuple[stun.Message, Endpoint]:
        assert self.socket.send(request, server) is None
        data, source = await asyncio.wait_for(self.inbox.get(), LIMIT_S)
        return stun.decode(data), source


@asynccontextmanager
async def client(host: str = "127.0.0.1") -> AsyncIterator[Client]:
    socket = await HostNetwork().open_udp(family=6 if ":" in host else 4, host=host)
    try:
        yield Client(socket)
    finally:
        socket.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * LIMIT_S):
            await test()

    asyncio.run(bounded())


def test_every_change_request_comes_truly_from_elsewhere() -> None:
    async def test() -> None:
        async with running() as server, client() as asker:
            first = server.endpoints[0]
            assert len(server.endpoints) == 4
            for number, (address, port) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
                request = stun.binding_request(
                    ID, change_address=bool(address), change_port=bool(port), padded_to=80
                )
                message, source = await asker.ask(request, first)
                assert source == server.endpoints[number]
                assert message.response_origin == source
                assert message.mapped == asker.socket.local
                assert message.other_address == server.endpoints[3]
                assert message.hello == b"\x01\xcf"

    run(test)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5"])
def test_no_dial_back_goes_to_this_machine(host: str) -> None:
    """A client of a proxy here has its address: it would scan what listens on loopback alone."""

    async def test() -> None:
        async with running(dials=None) as server, client(host) as asker:
            ask = Ask("tcp", 22, NONCE, change_address=True, change_port=True)
            result, others = await dial(asker, server.endpoints[0], ask)
            assert (result.outcome, result.reason) == ("denied", "the server dials no such address")
            assert others == []

    run(test)


def test_ipv6_is_served() -> None:
    async def test() -> None:
        async with running("::1") as server, client("::1") as asker:
            message, source = await asker.ask(stun.binding_request(ID), server.endpoints[0])
            assert source == server.endpoints[0]
            assert message.mapped == asker.socket.local

    run(test)


def test_noise_answers_and_unknown_methods_meet_silence() -> None:
    async def test() -> None:
        async with running() as server, client() as asker:
            for noise in (
                b"",
                b"\0",
                b"hello",
                bytes(2000),
                stun.binding_success(ID, Endpoint("11.1.0.2", 1)),
                stun.encode(stun.Message(stun.BINDING, "indication", ID)),
                stun.encode(stun.Message(0x003, "request", ID)),
                stun.binding_request(ID)[:-1],
            ):
                asker.socket.send(noise, server.endpoints[0])
            last = bytes(12)
            message, _ = await asker.ask(stun.binding_request(last), server.endpoints[0])
            assert message.transaction_id == last, "the one answer is to the one request"
            assert asker.inbox.empty()

    run(test)


async def dial(asker: Client, server: Endpoint, ask: Ask) -> tuple[dialback.Result, list[bytes]]:
    """The server's answer, and what else arrived before it."""
    now = asyncio.get_running_loop().time
    request = DialBackRequest(ask, server, now())
    others: list[bytes] = []
    while not request.done:
        for datagram, _ in request.datagrams_to_send(now()):
            asker.socket.send(datagram, server)
        data, source = await asyncio.wait_for(asker.inbox.get(), LIMIT_S)
        if not request.receive_datagram(data, source, now()):
            others.append(data)
    assert request.result is not None
    return request.result, others


def test_dial_back_over_udp_arrives_from_the_other_address() -> None:
    async def test() -> None:
        async with running() as server, client() as asker:
            port = asker.socket.local.port
            ask = Ask("udp", port, NONCE, change_address=True, change_port=True, copies=3, spacing_ms=1)
            result, others = await dial(asker, server.endpoints[0], ask)
            assert result.outcome == "sent"
            assert result.seen == asker.socket.local
            assert result.origin == server.endpoints[3]
            arrivals = [dialback.decode_indication(stun.decode(each)) for each in others]
            assert arrivals == [dialback.Arrival(NONCE, copy) for copy in range(3)]

    run(test)


def test_dial_back_over_tcp_connects_or_says_why_not() -> None:
    async def test() -> None:
        accepted: asyncio.Queue[TcpStream] = asyncio.Queue()
        async with running() as server, client() as asker:
            listener = await HostNetwork().listen_tcp(
                family=4, host="127.0.0.1", on_stream=accepted.put_nowait
            )
            ask = Ask("tcp", listener.local.port, NONCE, change_address=True, change_port=True)
            result, _ = await dial(asker, server.endpoints[0], ask)
            stream = await accepted.get()
            assert result.outcome == "connected"
            assert result.origin == stream.remote
            assert stream.remote.host == "127.0.0.2"
            assert dialback.decode_indication(stun.decode(await stream.read())) == dialback.Arrival(NONCE, 0)
            assert await stream.read() == b""
            stream.close()
            listener.close()
            result, _ = await dial(asker, server.endpoints[0], ask)
            assert result.outcome == "refused"

    run(test)


async def connect(server: Endpoint) -> TcpStream:
    stream = await HostNetwork().connect_tcp(server, host="127.0.0.1", timeout_s=LIMIT_S)
    assert not isinstance(stream, TcpFailure)
    return stream


async def read_messages(stream: TcpStream, count: int) -> list[stun.Message]:
    framer = stun.Framer()
    found: list[stun.Message] = []
    while len(found) < count:
        data = await asyncio.wait_for(stream.read(), LIMIT_S)
        assert data
        found += map(stun.decode, framer.feed(data))
    return found


def test_one_connection_carries_many_requests() -> None:
    async def test() -> None:
        async with running() as server:
            stream = await connect(server.endpoints[2])
            requests = [stun.binding_request(bytes((number,)) * 12) for number in range(5)]
            stream.write(b"".join(requests)[:33])
            await stream.drain()
            stream.write(b"".join(requests)[33:])
            answers = await read_messages(stream, 5)
            assert [each.transaction_id for each in answers] == [bytes((n,)) * 12 for n in range(5)]
            assert answers[0].mapped == stream.local
            assert answers[0].response_origin == server.endpoints[2]
            assert answers[0].other_address == server.endpoints[1]
            stream.write(stun.binding_request(ID, change_port=True))
            (refusal,) = await read_messages(stream, 1)
            assert refusal.error == (420, "")
            assert refusal.unknown_attributes == (c.CHANGE_REQUEST,)
            stream.close()

    run(test)


def test_dial_back_asked_over_tcp_needs_no_cookie() -> None:
    async def test() -> None:
        async with running() as server, client() as target:
            stream = await connect(server.endpoints[0])
            stream.write(
                dialback.encode_request(ID, Ask("udp", target.socket.local.port, NONCE, change_port=True))
            )
            (answer,) = await read_messages(stream, 1)
            assert dialback.decode_result(answer).outcome == "sent"
            data, source = await asyncio.wait_for(target.inbox.get(), LIMIT_S)
            assert source == server.endpoints[1]
            assert dialback.decode_indication(stun.decode(data)) == dialback.Arrival(NONCE, 0)
            stream.close()

    run(test)


@pytest.mark.parametrize(
    "noise", [b"POST / HTTP/1.1\r\n\r\n", b"\x16\3\1", b"\xff" * 100, bytes(20), b"\0\1\0\1" + bytes(16)]
)
def test_noise_over_tcp_ends_the_connection(noise: bytes) -> None:
    async def test() -> None:
        async with running() as server:
            stream = await connect(server.endpoints[0])
            stream.write(noise)
            assert await asyncio.wait_for(stream.read(), LIMIT_S) == b""
            stream.close()

    run(test)


def test_silence_ends_a_connection() -> None:
    async def test() -> None:
        async with running(idle_s=0.05) as server:
            stream = await connect(server.endpoints[0])
            stream.write(stun.binding_request(ID)[:10])
            assert await asyncio.wait_for(stream.read(), LIMIT_S) == b""
            stream.close()

    run(test)


def test_a_source_has_few_connections_and_gets_them_back() -> None:
    async def test() -> None:
        async with running(streams_per_source=2) as server:
            held = [await connect(server.endpoints[0]) for _ in range(2)]
            for stream in held:
                stream.write(stun.binding_request(ID))
                await read_messages(stream, 1)
            refused = await connect(server.endpoints[1])
            assert await asyncio.wait_for(refused.read(), LIMIT_S) == b""
            held[0].close()
            held[1].write(stun.binding_request(ID))
            await read_messages(held[1], 1)
            again = await connect(server.endpoints[0])
            again.write(stun.binding_request(ID))
            assert (await read_messages(again, 1))[0].kind == "success"
            for stream in (*held, refused, again):
                stream.close()

    run(test)


def test_a_taken_port_and_a_foreign_address_cannot_be_served() -> None:
    async def test() -> None:
        async with running("127.0.0.1") as server:
            port = server.endpoints[0].port
            with pytest.raises(CannotRun, match=f"{port}"):
                await serve(HostNetwork(), ServeConfig(addresses=("127.0.0.1",), port=port))
        with pytest.raises(CannotRun, match=r"192\.0\.2\.1"):
            await serve(HostNetwork(), ServeConfig(addresses=("192.0.2.1",), port=0))

    run(test)


class Taken(HostNetwork):
    """So many ports that are free over UDP are another program's over TCP."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    async def listen_tcp(self, **options: Any) -> TcpListener:
        self.left -= 1
        if self.left >= 0:
            raise CannotRun(f"port {options['port']} is in use by another program")
        return await super().listen_tcp(**options)


def test_a_port_that_the_system_chose_is_chosen_anew_if_it_is_taken_over_tcp() -> None:
    async def test() -> None:
        config = ServeConfig(addresses=TWO, port=0, alternate_port=0)
        server = await serve(Taken(3), config)
        endpoints = server.endpoints
        await server.close()
        assert len(endpoints) == 4
        with pytest.raises(CannotRun, match="in use"):
            await serve(Taken(100), config)
        named = Taken(1)
        with pytest.raises(CannotRun, match="in use"):
            await serve(named, ServeConfig(addresses=TWO, port=endpoints[0].port, alternate_port=None))
        assert named.left >= 0, "it was tried once"

    run(test)


def test_after_close_the_ports_are_free_again() -> None:
    """Three times another program would have to be quicker."""

    async def again() -> bool:
        async with running() as server:
            first, second = server.endpoints[:2]
            stream = await connect(first)
        config = ServeConfig(addresses=TWO, port=first.port, alternate_port=second.port)
        try:
            again = await serve(HostNetwork(), config)
        except CannotRun:
            return False
        finally:
            stream.close()
        assert again.endpoints == server.endpoints
        await again.close()
        await again.close()
        return True

    async def test() -> None:
        assert await again() or await again() or await again()

    run(test)


@pytest.mark.parametrize(
    "wrong",
    [
        {"addresses": ()},
        {"addresses": ("0.0.0.0",)},
        {"addresses": ("::",)},
        {"addresses": ("example.org",)},
        {"addresses": ("127.0.0.1", "127.0.0.1")},
        {"addresses": ("127.0.0.1", "127.0.0.2", "127.0.0.3")},
        {"addresses": TWO, "port": 65536},
        {"addresses": TWO, "port": 3479},
    ],
)
def test_what_makes_no_sense_is_wrong_usage(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ServeConfig(**wrong)  # type: ignore[arg-type]


def test_the_ready_text_says_what_is_missing() -> None:
    async def test() -> None:
        async with running() as server:
            assert "RFC 5780: clients can determine" in server.services
            assert "127.0.0.1 is not a public address" in server.services
        async with running("127.0.0.1") as server:
            assert "No RFC 5780" in server.services
            assert "second address" in server.services

    run(test)
