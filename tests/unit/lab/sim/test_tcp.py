"""TCP in the simulator: handshake, data over bad links, simultaneous open, and every way to fail."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from simulated import STUN, behind_nat, open_internet, pass_time, run

from nattools.errors import CannotRun
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import Network, TcpFailure, TcpListener, TcpStream

BOB = "11.102.0.2"
ALICE = "11.101.0.2"


class Accepted:
    """A listener whose streams can be waited for."""

    def __init__(self) -> None:
        self.streams: asyncio.Queue[TcpStream] = asyncio.Queue()
        self.listener: TcpListener | None = None

    async def open(self, network: Network, port: int, **options: Any) -> Accepted:
        """Listen."""
        self.listener = await network.listen_tcp(
            family=options.pop("family", 4), port=port, on_stream=self.streams.put_nowait, **options
        )
        return self


async def connected(network: Network, to: Endpoint, timeout_s: float = 60.0, **options: Any) -> TcpStream:
    """A connection that must come about."""
    stream = await network.connect_tcp(to, timeout_s=timeout_s, **options)
    assert not isinstance(stream, TcpFailure), stream
    return stream


async def read_exactly(stream: TcpStream, size: int) -> bytes:
    """So many bytes, or fewer if the stream ends."""
    data = b""
    while len(data) < size and (part := await stream.read(size - len(data))):
        data += part
    return data


async def write_all(stream: TcpStream, data: bytes) -> None:
    """Write in parts, waiting for each."""
    for start in range(0, len(data), 50_000):
        stream.write(data[start : start + 50_000])
        await stream.drain()


def test_request_and_answer_take_two_round_trips() -> None:
    async def main(lab: SimLab) -> None:
        accepted = await Accepted().open(lab.network("stun"), STUN.port, host=STUN.host)
        client = await connected(lab.network("alice"), STUN)
        assert lab.loop.time() == 0.1
        assert (client.local.host, client.remote) == ("10.0.1.2", STUN)
        client.write(b"question")
        server = await accepted.streams.get()
        assert (server.local, server.remote.host) == (STUN, "11.1.0.2")
        assert await server.read() == b"question"
        server.write(b"answer")
        assert await client.read(3) == b"ans"
        assert await client.read() == b"wer"
        assert lab.loop.time() == 0.2
        client.close()
        assert await server.read() == b""
        server.close()
        assert await client.read() == b""

    run(behind_nat(delay_ms=50), main)


@pytest.mark.parametrize(("loss", "patience_s"), [(0.0, 1.0), (0.05, 60.0)])
def test_large_transfers_in_both_directions_arrive_whole(loss: float, patience_s: float) -> None:
    up = bytes(range(256)) * 1600
    down = up[::-1]

    async def main(lab: SimLab) -> None:
        accepted = await Accepted().open(lab.network("bob"), 80)
        client = await connected(lab.network("alice"), Endpoint(BOB, 80))
        server = await accepted.streams.get()
        async with asyncio.TaskGroup() as group:
            group.create_task(write_all(client, up))
            group.create_task(write_all(server, down))
            at_server = group.create_task(read_exactly(server, len(up)))
            at_client = group.create_task(read_exactly(client, len(down)))
        assert at_server.result() == up
        assert at_client.result() == down
        client.close()
        assert await server.read() == b""
        server.close()
        assert await client.read() == b""
        assert lab.loop.time() < patience_s

    run(open_internet(delay_ms=20, loss=loss, reorder=loss), main)


def test_what_was_written_before_closing_arrives_before_the_end() -> None:
    data = bytes(300_000)

    async def main(lab: SimLab) -> None:
        accepted = await Accepted().open(lab.network("bob"), 80)
        client = await connected(lab.network("alice"), Endpoint(BOB, 80))
        client.write(data)
        client.close()
        client.write(b"too late")
        server = await accepted.streams.get()
        assert await read_exactly(server, len(data) + 1) == data

    run(open_internet(delay_ms=20, loss=0.02), main)


def test_a_lost_syn_is_sent_again_after_one_and_three_seconds() -> None:
    async def main(lab: SimLab) -> None:
        began = lab.loop.time()
        connecting = lab.network("alice").connect_tcp(Endpoint(BOB, 80), timeout_s=30)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(connecting)
            await pass_time(2.5)
            lab.net.rng = _Lucky()
            await Accepted().open(lab.network("bob"), 80)
            stream = await task
        assert not isinstance(stream, TcpFailure)
        assert lab.loop.time() - began == pytest.approx(3.02)

    run(open_internet(delay_ms=10, loss=0.999999), main)


class _Lucky:
    """A random number generator whose packets are never lost."""

    def random(self) -> float:
        return 0.9999999


def test_nobody_answering_is_a_timeout() -> None:
    async def main(lab: SimLab) -> None:
        failure = await lab.network("alice").connect_tcp(Endpoint("11.250.0.1", 80), timeout_s=9.5)
        assert isinstance(failure, TcpFailure)
        assert failure.outcome == "timeout"
        assert lab.loop.time() == 9.5

    run(open_internet(), main)


def test_a_closed_port_refuses() -> None:
    async def main(lab: SimLab) -> None:
        failure = await lab.network("alice").connect_tcp(Endpoint(BOB, 80), timeout_s=9)
        assert isinstance(failure, TcpFailure)
        assert failure.outcome == "refused"
        assert lab.loop.time() == 0.02

    run(open_internet(delay_ms=10), main)


@pytest.mark.parametrize("destination", ["10.99.0.1", "2a10:c9::2"])
def test_no_way_there_is_unreachable(destination: str) -> None:
    async def main(lab: SimLab) -> None:
        failure = await lab.network("alice").connect_tcp(Endpoint(destination, 80), timeout_s=9)
        assert isinstance(failure, TcpFailure)
        assert failure.outcome == "unreachable"
        assert lab.loop.time() == 0

    run(open_internet(), main)


def test_simultaneous_open_without_nat() -> None:
    async def main(lab: SimLab) -> None:
        alice, bob = lab.network("alice"), lab.network("bob")
        async with asyncio.TaskGroup() as group:
            one = group.create_task(connected(alice, Endpoint(BOB, 5000), port=4000))
            other = group.create_task(connected(bob, Endpoint(ALICE, 4000), port=5000))
        one.result().write(b"from alice")
        other.result().write(b"from bob")
        assert await other.result().read() == b"from alice"
        assert await one.result().read() == b"from bob"
        assert lab.loop.time() < 0.2

    run(open_internet(delay_ms=30), main)


def test_simultaneous_open_through_two_nats_while_both_listen() -> None:
    scenario = Scenario(
        title="two homes",
        nat={"a": NatSpec(), "b": NatSpec()},
        host={"alice": HostSpec(behind="a", delay_ms=10), "bob": HostSpec(behind="b", delay_ms=30)},
    )

    async def main(lab: SimLab) -> None:
        alice, bob = lab.network("alice"), lab.network("bob")
        for network in (alice, bob):
            await Accepted().open(network, 4000)
        async with asyncio.TaskGroup() as group:
            one = group.create_task(connected(alice, Endpoint("11.2.0.2", 4000), port=4000))
            other = group.create_task(connected(bob, Endpoint("11.1.0.2", 4000), port=4000))
        one.result().write(b"hello")
        assert await other.result().read() == b"hello"
        other.result().close()
        assert await one.result().read() == b""

    run(scenario, main)


def test_a_listener_and_several_connections_share_a_port() -> None:
    async def main(lab: SimLab) -> None:
        at_stun = await Accepted().open(lab.network("stun"), 80)
        at_bob = await Accepted().open(lab.network("bob"), 80)
        network = lab.network("alice")
        own = await Accepted().open(network, 4000)
        await connected(network, STUN._replace(port=80), port=4000)
        await connected(network, Endpoint(BOB, 80), port=4000)
        incoming = await connected(lab.network("bob"), Endpoint(ALICE, 4000))
        assert (await own.streams.get()).remote == incoming.local
        for accepted in (at_stun, at_bob):
            assert (await accepted.streams.get()).remote == Endpoint(ALICE, 4000)
        again = await network.connect_tcp(Endpoint(BOB, 80), port=4000, timeout_s=1)
        assert isinstance(again, TcpFailure)
        assert again.outcome == "error"
        with pytest.raises(CannotRun, match="in use"):
            await Accepted().open(network, 4000)

    run(open_internet(), main)


def test_abort_ends_the_other_side_after_what_it_had() -> None:
    async def main(lab: SimLab) -> None:
        accepted = await Accepted().open(lab.network("bob"), 80)
        client = await connected(lab.network("alice"), Endpoint(BOB, 80))
        server = await accepted.streams.get()
        client.write(b"last words")
        client.abort()
        client.abort()
        await pass_time(1)
        assert await server.read() == b"last words"
        assert await server.read() == b""
        server.write(bytes(1_000_000))
        await server.drain()
        assert await client.read() == b""

    run(open_internet(delay_ms=10), main)


def test_a_vanished_peer_ends_the_stream_after_many_retransmissions() -> None:
    async def main(lab: SimLab) -> None:
        await Accepted().open(lab.network("bob"), 80)
        client = await connected(lab.network("alice"), Endpoint(BOB, 80))
        lab.net.node("bob").owns = {}
        client.write(b"anyone there?")
        assert await client.read() == b""
        assert 60 < lab.loop.time() < 1000

    run(open_internet(delay_ms=10), main)


def test_a_closed_listener_refuses_and_its_streams_live_on() -> None:
    async def main(lab: SimLab) -> None:
        accepted = await Accepted().open(lab.network("bob"), 80)
        client = await connected(lab.network("alice"), Endpoint(BOB, 80))
        server = await accepted.streams.get()
        assert accepted.listener is not None
        accepted.listener.close()
        accepted.listener.close()
        refused = await lab.network("alice").connect_tcp(Endpoint(BOB, 80), timeout_s=1)
        assert isinstance(refused, TcpFailure)
        client.write(b"still here")
        assert await server.read() == b"still here"

    run(open_internet(), main)


def test_a_cancelled_connect_leaves_nothing_behind() -> None:
    async def main(lab: SimLab) -> None:
        accepted = await Accepted().open(lab.network("bob"), 80)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.015):
                    await connected(lab.network("alice"), Endpoint(BOB, 80), port=4000)
        await pass_time(5)
        assert accepted.streams.empty()

    run(open_internet(delay_ms=10), main)


def test_the_segments_fit_a_narrow_path() -> None:
    data = bytes(100_000)

    async def main(lab: SimLab) -> None:
        accepted = await Accepted().open(lab.network("stun"), 80)
        client = await connected(lab.network("alice"), STUN._replace(port=80))
        async with asyncio.TaskGroup() as group:
            group.create_task(write_all(client, data))
            server = await accepted.streams.get()
            assert await read_exactly(server, len(data)) == data
        assert lab.loop.time() < 2

    run(behind_nat(NatSpec(mtu=1300), delay_ms=10), main)


def test_ipv6_by_its_own_port_and_interface() -> None:
    scenario = Scenario(title="six", host={"alice": HostSpec(ipv6=True)})
    server6 = Endpoint("2a10:c9::2", 80)

    async def main(lab: SimLab) -> None:
        accepted = await Accepted().open(lab.network("stun"), 80, family=6)
        client = await connected(lab.network("alice"), server6, port=99, interface="eth0")
        assert client.local == Endpoint("2a10:65::2", 99)
        assert (await accepted.streams.get()).local == server6

    run(scenario, main)


def test_a_stream_that_has_ended_still_reads() -> None:
    async def main(lab: SimLab) -> None:
        accepted = await Accepted().open(lab.network("bob"), 80)
        client = await connected(lab.network("alice"), Endpoint(BOB, 80))
        server = await accepted.streams.get()
        client.write(b"all")
        client.end()
        client.end()
        client.write(b"too late")
        assert await read_exactly(server, 100) == b"all"
        assert not client.over
        server.write(b"answer")
        server.close()
        assert await read_exactly(client, 100) == b"answer"
        assert client.over

    run(open_internet(delay_ms=5), main)


def test_a_reset_stream_is_over() -> None:
    async def main(lab: SimLab) -> None:
        accepted = await Accepted().open(lab.network("bob"), 80)
        client = await connected(lab.network("alice"), Endpoint(BOB, 80))
        server = await accepted.streams.get()
        server.abort()
        assert await client.read() == b""
        assert client.over

    run(open_internet(delay_ms=5), main)
