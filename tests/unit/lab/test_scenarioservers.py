"""Each kind of a scenario's scenarioservers, on the loopback interface: does it do what its name says?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nattools.errors import CannotRun, ProtocolError
from nattools.lab import scenarioservers
from nattools.lab.scenario import ServerSpec
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure
from nattools.net.system.hostnetwork import HostNetwork
from nattools.protocols import stun
from nattools.protocols.stun import constants as c

ADDRESSES = ("127.0.0.1", "127.0.0.2", "::1")
ID = bytes(range(12))
OLD_ID = bytes(range(16))
LIMIT_S = 30.0
TRIES = 20
"""A port that is free over UDP at one address may be another program's by then, or over TCP: that is so of
less than one in ten."""


async def free_port() -> int:
    """A port that is free now, with the one after it, on the addresses of these tests."""
    network = HostNetwork()
    while True:
        socket = await network.open_udp(family=4, host="127.0.0.1")
        port = socket.local.port
        socket.close()
        try:
            probe = await network.open_udp(family=4, host="127.0.0.1", port=port + 1)
        except CannotRun:
            continue
        probe.close()
        return port


async def started(network: HostNetwork, spec: dict[str, Any]) -> tuple[scenarioservers.RunningServer, int]:
    """A server of this kind, and its port."""
    for _ in range(TRIES):
        port = await free_port()
        try:
            return await scenarioservers.start(network, ServerSpec(port=port, **spec), ADDRESSES), port
        except CannotRun as error:
            why = error
    raise why


class Asker:
    """One question at a time. That there is no answer shows when a later question is answered."""

    def __init__(self, server: Endpoint, fence: Endpoint) -> None:
        self.server = server
        self._fence = fence
        self._arrived: asyncio.Queue[tuple[bytes, Endpoint]] = asyncio.Queue()

    async def open(self) -> None:
        self._socket = await HostNetwork().open_udp(family=self.server.family, host=self.server.host)
        self._socket.on_datagram = lambda data, source: self._arrived.put_nowait((data, source))
        self.local = self._socket.local

    async def ask(self, request: bytes) -> tuple[bytes, Endpoint] | None:
        self._socket.send(request, self.server)
        self._socket.send(b"fence", self._fence)
        data, source = await asyncio.wait_for(self._arrived.get(), LIMIT_S)
        if source == self._fence:
            return None
        await asyncio.wait_for(self._arrived.get(), LIMIT_S)
        return data, source

    def close(self) -> None:
        self._socket.close()


def scene(test: Callable[[Asker], Awaitable[None]], host: str = "127.0.0.1", **spec: Any) -> None:
    """Run a test against a server of this kind. The fence echoes: on one loopback, what was asked before the
    fence was answered before it."""

    async def main() -> None:
        network = HostNetwork()
        fence = await network.open_udp(family=6 if ":" in host else 4, host=host)
        fence.on_datagram = lambda data, source: fence.send(data, source) and None
        handle, port = await started(network, spec)
        asker = Asker(Endpoint(host, port), fence.local)
        try:
            await asker.open()
            await test(asker)
        finally:
            asker.close()
            fence.close()
            await handle.close()

    asyncio.run(main())


async def answer(asker: Asker, request: bytes) -> tuple[stun.Message, Endpoint]:
    found = await asker.ask(request)
    assert found is not None
    return stun.decode(found[0]), found[1]


BOTH = stun.binding_request(ID, change_address=True, change_port=True)


@pytest.mark.parametrize("kind", ["nattools", "rfc5780"])
def test_full_servers_answer_from_elsewhere(kind: str) -> None:
    async def test(asker: Asker) -> None:
        message, source = await answer(asker, BOTH)
        assert source == Endpoint("127.0.0.2", asker.server.port + 1)
        assert message.other_address == source
        assert message.mapped == asker.local
        assert (message.hello is not None) == (kind == "nattools")

    scene(test, kind=kind)


@pytest.mark.parametrize("kind", ["nattools", "rfc5780", "plain"])
def test_ipv6_is_a_family_of_its_own(kind: str) -> None:
    async def test(asker: Asker) -> None:
        message, source = await answer(asker, stun.binding_request(ID))
        assert source == asker.server
        assert message.mapped == asker.local
        assert message.other_address is None, "there is one IPv6 address"

    scene(test, host="::1", kind=kind)


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [("plain", [c.XOR_MAPPED_ADDRESS, c.MAPPED_ADDRESS]), ("xor-only", [c.XOR_MAPPED_ADDRESS])],
)
def test_plain_servers_know_binding_alone(kind: str, attributes: list[int]) -> None:
    async def test(asker: Asker) -> None:
        message, _ = await answer(asker, stun.binding_request(ID))
        assert [number for number, _ in message.attributes] == attributes
        assert message.mapped == asker.local
        refusal, source = await answer(asker, BOTH)
        assert source == asker.server
        assert refusal.error is not None
        assert refusal.error[0] == 420

    scene(test, kind=kind)


def test_an_old_server_knows_no_cookie() -> None:
    async def test(asker: Asker) -> None:
        assert await asker.ask(stun.binding_request(ID)) is None
        request = stun.binding_request(OLD_ID, change_address=True, change_port=True, hello=False)
        message, source = await answer(asker, request)
        assert source == Endpoint("127.0.0.2", asker.server.port + 1)
        assert message.legacy
        assert message.mapped == asker.local
        assert message.other_address == source

    scene(test, kind="rfc3489")


def test_a_silent_server_is_silent() -> None:
    async def test(asker: Asker) -> None:
        assert await asker.ask(stun.binding_request(ID)) is None

    scene(test, kind="silent")


def test_garbage_is_never_a_valid_answer() -> None:
    async def test(asker: Asker) -> None:
        for _ in range(10):
            found = await asker.ask(stun.binding_request(ID))
            assert found is not None
            try:
                message = stun.decode(found[0])
                assert message.transaction_id != ID or message.mapped is None
            except ProtocolError:
                pass

    scene(test, kind="garbage")


def test_a_wrong_address_comes_now_and_then() -> None:
    async def test(asker: Asker) -> None:
        right = [(await answer(asker, stun.binding_request(ID)))[0].mapped == asker.local for _ in range(6)]
        assert right == [True, True, False] * 2

    scene(test, kind="wrong-address")


def test_a_fake_claims_another_address_and_answers_from_its_first() -> None:
    async def test(asker: Asker) -> None:
        message, source = await answer(asker, BOTH)
        assert source == asker.server
        assert message.other_address == Endpoint("127.0.0.2", asker.server.port + 1)
        assert message.response_origin == message.other_address, "it lies about this, too"

    scene(test, kind="fake-other")


def test_a_server_that_ignores_change_request_answers_as_if_it_were_not_there() -> None:
    async def test(asker: Asker) -> None:
        message, source = await answer(asker, BOTH)
        assert source == asker.server
        assert message.mapped == asker.local
        assert message.other_address is None

    scene(test, kind="ignores-change")


@pytest.mark.parametrize(("kind", "tcp", "listens"), [("plain", True, True), ("plain", False, False)])
def test_tcp_is_as_the_scenario_says(kind: str, tcp: bool, listens: bool) -> None:
    async def test(asker: Asker) -> None:
        stream = await HostNetwork().connect_tcp(asker.server, timeout_s=LIMIT_S)
        assert isinstance(stream, TcpFailure) != listens
        if not isinstance(stream, TcpFailure):
            stream.write(stun.binding_request(ID))
            data = await asyncio.wait_for(stream.read(), LIMIT_S)
            assert stun.decode(data).mapped == stream.local
            stream.close()

    scene(test, kind=kind, tcp=tcp)
