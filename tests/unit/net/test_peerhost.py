"""A libp2p host and its streams, with those who call without end and those who do not read."""

from __future__ import annotations

import asyncio
from typing import Any

from simulated import open_internet, pass_time, run

from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpStream
from nattools.net.libp2p.peerconnection import Libp2pConnection, MuxStream
from nattools.net.libp2p.peerhost import PING, PeerHost
from nattools.protocols.libp2p.yamux import WINDOW_SIZE

BOB = Endpoint("11.102.0.2", 4001)


def test_who_calls_without_end_is_reset_until_others_have_gone() -> None:
    async def main(lab: SimLab) -> None:
        async with PeerHost(lab.network("bob")) as bob:
            await bob.listen(4, host=BOB.host, port=BOB.port)
            async with PeerHost(lab.network("alice")) as alice:
                made = [await alice.dial(BOB, timeout_s=5.0) for _ in range(70)]
                assert len(bob.connections) == sum(isinstance(each, Libp2pConnection) for each in made) == 64
            await pass_time(1.0)
            async with PeerHost(lab.network("alice")) as alice:
                assert isinstance(await alice.dial(BOB, timeout_s=5.0), Libp2pConnection)

    run(open_internet(), main)


class UnreadStream:
    """One whose other end takes nothing that is written any more."""

    def __init__(self, inner: TcpStream) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def drain(self) -> None:
        """As long as it is asked."""
        await asyncio.get_running_loop().create_future()


def test_who_does_not_read_what_it_is_told_is_dropped() -> None:
    async def main(lab: SimLab) -> None:
        async with PeerHost(lab.network("bob")) as bob, PeerHost(lab.network("alice")) as alice:

            async def take(stream: TcpStream) -> None:
                await bob.take(UnreadStream(stream), initiates=False)

            listener = await lab.network("bob").listen_tcp(
                family=4, host=BOB.host, port=BOB.port, on_stream=lambda stream: bob.spawn(take(stream))
            )
            made = await alice.dial(BOB, timeout_s=5.0)
            assert isinstance(made, Libp2pConnection)
            await pass_time(9.0)
            assert len(bob.connections) == 1
            await pass_time(2.0)
            assert bob.connections == []
            assert made.ended.is_set()
            listener.close()

    run(open_internet(), main)


def test_who_waits_for_a_reader_hears_that_the_stream_was_closed() -> None:
    async def stall(stream: MuxStream) -> None:
        await asyncio.get_running_loop().create_future()

    async def main(lab: SimLab) -> None:
        async with PeerHost(lab.network("bob")) as bob, PeerHost(lab.network("alice")) as alice:
            bob.servers["/stall"] = stall
            await bob.listen(4, host=BOB.host, port=BOB.port)
            made = await alice.dial(BOB, timeout_s=5.0)
            assert isinstance(made, Libp2pConnection)
            stream = await made.open("/stall", timeout_s=5.0)
            assert stream is not None
            stream.write(bytes(2 * WINDOW_SIZE))
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(stream.drain())
                await pass_time(5.0)
                assert not waiting.done()
                stream.close()
                await pass_time(5.0)
                assert waiting.done()

    run(open_internet(), main)


class PingingStream:
    """A peer's stream with pings that came at once, and the end."""

    def __init__(self, *said: bytes) -> None:
        self.said = [*said, b""]
        self.written: list[bytes] = []

    async def read(self, limit: int = 65536) -> bytes:
        data, self.said[0] = self.said[0][:limit], self.said[0][limit:]
        if not self.said[0] and len(self.said) > 1:
            del self.said[0]
        return data

    def write(self, data: bytes) -> None:
        self.written.append(data)

    async def drain(self) -> None:
        """It takes all."""


def test_pings_that_come_at_once_are_echoed_at_once() -> None:
    """Each by itself they cost a server 50 times as much."""

    async def main(lab: SimLab) -> None:
        stream = PingingStream(bytes(range(100)) * 32, b"0" * 31, b"0")
        server: Any = PeerHost(lab.network("bob")).servers[PING]
        await server(stream)
        assert [each for each in stream.written if each] == [bytes(range(100)) * 32, b"0" * 32]

    run(open_internet(), main)
