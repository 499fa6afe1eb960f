"""TCP through a relay (RFC 6062), in the simulator beside `nattools serve --relay`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from relayed import ALICE, HOST, UNCHECKED, URIS, beside_a_relay, try_relay, two_sites
from scriptedrelay import PEER, ScriptedRelay
from simulated import pass_time, run
from streamends import both_ways

from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.serveruri import parse_server
from nattools.net.base import Network, TcpFailure, TcpStream
from nattools.net.turn.turnopening import open_relayed_streams
from nattools.net.turn.turnstreams import MOST_ACCEPTING, RelayedStreams
from nattools.net.web.serversteps import StepFailure
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.protocols.turn.refusal import TurnRefusal
from nattools.protocols.turn.requests import AllocationSpec


async def streams(network: Network, uri: str = URIS[1]) -> RelayedStreams:
    """An allocation for TCP."""
    found = await open_relayed_streams(network, parse_server(uri), ALICE, security=UNCHECKED)
    assert isinstance(found, RelayedStreams), found
    return found


async def exchange(one: TcpStream, other: TcpStream) -> None:
    """Bytes both ways, as many as do not fit into one segment."""
    await both_ways(one, other, bytes(range(256)) * 100)


@pytest.mark.parametrize("uri", URIS[1:])
def test_the_relay_connects_to_a_peer(uri: str, tmp_path: Path) -> None:
    async def main(lab: SimLab) -> None:
        accepted: asyncio.Queue[TcpStream] = asyncio.Queue()
        listener = await lab.network("carol").listen_tcp(family=4, on_stream=accepted.put_nowait)
        alice = await streams(lab.network("alice"), uri)
        mine = await alice.connect(listener.local)
        assert not isinstance(mine, TurnRefusal), mine
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
        assert not isinstance(mine, TurnRefusal)
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
        assert isinstance(refusal, TurnRefusal)
        assert refusal.code == code
        alice.close()
        assert isinstance(await alice.connect(peer), TurnRefusal)

    beside_a_relay(main)


def test_a_peer_that_does_not_listen() -> None:
    async def main(lab: SimLab) -> None:
        carol = await lab.network("carol").open_udp(family=4)
        alice = await streams(lab.network("alice"))
        refusal = await alice.connect(carol.local)
        assert isinstance(refusal, TurnRefusal)
        assert refusal.reason == "447 Connection Timeout or Failure"
        carol.close()
        alice.close()

    beside_a_relay(main)


class ScriptedService:
    """A scripted relay over TCP. It says `greeting` behind each permission, and answers ConnectionBind with
    what `on_bind` gives: None is silence, b"" the end of the connection."""

    def __init__(self, lab: SimLab) -> None:
        self.relay = ScriptedRelay()
        self.relay.relayed = (Endpoint(HOST, 50_000),)
        self.on_bind: Callable[[stun.Message], bytes | None] | None = None
        self.greeting: list[bytes] = []
        self.binding = 0
        self.streams: list[TcpStream] = []
        self._lab = lab
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ScriptedService:
        self.listener = await self._lab.network("stun").listen_tcp(family=4, port=3478, on_stream=self._begin)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.listener.close()
        for task in self._tasks:
            task.cancel()
        for stream in self.streams:
            stream.close()

    def _begin(self, stream: TcpStream) -> None:
        self.streams.append(stream)
        self._tasks.add(asyncio.get_running_loop().create_task(self._serve(stream)))

    async def _serve(self, stream: TcpStream) -> None:
        framer = turn.TurnFramer()
        while data := await stream.read():
            for message in framer.feed(data):
                request = stun.decode(message)
                if request.method == c.CONNECTION_BIND and self.on_bind is not None:
                    self.binding += 1
                    answer = self.on_bind(request)
                    if answer == b"":
                        stream.close()
                    elif answer is not None:
                        stream.write(answer)
                    continue
                for answer in self.relay.receive(message):
                    stream.write(answer)
                if request.method == c.CREATE_PERMISSION:
                    stream.write(b"".join(self.greeting))


@pytest.mark.parametrize(
    ("answer", "code", "why"),
    [
        ("error", 400, "its own words"),
        ("forged", None, "message integrity"),
        ("end", None, "no answer"),
        ("silence", None, "no answer"),
        ("garbage", None, "no answer"),
        ("refused", None, "reset"),
    ],
)
def test_a_connection_that_is_not_handed_over(answer: str, code: int | None, why: str) -> None:
    async def main(lab: SimLab) -> None:
        async with ScriptedService(lab) as service:
            said: dict[str, Callable[[stun.Message], bytes | None]] = {
                "error": lambda request: service.relay.error(request, 400),
                "forged": lambda request: stun.encode(
                    stun.Message(request.method, "success", request.transaction_id)
                ),
                "end": lambda request: b"",
                "garbage": lambda request: b"HTTP/1.1 400 Bad Request\r\n\r\n",
            }
            service.on_bind = said.get(answer, lambda request: None)
            alice = await streams(lab.network("alice"))
            if answer == "refused":
                service.listener.close()
            refusal = await alice.connect(PEER)
            assert isinstance(refusal, TurnRefusal)
            assert (refusal.asked, refusal.code) == ("connection-bind", code)
            assert why in refusal.detail
            alice.close()

    run(two_sites(), main)


def test_a_relay_that_goes_while_it_connects() -> None:
    async def main(lab: SimLab) -> None:
        async with ScriptedService(lab) as service:
            service.relay.answers[c.CONNECT] = lambda request: None
            alice = await streams(lab.network("alice"))
            asking = asyncio.create_task(alice.connect(PEER))
            await pass_time(5)
            assert not asking.done()
            service.streams[0].close()
            refusal = await asking
            assert isinstance(refusal, TurnRefusal)
            assert refusal == alice.ended
            assert "ended the connection" in refusal.detail
            alice.close()

    run(two_sites(), main)


def test_a_relay_that_offers_connections_without_end() -> None:
    async def main(lab: SimLab) -> None:
        async with ScriptedService(lab) as service:
            peer = (c.XOR_PEER_ADDRESS, stun.pack_xor_address(PEER, bytes(12)))
            for number in range(500):
                attributes = ((c.CONNECTION_ID, number.to_bytes(4, "big")), peer)
                message = stun.Message(c.CONNECTION_ATTEMPT, "indication", bytes(12), attributes)
                service.greeting.append(stun.encode(message))
            service.on_bind = lambda request: None
            alice = await streams(lab.network("alice"))
            got: list[TcpStream] = []
            alice.on_stream = lambda stream, peer: got.append(stream)
            await alice.permit(PEER)
            await pass_time(100)
            assert service.binding == MOST_ACCEPTING
            assert got == []
            await alice.release()

    run(two_sites(), main)


def test_over_udp_there_is_no_such_allocation() -> None:
    async def main(lab: SimLab) -> None:
        found = await try_relay(lab.network("alice"), f"turn:{HOST}", spec=AllocationSpec(tcp=True))
        assert isinstance(found, StepFailure)
        assert found.code == 400

    beside_a_relay(main)
