"""Forwards between two simulated hosts, each with its own side of the tunnel."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from links import Pair
from simulated import open_internet, pass_time, run, udp
from streamends import read_all

from nattools.cli.display.punchstatus import TrafficLine
from nattools.errors import CannotRun
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import Network, TcpFailure, TcpStream
from nattools.protocols.tunnel import Accepted, TcpTo
from nattools.traversal.forwardspec import Allowed, parse_forward
from nattools.traversal.tunnel.forward import Forwarding, bind

LOCAL = "127.0.0.1"


class Sides:
    """Alice and Bob, joined by a tunnel; `said` is what each was told."""

    def __init__(self, lab: SimLab, alice: Allowed | None, bob: Allowed | None) -> None:
        self.pair = Pair()
        self.alice, self.bob = lab.network("alice"), lab.network("bob")
        self.said: tuple[list[str], list[str]] = ([], [])
        self.forwards = (
            Forwarding(self.pair.one, self.alice, alice, self.said[0].append),
            Forwarding(self.pair.other, self.bob, bob, self.said[1].append),
        )


@asynccontextmanager
async def sides(
    lab: SimLab, *, alice: Allowed | None = None, bob: Allowed | None = None
) -> AsyncIterator[Sides]:
    both = Sides(lab, alice, bob)
    async with asyncio.TaskGroup() as group:
        group.create_task(both.pair.one.run())
        group.create_task(both.pair.other.run())
        both.pair.join()
        try:
            yield both
        finally:
            both.pair.one.stop("over")
            both.pair.other.stop("over")


async def connect(network: Network, port: int, host: str = LOCAL) -> TcpStream:
    stream = await network.connect_tcp(Endpoint(host, port), timeout_s=5)
    assert not isinstance(stream, TcpFailure), stream
    return stream


async def serving(
    network: Network, port: int, serve: Callable[[TcpStream], Awaitable[None]], host: str = LOCAL
) -> None:
    """Serve connections, one at a time, for as long as the simulator runs."""
    waiting: asyncio.Queue[TcpStream] = asyncio.Queue()
    await network.listen_tcp(
        family=6 if ":" in host else 4, host=host, port=port, on_stream=waiting.put_nowait
    )

    async def work() -> None:
        while True:
            await serve(await waiting.get())

    tasks.append(asyncio.ensure_future(work()))


tasks: list[asyncio.Future[None]] = []


async def length_of_all(stream: TcpStream) -> None:
    """Answer, after the client's end, how much it said."""
    stream.write(b"%d" % len(await read_all(stream)))
    stream.close()


def test_a_forwarded_connection_carries_both_ways_and_ends_half_by_half() -> None:
    async def main(lab: SimLab) -> None:
        async with sides(lab, bob=Allowed.parse(["localhost:80"])) as both:
            await serving(both.bob, 80, length_of_all)
            assert await both.forwards[0].start([parse_forward("8080:localhost:80")]) == []
            for size in (0, 1, 3_000_000):
                client = await connect(both.alice, 8080)
                for start in range(0, size, 60_000):
                    client.write(bytes(min(60_000, size - start)))
                    await client.drain()
                client.end()
                assert await read_all(client) == b"%d" % size
            assert both.said[1] == []
            assert both.said[0] == [
                "127.0.0.1:8080 and [::1]:8080 on this side is forwarded to localhost:80 on the other side"
            ]

    run(open_internet(delay_ms=5), main)


def test_connections_live_on_over_a_loss_of_the_link() -> None:
    async def main(lab: SimLab) -> None:
        async with sides(lab, bob=Allowed.parse(["localhost:80"])) as both:
            await serving(both.bob, 80, length_of_all)
            await both.forwards[0].start([parse_forward("8080:localhost:80")])
            client = await connect(both.alice, 8080)
            client.write(b"before")
            await pass_time(1.0)
            assert both.pair.one.link is not None
            both.pair.one.link.abort()
            client.write(b"meanwhile")
            await pass_time(30.0)
            both.pair.join()
            client.write(b"after")
            client.end()
            assert await read_all(client) == b"20"

    run(open_internet(delay_ms=5), main)


def test_ipv6_there_and_a_target_that_has_a_name() -> None:
    async def main(lab: SimLab) -> None:
        async with sides(lab, bob=Allowed.parse(["[::1]:80", "bob:81"])) as both:
            await serving(both.bob, 80, length_of_all, "::1")
            await serving(both.bob, 81, length_of_all, "11.102.0.2")
            await both.forwards[0].start([parse_forward("[::1]:8080:[::1]:80"), parse_forward("8081:bob:81")])
            for port, host in ((8080, "::1"), (8081, LOCAL)):
                client = await connect(both.alice, port, host)
                client.end()
                assert await read_all(client) == b"0"

    run(open_internet(delay_ms=5), main)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_what_was_not_allowed_is_refused_and_both_sides_are_told(transport: str) -> None:
    async def main(lab: SimLab) -> None:
        async with sides(lab, bob=Allowed.parse(["localhost:80"])) as both:
            await both.forwards[0].start([parse_forward(f"8080:localhost:81/{transport}")])
            if transport == "tcp":
                assert await read_all(await connect(both.alice, 8080)) == b""
            else:
                (await udp(both.alice, Endpoint(LOCAL, 5000))).send(b"x", Endpoint(LOCAL, 8080))
            await pass_time(1.0)
            place = "localhost:81" + ("/udp" if transport == "udp" else "")
            assert f"{place} is not allowed on the other side" in both.said[0][-1]
            assert both.said[0][-1].endswith(f"without --allow {place}")
            assert both.said[1] == [
                f"the other side asked for {place}, which is not allowed here: refused. "
                f"--allow {place} would allow it."
            ]

    run(open_internet(delay_ms=5), main)


def test_who_asks_again_and_again_does_not_fill_the_screen() -> None:
    async def main(lab: SimLab) -> None:
        async with sides(lab) as both:
            began = asyncio.get_running_loop().time()
            for number in range(2000):
                stream = both.pair.one.open(TcpTo("localhost", 1 + number))
                refused = await stream.finished()
                assert (refused or "").startswith(f"localhost:{1 + number} is not allowed on the other side")
            took_s = asyncio.get_running_loop().time() - began
            said = both.said[1]
            assert said[0].startswith(
                "the other side asked for localhost:1, which is not allowed here: refused"
            )
            assert 10 <= len(said) <= 10 + took_s / 10 + 1
            assert said[-1].endswith("lines before this one were left out)")

    run(open_internet(), main)


def test_by_default_nothing_is_allowed() -> None:
    async def main(lab: SimLab) -> None:
        async with sides(lab) as both:
            await both.forwards[0].start([parse_forward("8080:localhost:80")])
            assert await read_all(await connect(both.alice, 8080)) == b""
            await pass_time(1.0)
            assert "not allowed" in both.said[0][-1]
            (refused,) = await both.forwards[0].start([], [parse_forward("80:localhost:22")])
            assert refused == (
                "80:localhost:22: listening at localhost:80 is not allowed on the other side, which was "
                "started without --allow listen:localhost:80"
            )

    run(open_internet(delay_ms=5), main)


@pytest.mark.parametrize(
    ("host", "named"), [("localhost", "refused"), ("nowhere.example", "does not resolve")]
)
def test_a_target_that_cannot_be_had_is_named(host: str, named: str) -> None:
    async def main(lab: SimLab) -> None:
        async with sides(lab, bob=Allowed.parse(["*:80"])) as both:
            await both.forwards[0].start([parse_forward(f"8080:{host}:80")])
            assert await read_all(await connect(both.alice, 8080)) == b""
            await pass_time(1.0)
            assert f"{host}:80: " in both.said[0][-1]
            assert named in both.said[0][-1]

    run(open_internet(delay_ms=5), main)


def test_a_reset_behind_the_tunnel_is_one_before_it() -> None:
    async def main(lab: SimLab) -> None:
        async def cut(stream: TcpStream) -> None:
            await stream.read()
            stream.abort()

        async with sides(lab, bob=Allowed.parse(["localhost:80"])) as both:
            await serving(both.bob, 80, cut)
            await both.forwards[0].start([parse_forward("8080:localhost:80")])
            client = await connect(both.alice, 8080)
            client.write(b"question")
            assert await read_all(client) == b""
            assert client.over
            await pass_time(1.0)
            assert both.said[0][-1].endswith("the connection behind the tunnel was reset")

    run(open_internet(delay_ms=5), main)


def test_a_client_that_goes_away_ends_what_is_sent_to_it() -> None:
    async def main(lab: SimLab) -> None:
        ended = asyncio.Event()

        async def endless(stream: TcpStream) -> None:
            while not stream.over:
                stream.write(bytes(50_000))
                await pass_time(0.01)  # simulated TCP has no receive window that would hold it back
            ended.set()

        async with sides(lab, bob=Allowed.parse(["localhost:80"])) as both:
            await serving(both.bob, 80, endless)
            await both.forwards[0].start([parse_forward("8080:localhost:80")])
            client = await connect(both.alice, 8080)
            await client.read()
            client.abort()
            await asyncio.wait_for(ended.wait(), 60)

    run(open_internet(delay_ms=5), main)


@pytest.mark.parametrize(("family", "host"), [(4, LOCAL), (6, "::1")])
def test_a_port_that_is_taken_here_in_one_family_is_said_before_anybody_is_met(
    family: Family, host: str
) -> None:
    async def main(lab: SimLab) -> None:
        alice = lab.network("alice")
        taken = await alice.listen_tcp(family=family, host=host, port=8080, on_stream=lambda stream: None)
        forwards = [parse_forward("8081:localhost:80"), parse_forward("8080:localhost:80")]
        with pytest.raises(CannotRun, match="8080"):
            await bind(alice, forwards, str)
        taken.close()
        assert len(await bind(alice, forwards, str)) == 2, "nothing was left behind"

    run(open_internet(), main)


def test_who_connects_before_there_is_a_tunnel_is_sent_away() -> None:
    async def main(lab: SimLab) -> None:
        alice = lab.network("alice")
        bound = await bind(alice, [parse_forward("8080:localhost:80"), parse_forward("8080:bob:80/udp")], str)
        assert await read_all(await connect(alice, 8080)) == b""
        (await udp(alice, Endpoint(LOCAL, 5000))).send(b"x", Endpoint(LOCAL, 8080))
        await pass_time(1)
        pair = Pair()
        Forwarding(pair.one, alice, bound=bound)
        assert pair.one.purposes() == []

    run(open_internet(), main)


def test_what_is_open_and_what_went_through_is_told() -> None:
    async def main(lab: SimLab) -> None:
        async with sides(lab, bob=Allowed.parse(["localhost:80"])) as both:
            await serving(both.bob, 80, length_of_all)
            await both.forwards[0].start([parse_forward("8080:localhost:80")])
            status = TrafficLine(both.pair.one)
            assert ": 0 open" in status()
            client = await connect(both.alice, 8080)
            client.write(bytes(1_250_000))
            await client.drain()
            await pass_time(2)
            assert re.search(r"Connected, 2.s: 1 open, \d+ B in, 1\.3 MB out, 5\.\d Mbit/s; Ctrl-C", status())
            client.end()
            assert await read_all(client) == b"1250000"
            await pass_time(2)
            assert ": 0 open" in status()

    run(open_internet(delay_ms=5), main)

    run(open_internet(), main)


def test_the_other_side_listens_for_us_until_the_tunnel_ends() -> None:
    async def main(lab: SimLab) -> None:
        async with sides(lab, bob=Allowed.parse(["listen:8080"])) as both:
            await serving(both.alice, 80, length_of_all)
            assert await both.forwards[0].start([], [parse_forward("8080:localhost:80")]) == []
            client = await connect(both.bob, 8080)
            client.write(b"hello")
            client.end()
            assert await read_all(client) == b"5"
            assert both.said[0] == [
                "127.0.0.1:8080 and [::1]:8080 on the other side is forwarded to localhost:80 on this side"
            ]
        gone = await both.bob.connect_tcp(Endpoint(LOCAL, 8080), timeout_s=5)
        assert isinstance(gone, TcpFailure)

    run(open_internet(delay_ms=5), main)


def test_the_other_side_cannot_invent_a_listener() -> None:
    async def main(lab: SimLab) -> str | None:
        async with sides(lab, alice=Allowed.parse(["*:*"])) as both:
            stream = both.pair.other.open(Accepted(0, "11.0.0.1:5"))
            return await stream.finished()

    assert run(open_internet(), main) == "no such listener was asked for"


def test_an_address_to_listen_on_that_is_none_is_refused() -> None:
    async def main(lab: SimLab) -> str | None:
        from nattools.protocols.tunnel import Listen

        async with sides(lab, bob=Allowed.parse(["listen:*:*"])) as both:
            return await both.pair.one.open(Listen("tcp", "bob;true", 80)).finished()

    assert run(open_internet(), main) == "'bob;true' is not an address to listen on"


def test_datagrams_of_several_clients_each_get_their_answers() -> None:
    async def main(lab: SimLab) -> None:
        async with sides(lab, bob=Allowed.parse(["localhost:53/udp"])) as both:
            server = await udp(both.bob, Endpoint(LOCAL, 53), echo=True)
            await both.forwards[0].start([parse_forward("5353:localhost:53/udp")])
            clients = [await udp(both.alice, Endpoint(LOCAL, 6000 + number)) for number in range(3)]
            payloads = [b"one", bytes(1000), bytes(1300), bytes(20_000)]
            for number, client in enumerate(clients):
                for payload in payloads:
                    client.send(b"%d" % number + payload, Endpoint(LOCAL, 5353))
            await pass_time(1.0)
            for number, client in enumerate(clients):
                sent = sorted(b"%d" % number + payload for payload in payloads)
                assert sorted(client.payloads) == sent
                assert set(client.sources) == {Endpoint(LOCAL, 5353)}
            assert len({source.port for source in server.sources}) == 3

    run(open_internet(delay_ms=5), main)


def test_a_silent_conversation_ends_after_a_minute_and_may_begin_again() -> None:
    async def main(lab: SimLab) -> None:
        async with sides(lab, bob=Allowed.parse(["localhost:53/udp"])) as both:
            server = await udp(both.bob, Endpoint(LOCAL, 53), echo=True)
            await both.forwards[0].start([parse_forward("5353:localhost:53/udp")])
            client = await udp(both.alice, Endpoint(LOCAL, 6000))
            for pause_s in (50.0, 50.0, 62.0, 0.0):
                client.send(b"again", Endpoint(LOCAL, 5353))
                await pass_time(pause_s)
                if pause_s > 60:
                    assert not both.pair.one._streams
                    assert not both.pair.other._streams
            await pass_time(1.0)
            assert client.payloads == [b"again"] * 4
            ports = [source.port for source in server.sources]
            assert ports[0] == ports[1] == ports[2] != ports[3]

    run(open_internet(delay_ms=5), main)


def test_so_many_conversations_and_no_more() -> None:
    async def main(lab: SimLab) -> None:
        async with sides(lab, bob=Allowed.parse(["localhost:53/udp"])) as both:
            await udp(both.bob, Endpoint(LOCAL, 53), echo=True)
            await both.forwards[0].start([parse_forward("5353:localhost:53/udp")])
            clients = [await udp(both.alice, Endpoint(LOCAL, 6000 + number)) for number in range(130)]
            for client in clients:
                client.send(b"x", Endpoint(LOCAL, 5353))
            await pass_time(1.0)
            assert sum(len(client.got) for client in clients) == 128
            assert [line for line in both.said[0] if "128 other clients" in line] == both.said[0][1:]

    run(open_internet(delay_ms=5), main)


def test_datagrams_to_a_port_that_the_other_side_listens_at_for_us() -> None:
    async def main(lab: SimLab) -> None:
        async with sides(lab, bob=Allowed.parse(["listen:5353/udp"])) as both:
            await udp(both.alice, Endpoint(LOCAL, 53), echo=True)
            await both.forwards[0].start([], [parse_forward("5353:localhost:53/udp")])
            client = await udp(both.bob, Endpoint(LOCAL, 6000))
            client.send(b"question", Endpoint(LOCAL, 5353))
            await pass_time(1.0)
            assert client.payloads == [b"question"]

    run(open_internet(delay_ms=5), main)
