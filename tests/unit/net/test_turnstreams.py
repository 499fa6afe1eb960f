"""TCP through a relay (RFC 6062), in the simulator beside `nattools serve --relay`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from relayed import ALICE, HOST, UNCHECKED, URIS, beside_a_relay, try_relay
from simulated import pass_time

from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.serveruri import parse_server
from nattools.net.base import Network, TcpFailure, TcpStream
from nattools.net.steps import StepFailure
from nattools.net.turnopening import open_relayed_streams
from nattools.net.turnstreams import RelayedStreams
from nattools.protocols import turn


async def streams(network: Network, uri: str = URIS[1]) -> RelayedStreams:
    """An allocation for TCP."""
    found = await open_relayed_streams(network, parse_server(uri), ALICE, security=UNCHECKED)
    assert isinstance(found, RelayedStreams), found
    return found


async def exchange(one: TcpStream, other: TcpStream) -> None:
    """Bytes both ways, as many as do not fit into one segment."""
    data = bytes(range(256)) * 100
    for source, sink in ((one, other), (other, one)):
        source.write(data)
        got = b""
        while len(got) < len(data) and (more := await sink.read()):
            got += more
        assert got == data


@pytest.mark.parametrize("uri", URIS[1:])
def test_the_relay_connects_to_a_peer(uri: str, tmp_path: Path) -> None:
    async def main(lab: SimLab) -> None:
        accepted: asyncio.Queue[TcpStream] = asyncio.Queue()
        listener = await lab.network("carol").listen_tcp(family=4, on_stream=accepted.put_nowait)
        alice = await streams(lab.network("alice"), uri)
        mine = await alice.connect(listener.local)
        assert not isinstance(mine, turn.Refusal), mine
        theirs = await accepted.get()
        assert theirs.remote == alice.local
        await exchange(mine, theirs)
        theirs.close()
        assert await mine.read() == b""
        mine.close()
        listener.close()
        await alice.release()
        assert alice.ended is None

    beside_a_relay(main, tmp_path)


def test_a_peer_that_speaks_first() -> None:
    """What it says may come right behind the answer to ConnectionBind."""

    async def main(lab: SimLab) -> None:
        def greet(stream: TcpStream) -> None:
            stream.write(b"220 hello\r\n")
            stream.end()

        listener = await lab.network("carol").listen_tcp(family=4, on_stream=greet)
        alice = await streams(lab.network("alice"))
        mine = await alice.connect(listener.local)
        assert not isinstance(mine, turn.Refusal)
        assert await mine.read() == b"220 hello\r\n"
        mine.close()
        listener.close()
        alice.close()

    beside_a_relay(main)


def test_a_peer_connects_to_the_relay() -> None:
    async def main(lab: SimLab) -> None:
        carol = lab.network("carol")
        alice = await streams(lab.network("alice"))
        accepted: asyncio.Queue[tuple[TcpStream, Endpoint]] = asyncio.Queue()
        alice.on_stream = lambda stream, peer: accepted.put_nowait((stream, peer))
        stranger = await carol.connect_tcp(alice.local, timeout_s=5)
        await pass_time(5)
        assert accepted.empty()
        probe = await carol.open_udp(family=4)
        assert await alice.permit(probe.local) is None
        theirs = await carol.connect_tcp(alice.local, timeout_s=5)
        assert not isinstance(theirs, TcpFailure)
        mine, peer = await accepted.get()
        assert peer == theirs.local
        await exchange(mine, theirs)
        for each in (mine, theirs, stranger, probe):
            if not isinstance(each, TcpFailure):
                each.close()
        alice.close()

    beside_a_relay(main)


@pytest.mark.parametrize(("peer", "code"), [(Endpoint("10.0.0.1", 80), 403), (Endpoint("2a10::1", 80), 443)])
def test_a_peer_that_the_relay_refuses(peer: Endpoint, code: int) -> None:
    async def main(lab: SimLab) -> None:
        alice = await streams(lab.network("alice"))
        refusal = await alice.connect(peer)
        assert isinstance(refusal, turn.Refusal)
        assert refusal.code == code
        alice.close()
        assert isinstance(await alice.connect(peer), turn.Refusal)

    beside_a_relay(main)


def test_a_peer_that_does_not_listen() -> None:
    async def main(lab: SimLab) -> None:
        carol = await lab.network("carol").open_udp(family=4)
        alice = await streams(lab.network("alice"))
        refusal = await alice.connect(carol.local)
        assert isinstance(refusal, turn.Refusal)
        assert refusal.reason == "447 Connection Timeout or Failure"
        carol.close()
        alice.close()

    beside_a_relay(main)


def test_over_udp_there_is_no_such_allocation() -> None:
    async def main(lab: SimLab) -> None:
        found = await try_relay(lab.network("alice"), f"turn:{HOST}", wish=turn.Wish(tcp=True))
        assert isinstance(found, StepFailure)
        assert found.code == 400

    beside_a_relay(main)
