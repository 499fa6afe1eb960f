"""The server on the simulated internet: NATs between it and its clients, and time that costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from simulated import pass_time

from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network, TcpFailure, TcpStream, UdpSocket
from nattools.protocols import dialback, stun
from nattools.protocols.dialback import Arrival, Ask, DialBackRequest, Result

NONCE = b"12345678"
ID = bytes(range(12))


def behind(nat: NatSpec | None, test: Callable[[Network, Endpoint], Awaitable[None]], **server: int) -> None:
    """Run a test as a host behind this NAT, or on the internet, with the address of a nattools server."""
    scenario = Scenario(
        title="a server and a client",
        nat={"home": nat} if nat else {},
        host={"alice": HostSpec(behind="home" if nat else None)},
        server={"stun": ServerSpec(**server)},  # type: ignore[arg-type]
    )
    with SimLab(scenario) as lab:
        lab.run(lambda: test(lab.network("alice"), Endpoint("11.201.0.2", 3478)))


class Inbox:
    """What arrives at a UDP socket."""

    def __init__(self, socket: UdpSocket) -> None:
        self.socket = socket
        self._queue: asyncio.Queue[tuple[bytes, Endpoint]] = asyncio.Queue()
        socket.on_datagram = lambda data, source: self._queue.put_nowait((data, source))

    async def next(self, patience_s: float = 20.0) -> tuple[bytes, Endpoint] | None:
        try:
            return await asyncio.wait_for(self._queue.get(), patience_s)
        except TimeoutError:
            return None

    async def ask(self, request: bytes, server: Endpoint) -> tuple[stun.Message, Endpoint] | None:
        self.socket.send(request, server)
        found = await self.next()
        return None if found is None else (stun.decode(found[0]), found[1])


async def dial(network: Network, server: Endpoint, ask: Ask) -> Result | None:
    """Ask from a port of its own; time is the simulator's."""
    inbox = Inbox(await network.open_udp(family=server.family))
    now = asyncio.get_running_loop().time
    request = DialBackRequest(ask, server, now())
    while not request.done:
        for datagram, _ in request.datagrams_to_send(now()):
            inbox.socket.send(datagram, server)
        found = await inbox.next((request.next_timeout() or 0) - now())
        if found is None:
            request.handle_timeout(now())
        else:
            request.receive_datagram(*found, now())
    inbox.socket.close()
    return request.result


async def mapped(network: Network, server: Endpoint) -> tuple[Inbox, Endpoint]:
    """A socket and its outside endpoint."""
    inbox = Inbox(await network.open_udp(family=server.family))
    found = await inbox.ask(stun.binding_request(ID, padded_to=80), server)
    assert found is not None
    outside = found[0].mapped
    assert outside is not None
    return inbox, outside


@pytest.mark.parametrize(
    ("filtering", "passes"),
    [
        ("endpoint-independent", [True, True, True]),
        ("address-dependent", [True, True, False]),
        ("address-and-port-dependent", [True, False, False]),
    ],
)
def test_change_request_tells_the_filters_apart(filtering: str, passes: list[bool]) -> None:
    async def test(network: Network, server: Endpoint) -> None:
        for change_address, change_port, passed in zip(
            (False, False, True), (False, True, True), passes, strict=True
        ):
            inbox, outside = await mapped(network, server)
            request = stun.binding_request(
                ID, change_address=change_address, change_port=change_port, padded_to=80
            )
            found = await inbox.ask(request, server)
            assert (found is not None) == passed
            if found is not None:
                assert found[0].mapped == outside
                assert (found[1].host != server.host) == change_address
                assert (found[1].port != server.port) == change_port

    behind(NatSpec(filtering=filtering), test)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("filtering", "arrives"), [("endpoint-independent", True), ("address-and-port-dependent", False)]
)
def test_a_dial_back_from_a_fresh_origin_meets_the_filter(filtering: str, arrives: bool) -> None:
    async def test(network: Network, server: Endpoint) -> None:
        inbox, outside = await mapped(network, server)
        ask = Ask("udp", outside.port, NONCE, change_address=True, change_port=True, copies=2, spacing_ms=100)
        result = await dial(network, server, ask)
        assert result is not None
        assert result.outcome == "sent"
        assert result.seen is not None
        assert result.seen.host == outside.host
        found = await inbox.next()
        assert (found is not None) == arrives
        if found is not None:
            assert found[1] == result.origin
            assert dialback.decode_indication(stun.decode(found[0])) == Arrival(NONCE, 0)

    behind(NatSpec(filtering=filtering), test)  # type: ignore[arg-type]


def test_a_list_of_ports_gets_one_datagram_each_from_the_other_address_and_spaced() -> None:
    async def test(network: Network, server: Endpoint) -> None:
        inboxes = [Inbox(await network.open_udp(family=4)) for _ in range(3)]
        ports = tuple(inbox.socket.local.port for inbox in inboxes)
        ask = Ask("udp", ports[0], NONCE, True, True, spacing_ms=100, ports=ports)
        began = asyncio.get_running_loop().time()
        result = await dial(network, server, ask)
        assert asyncio.get_running_loop().time() - began >= 0.2
        assert result is not None
        assert result.outcome == "sent"
        for number, inbox in enumerate(inboxes):
            found = await inbox.next(1.0)
            assert found is not None
            assert dialback.decode_indication(stun.decode(found[0])) == Arrival(NONCE, number)
            assert found[1] == result.origin
            assert (found[1].host, found[1].port) == ("11.201.0.3", 3479)
            assert await inbox.next(1.0) is None, "one each"

    behind(None, test)


def test_a_dial_back_over_tcp_reaches_an_open_host_and_not_one_behind_a_nat() -> None:
    async def test(network: Network, server: Endpoint) -> None:
        accepted: asyncio.Queue[TcpStream] = asyncio.Queue()
        listener = await network.listen_tcp(family=4, on_stream=accepted.put_nowait)
        ask = Ask("tcp", listener.local.port, NONCE, change_address=True, change_port=True)
        began = asyncio.get_running_loop().time()
        outcomes.append(await dial(network, server, ask))
        took_s.append(asyncio.get_running_loop().time() - began)
        streams.append(None if accepted.empty() else accepted.get_nowait().remote)
        listener.close()

    outcomes: list[Result | None] = []
    streams: list[Endpoint | None] = []
    took_s: list[float] = []
    behind(None, test)
    behind(NatSpec(), test)
    assert [each and each.outcome for each in outcomes] == ["connected", "timeout"]
    assert outcomes[0] is not None
    assert streams == [outcomes[0].origin, None]
    assert 3.0 <= took_s[1] < 3.5


def test_requests_behind_a_dial_back_do_not_wait_for_it() -> None:
    async def test(network: Network, server: Endpoint) -> None:
        now = asyncio.get_running_loop().time
        stream = await network.connect_tcp(server, timeout_s=5)
        assert not isinstance(stream, TcpFailure)
        ask = Ask("tcp", 9999, NONCE, change_port=True, copies=3, spacing_ms=100)
        began = now()
        stream.write(dialback.encode_request(ID, ask))
        stream.write(stun.binding_request(bytes(12)))
        assert stun.decode(await stream.read()).transaction_id == bytes(12)
        assert now() - began < 1
        result = dialback.decode_result(stun.decode(await stream.read()))
        assert result.outcome == "timeout"
        assert 3.2 <= now() - began < 3.5, "three attempts, 0.1 s apart, 3 s each"
        stream.close()

    behind(NatSpec(), test)


def test_of_several_attempts_to_connect_one_is_enough() -> None:
    async def test(network: Network, server: Endpoint) -> None:
        accepted: list[TcpStream] = []
        listener = await network.listen_tcp(family=4, on_stream=accepted.append)
        ask = Ask("tcp", listener.local.port, NONCE, change_port=True, copies=8, spacing_ms=100)
        result = await dial(network, server, ask)
        assert result is not None
        assert result.outcome == "connected"
        await pass_time(5)
        assert len(accepted) == 1
        assert accepted[0].remote == result.origin
        listener.close()

    behind(None, test)


def test_loss_does_not_multiply_a_dial_back() -> None:
    async def test(network: Network, server: Endpoint) -> None:
        inbox, outside = await mapped(network, server)
        ask = Ask("udp", outside.port, NONCE, copies=1)
        result = await dial(network, server, ask)
        found = await inbox.next()
        assert result is not None
        assert found is not None
        assert await inbox.next() is None, "one copy was asked for, and the request was repeated often"

    # A round trip of 3 s: every request is repeated before its answer can be there.
    behind(NatSpec(filtering="endpoint-independent", delay_ms=1500), test)


def test_one_address_says_so_and_ipv6_is_its_own() -> None:
    async def test(network: Network, server: Endpoint) -> None:
        inbox = Inbox(await network.open_udp(family=4))
        found = await inbox.ask(stun.binding_request(ID, padded_to=80), server)
        assert found is not None
        assert found[0].other_address is None
        refusal = await inbox.ask(stun.binding_request(ID, change_address=True), server)
        assert refusal is not None
        assert refusal[0].error == (420, "")

    behind(NatSpec(), test, addresses=1)


def test_an_idle_connection_ends_after_half_a_minute_and_a_busy_one_lives() -> None:
    async def test(network: Network, server: Endpoint) -> None:
        now = asyncio.get_running_loop().time
        stream = await network.connect_tcp(server, timeout_s=5)
        assert not isinstance(stream, TcpFailure)
        for _ in range(3):
            stream.write(stun.binding_request(ID))
            mapped_as = stun.decode(await stream.read()).mapped
            assert mapped_as is not None
            assert mapped_as.host == "11.1.0.2"
            last = now()
            await pass_time(20)
        assert await stream.read() == b""
        assert 29.5 < now() - last < 31
        stream.close()

    behind(NatSpec(), test)
