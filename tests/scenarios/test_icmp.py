"""Echo requests, their replies and the errors about them through NATs: alike in the simulator, through the
kernel's NAT, and through the userspace router (RFC 5508)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nattools.lab.backend import Backend, Lab, open_lab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import EchoReply, IcmpError, IcmpSocket
from nattools.net.trace import Trace, TracedNetwork
from nattools.protocols.ip import build
from nattools.protocols.packet import Packet

BACKENDS = ["sim", pytest.param("netns", marks=pytest.mark.netns)]
SERVER: dict[Family, str] = {4: "11.201.0.2", 6: "2a10:c9::2"}
CORE: dict[Family, str] = {4: "11.1.0.1", 6: "2a10:1::1"}
WAN = "11.1.0.2"


def scenario(engine: Any) -> Scenario:
    nat = NatSpec(engine=engine, ipv6="firewall")
    return Scenario(
        title="t", nat={"home": nat}, host={"alice": HostSpec(behind="home"), "carol": HostSpec()}
    )


class ReceivedKnock:
    """What came over an ICMP socket."""

    def __init__(self, socket: IcmpSocket) -> None:
        self._queue: asyncio.Queue[EchoReply | IcmpError] = asyncio.Queue()
        socket.on_reply = self._queue.put_nowait
        socket.on_icmp = self._queue.put_nowait

    async def next(self) -> Any:
        async with asyncio.timeout(20):
            return await self._queue.get()


async def every(seconds: float, act: Callable[[], object]) -> None:
    """Do something again and again."""
    while True:
        act()
        await asyncio.sleep(seconds)


def in_lab(backend: Backend, engine: str, main: Callable[[Lab], Awaitable[None]]) -> None:
    with open_lab(scenario(engine), backend) as lab:
        lab.run(lambda: main(lab))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("engine", ["auto", "tun"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_echo_through_a_nat(backend: Backend, engine: str, family: Family) -> None:
    async def main(lab: Lab) -> None:
        network = TracedNetwork(lab.network("alice"), trace := Trace(0.0))
        socket = await network.open_icmp(family=family)
        heard = ReceivedKnock(socket)
        assert socket.send_echo(SERVER[family], 7, b"ping") is None
        reply = await heard.next()
        assert (reply.source, reply.sequence, reply.payload) == (SERVER[family], 7, b"ping")
        assert reply.ttl == 62
        socket.send_echo(SERVER[family], 65535, b"far", ttl=2)
        error = await heard.next()
        assert (error.kind, error.offender, error.sequence) == ("time-exceeded", CORE[family], 65535)
        assert (error.destination, error.quoted) == (Endpoint(SERVER[family], 0), b"far")
        assert socket.send_echo(SERVER[family], 8, b"again") is None
        assert (await heard.next()).sequence == 8
        socket.close()
        socket.close()
        assert socket.send_echo(SERVER[family], 9) == "error"
        assert [event.kind for event in trace.events] == [
            "echo",
            "echo",
            "echo",
            "icmp",
            "echo",
            "echo",
            "echo",
        ]

    in_lab(backend, engine, main)


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_socket_hears_its_own(backend: Backend) -> None:
    async def main(lab: Lab) -> None:
        network = lab.network("carol")
        sockets = [await network.open_icmp(family=4) for _ in range(3)]
        heard = [ReceivedKnock(socket) for socket in sockets]
        assert len({socket.identifier for socket in sockets}) == 3
        for number, socket in enumerate(sockets):
            socket.send_echo(SERVER[4], number)
        assert [(await each.next()).sequence for each in heard] == [0, 1, 2]
        for socket in sockets:
            socket.close()

    in_lab(backend, "auto", main)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_unreachable_network_is_an_error_about_the_request(backend: Backend) -> None:
    async def main(lab: Lab) -> None:
        socket = await lab.network("carol").open_icmp(family=4)
        heard = ReceivedKnock(socket)
        socket.send_echo("10.77.0.1", 1, b"nowhere")
        error = await heard.next()
        assert (error.kind, error.sequence, error.quoted) == ("unreachable", 1, b"nowhere")
        socket.close()

    in_lab(backend, "auto", main)


@pytest.mark.parametrize("engine", ["auto", "tun"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_crafted_error_passes_the_nat_that_sent_the_request(backend: Backend, engine: str) -> None:
    """What pwnat rests on: a stranger's Time Exceeded about an echo request is let in, with what the stranger
    put behind it, and the offender's address is the stranger's."""

    async def main(lab: Lab) -> None:
        socket = await lab.network("alice").open_icmp(family=4)
        heard = ReceivedKnock(socket)
        socket.send_echo("11.99.0.9", 3, b"")
        carol = lab.network("carol")
        identifier = socket.identifier
        quoted = Packet("icmp", WAN, identifier, "11.99.0.9", identifier, b"hello", ttl=1)
        quoted.icmp_type, quoted.icmp_rest = 8, 3
        error = Packet("icmp", "11.101.0.2", 0, WAN, 0, about=quoted, icmp_type=11)
        async with asyncio.TaskGroup() as group:  # nobody tells when the request has passed the NAT
            again = group.create_task(every(0.05, lambda: carol.send_packet(build(error))))
            told = await heard.next()
            again.cancel()
        assert (told.kind, told.offender) == ("time-exceeded", "11.101.0.2")
        assert (told.sequence, told.quoted) == (3, b"hello")
        socket.close()

    in_lab(backend, engine, main)


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_can_be_done_here(backend: Backend) -> None:
    with open_lab(scenario("auto"), backend) as lab:
        network = lab.network("alice")
        assert [network.missing(what) for what in ("icmp", "raw-packets")] == [None, None]  # type: ignore[arg-type]
        assert network.send_packet(b"") == "error"
