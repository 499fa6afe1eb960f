"""The recording network, over loopback."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure, TcpStream
from nattools.net.system import linux
from nattools.net.system.hostnetwork import HostNetwork
from nattools.net.trace import Trace, TracedNetwork, TraceEvent

LIMIT_S = 30.0
A, B = Endpoint("127.0.0.1", 1000), Endpoint("127.0.0.1", 2000)


def traced() -> TracedNetwork:
    trace = Trace(asyncio.get_running_loop().time())
    return TracedNetwork(HostNetwork(names={"box.lab": ("127.0.0.1", "::1")}), trace)


def test_datagrams_both_ways() -> None:
    async def main() -> Trace:
        network = traced()
        server = await network.open_udp(family=4, host="127.0.0.1")
        client = await network.open_udp(family=4, host="127.0.0.1")
        back: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        server.on_datagram = lambda data, source: server.send(b"pong", source) and None
        client.on_datagram = lambda data, source: back.set_result(data)
        assert client.send(b"ping", server.local, ttl=9) is None
        assert await asyncio.wait_for(back, LIMIT_S) == b"pong"
        ends = (client.local, server.local)
        assert client.send(bytes(70000), server.local) == "too-big"
        client.close()
        server.close()
        facts = [(e.outgoing, e.local, e.remote, e.data, e.ttl, e.note) for e in network.trace.events]
        assert facts == [
            (True, *ends, b"ping", 9, ""),
            (False, *ends[::-1], b"ping", None, ""),
            (True, *ends[::-1], b"pong", None, ""),
            (False, *ends, b"pong", None, ""),
            (True, *ends, bytes(70000), None, "too-big"),
        ]
        return network.trace

    trace = asyncio.run(main())
    times = [event.at_s for event in trace.events]
    assert times == sorted(times)
    assert times[0] >= trace.began_s


@pytest.mark.skipif(not linux.AVAILABLE, reason="the error queue is Linux's")
def test_icmp_errors_without_a_handler() -> None:
    async def main() -> list[TraceEvent]:
        network = traced()
        client = await network.open_udp(family=4, host="127.0.0.1")
        heard = asyncio.Event()
        client.send(b"x", Endpoint("127.0.0.1", 9))  # one that was given back may be somebody's
        client.on_icmp = lambda error: heard.set()
        await asyncio.wait_for(heard.wait(), LIMIT_S)
        client.close()
        return network.trace.events

    events = asyncio.run(main())
    assert [event.kind for event in events] == ["datagram", "icmp"]
    assert events[1].error is not None
    assert "port-unreachable from 127.0.0.1" in str(events[1])


def test_tcp_from_both_sides() -> None:
    async def main() -> list[Any]:
        network = traced()
        accepted: asyncio.Queue[TcpStream] = asyncio.Queue()
        listener = await network.listen_tcp(family=4, host="127.0.0.1", on_stream=accepted.put_nowait)
        client = await network.connect_tcp(listener.local, timeout_s=LIMIT_S)
        assert not isinstance(client, TcpFailure)
        server = await asyncio.wait_for(accepted.get(), LIMIT_S)
        client.write(b"ask")
        await client.drain()
        assert await server.read() == b"ask"
        client.close()
        client.close()
        assert await server.read() == b""
        assert await server.read() == b""
        server.abort()
        listener.close()
        ports = {client.local.port: "client", listener.local.port: "server"}
        return [(e.connection, ports[e.local.port], e.kind, e.outgoing, e.data) for e in network.trace.events]

    facts = asyncio.run(main())
    clients = [fact[2:] for fact in facts if fact[1] == "client"]
    servers = [fact[2:] for fact in facts if fact[1] == "server"]
    assert clients == [
        ("connect", True, b""),
        ("established", True, b""),
        ("data", True, b"ask"),
        ("end", True, b""),
    ]
    assert servers == [
        ("established", False, b""),
        ("data", False, b"ask"),
        ("end", False, b""),
        ("abort", True, b""),
    ]
    assert {fact[0] for fact in facts} == {1, 2}


def test_a_refused_connection() -> None:
    async def main() -> list[TraceEvent]:
        network = traced()
        listener = await network.listen_tcp(family=4, host="127.0.0.1", on_stream=lambda stream: None)
        listener.close()
        result = await network.connect_tcp(listener.local, timeout_s=LIMIT_S)
        assert isinstance(result, TcpFailure)
        return network.trace.events

    events = asyncio.run(main())
    assert [(event.kind, event.outgoing) for event in events] == [("connect", True), ("abort", False)]
    assert events[0].note == "refused: connection refused"
    assert events[0].local.host == "127.0.0.1"


def test_names_and_the_rest_pass_through() -> None:
    async def main() -> Trace:
        network = traced()
        inner = HostNetwork()
        assert await network.resolve("box.lab", 6) == ("::1",)
        assert await network.resolve("box.lab") == ("127.0.0.1", "::1")
        assert await network.resolve("127.0.0.1") == ("127.0.0.1",)
        assert network.substrate == "host"
        assert network.interfaces() == inner.interfaces()
        assert network.gateways() == inner.gateways()
        assert network.route("127.0.0.1") == inner.route("127.0.0.1")
        assert network.missing("icmp-errors") == inner.missing("icmp-errors")
        assert network.is_public("11.0.0.1")
        return network.trace

    assert asyncio.run(main()).names == {"box.lab": ("::1", "127.0.0.1")}


def test_memory_is_bounded() -> None:
    trace = Trace(0.0, limit_bytes=1150)
    for number in range(10):
        trace.add(TraceEvent(float(number), "datagram", True, A, B, bytes(100)))
    trace.add(TraceEvent(10.0, "datagram", True, A, B))
    assert [event.at_s for event in trace.events] == [0.0, 1.0, 2.0]
    assert trace.dropped == 8
