"""The TURN client at coturn, on loopback: over UDP, TCP and TLS, and TCP through the relay."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random

import pytest
from coturn import HOST, SECRET, Coturn, coturn
from linked import quic_carries
from relayed import ALICE, UNCHECKED, Inbox, relay, try_relay
from simulated import pass_time
from streamends import both_ways

from nattools.model.endpoint import Endpoint
from nattools.model.serveruri import parse_server
from nattools.net.base import Network, TcpFailure, TcpStream
from nattools.net.system.hostnetwork import HostNetwork
from nattools.net.turn.turnopening import open_relayed, open_relayed_streams
from nattools.net.turn.turnsocket import RelayedSocket
from nattools.net.turn.turnstreams import RelayedStreams
from nattools.net.web.serversteps import StepFailure
from nattools.protocols import stun
from nattools.protocols.turn.credentials import LongTermCredentials, time_limited
from nattools.protocols.turn.refusal import TurnRefusal
from nattools.protocols.turn.requests import AllocationSpec

pytestmark = pytest.mark.interop("turnserver")
TRANSPORTS = ("udp", "tcp", "tls")
_FIRST = 10_000 + 20 * (os.getpid() % 1000)


def free_ports() -> Iterator[int]:
    """The first of two that are nobody's now. The system gives none of these to anybody by itself, and other
    runs of these tests begin elsewhere."""
    for port in range(_FIRST, 32_000, 4):
        with ExitStack() as bound, suppress(OSError):
            for each in (port, port + 1):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    bound.enter_context(socket.socket(type=kind)).bind((HOST, each))
            bound.close()
            yield port


_PORTS = free_ports()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    """One for all that want nothing special."""
    with coturn(tmp_path_factory.mktemp("coturn"), next(_PORTS)) as found:
        yield found


def run(main: Callable[[Network], Awaitable[None]]) -> None:
    """On this machine's loopback."""

    async def whole() -> None:
        async with asyncio.timeout(120):
            await main(HostNetwork())

    asyncio.run(whole())


def heard(socket: RelayedSocket, code: int) -> list[bytes]:
    """The errors with this code that the relay answers from now on."""
    carrier, found = socket._carrier, list[bytes]()
    inner = carrier.on_datagram
    assert inner is not None

    def on_datagram(data: bytes, source: Endpoint) -> None:
        if data[0] < 0x40 and (error := stun.decode(data).error) is not None and error[0] == code:
            found.append(data)
        inner(data, source)

    carrier.on_datagram = on_datagram
    return found


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_two_relayed_sockets_meet(server: Coturn, transport: str) -> None:
    async def main(network: Network) -> None:
        one, other = [await relay(network, server.uris[transport]) for _ in range(2)]
        inboxes = Inbox(one), Inbox(other)
        assert one.local.host == HOST
        assert await one.permit(other.local) is None
        assert await other.permit(one.local) is None
        for size in (0, 1, 3, 500, 1200, 1, 1400, 2):
            data = Random(size).randbytes(size)
            assert one.send(data, other.local) is None
            assert await inboxes[1].next() == (data, one.local)
            assert other.send(data, one.local) is None
            assert await inboxes[0].next() == (data, other.local)
        await one.release()
        await other.release()
        assert one.ended is other.ended is None

    run(main)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_quic_over_them(server: Coturn, transport: str) -> None:
    async def main(network: Network) -> None:
        one, other = [await relay(network, server.uris[transport]) for _ in range(2)]
        await one.permit(other.local)
        await other.permit(one.local)
        await quic_carries(one, other, 1_000_000)

    run(main)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_wrong_password(server: Coturn, transport: str) -> None:
    async def main(network: Network) -> None:
        wrong = LongTermCredentials("alice", "guessed")
        found = await try_relay(network, server.uris[transport], credentials=wrong)
        assert isinstance(found, StepFailure)
        assert (found.step, found.cause, found.code) == ("authenticate", "error", 401)

    run(main)


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (AllocationSpec(family=6), 440),
        (AllocationSpec(tcp=True), 400),  # coturn's word for UDP; RFC 6062 5.1 has 400 too
        (
            AllocationSpec(reservation=b"12345678"),
            404,
        ),  # and for a token that nobody has: 508 in RFC 8656 7.2
    ],
)
def test_what_it_refuses(server: Coturn, spec: AllocationSpec, code: int) -> None:
    async def main(network: Network) -> None:
        found = await try_relay(network, server.uris["udp"], spec=spec)
        assert isinstance(found, StepFailure)
        assert (found.step, found.cause, found.code) == ("allocate", "error", code)

    run(main)


def test_a_pair_of_ports(server: Coturn) -> None:
    async def main(network: Network) -> None:
        even = await relay(network, server.uris["udp"], spec=AllocationSpec(port="pair"))
        assert even.local.port % 2 == 0
        token = even.allocation.reservation
        assert token is not None
        odd = await relay(network, server.uris["udp"], spec=AllocationSpec(reservation=token))
        assert odd.local.port == even.local.port + 1
        await even.release()
        await odd.release()

    run(main)


def test_an_ipv6_address(tmp_path: Path) -> None:
    async def main(network: Network) -> None:
        with coturn(tmp_path, next(_PORTS), "--relay-ip=::1") as found:
            both = await relay(network, found.uris["udp"], spec=AllocationSpec(both_families=True))
            assert [each.host for each in both.relayed] == [HOST, "::1"], (
                "coturn 4.6.1 knows the draft's number"
            )
            await both.release()
            six = await relay(network, found.uris["udp"], spec=AllocationSpec(family=6, dont_fragment=True))
            assert six.local.host == "::1"
            peer = Inbox(await network.open_udp(family=6, host="::1"))
            for number in range(8):
                assert six.send(bytes([number]), peer.socket.local) is None
                assert await peer.next() == (bytes([number]), six.local)
            assert six.send(b"hello", Endpoint(HOST, 9)) == "unreachable"
            refusal = await six.permit(Endpoint(HOST, 9))
            assert refusal is not None
            assert refusal.code == 443
            peer.socket.close()
            await six.release()

    run(main)


def test_peers_that_it_does_not_relay_to(tmp_path: Path) -> None:
    async def main(network: Network) -> None:
        with coturn(tmp_path, next(_PORTS), "--denied-peer-ip=198.51.100.0-198.51.100.255") as found:
            socket = await relay(network, found.uris["udp"])
            refusal = await socket.permit(Endpoint("198.51.100.7", 9))
            assert refusal is not None
            assert refusal.code == 403
            assert socket.send(b"hello", Endpoint("198.51.100.7", 9)) == "prohibited"
            await socket.release()

    run(main)


def test_a_quota(tmp_path: Path) -> None:
    async def main(network: Network) -> None:
        with coturn(tmp_path, next(_PORTS), "--user-quota=1") as found:
            first = await relay(network, found.uris["udp"])
            second = await try_relay(network, found.uris["udp"])
            assert isinstance(second, StepFailure)
            assert (second.step, second.code) == ("allocate", 486)
            await first.release()

    run(main)


def test_time_limited_credentials(tmp_path: Path) -> None:
    options = ("--use-auth-secret", f"--static-auth-secret={SECRET}")

    async def main(network: Network) -> None:
        with coturn(tmp_path, next(_PORTS), credentials=options) as found:
            good = time_limited(SECRET, "alice", int(time.time()) + 60)
            socket = await relay(network, found.uris["udp"], credentials=good)
            await socket.release()
            late = time_limited(SECRET, "alice", int(time.time()) - 60)
            refused = await try_relay(network, found.uris["udp"], credentials=late)
            assert isinstance(refused, StepFailure)
            assert (refused.step, refused.code) == ("authenticate", 401)

    run(main)


def test_a_nonce_goes_stale(tmp_path: Path) -> None:
    async def main(network: Network) -> None:
        with coturn(tmp_path, next(_PORTS), "--stale-nonce=1") as found:
            socket = await relay(network, found.uris["udp"])
            peer = Inbox(await network.open_udp(family=4, host=HOST))
            stale = heard(socket, 438)
            number = 1
            while not stale:  # coturn counts whole seconds, and when it comes to that
                await pass_time(2.0)
                number += 1
                assert await socket.permit(Endpoint(f"127.0.0.{number}", 9)) is None
            assert await socket.permit(peer.socket.local) is None
            socket.send(b"hello", peer.socket.local)
            assert await peer.next() == (b"hello", socket.local)
            await socket.release()
            assert socket.ended is None
            assert stale
            peer.socket.close()

    run(main)


def test_it_sends_us_on(tmp_path: Path) -> None:
    async def main(network: Network) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        port = next(_PORTS)
        with coturn(tmp_path / "a", port) as last:
            option = f"--alternate-server={HOST}:{port}"
            with coturn(tmp_path / "b", next(_PORTS), option) as first:
                for transport in ("udp", "tcp"):
                    socket = await relay(network, first.uris[transport])
                    assert socket.server.port == last.port
                    await socket.release()

    run(main)


class TestTcpThroughIt:
    @pytest.mark.parametrize("transport", TRANSPORTS[1:])
    def test_to_a_peer_and_from_one(self, server: Coturn, transport: str) -> None:
        async def main(network: Network) -> None:
            accepted: asyncio.Queue[TcpStream] = asyncio.Queue()
            listener = await network.listen_tcp(family=4, host=HOST, on_stream=accepted.put_nowait)
            uri = parse_server(server.uris[transport])
            alice = await open_relayed_streams(network, uri, ALICE, security=UNCHECKED)
            assert isinstance(alice, RelayedStreams), alice
            mine = await alice.connect(listener.local)
            assert not isinstance(mine, TurnRefusal), mine
            await echo(mine, await accepted.get())
            offered: asyncio.Queue[TcpStream] = asyncio.Queue()
            alice.on_stream = lambda stream, peer: offered.put_nowait(stream)
            assert await alice.permit(Endpoint(HOST, 0)) is None
            theirs = await network.connect_tcp(alice.local, timeout_s=30)
            assert not isinstance(theirs, TcpFailure), theirs
            await echo(await offered.get(), theirs)
            listener.close()
            await alice.release()

        run(main)

    def test_to_nobody(self, server: Coturn) -> None:
        async def main(network: Network) -> None:
            uri = parse_server(server.uris["tcp"])
            alice = await open_relayed_streams(network, uri, ALICE)
            assert isinstance(alice, RelayedStreams), alice
            refusal = await alice.connect(Endpoint(HOST, 9))
            assert isinstance(refusal, TurnRefusal)
            assert refusal.code == 447
            alice.close()

        run(main)


async def echo(one: TcpStream, other: TcpStream) -> None:
    """Bytes both ways; then both are closed."""
    await both_ways(one, other, Random(7).randbytes(200_000))
    one.close()
    other.close()


GUIDE = Path(__file__).parents[2] / "docs/guides/a-relay-of-your-own.md"
DENIED = (
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.1.1"),
    *("224.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b:1::a00:1", "100::1", "2001:0:1::1", "2002:7f00:1::1", "fd00::1", "fe80::1", "ff02::1"),
)
PERMITTED = ("11.3.0.2", "100.63.0.1", "172.15.0.1", "2a10::5", "2606:4700::1111", "2001:4860::8888")


async def refused(network: Network, server: Coturn, hosts: tuple[str, ...]) -> set[str]:
    """Those that it gives no permission for. Nothing is sent to them."""
    found: set[str] = set()
    for family in (4, 6):
        spec = AllocationSpec(family=family)
        socket = await open_relayed(network, parse_server(server.uris["udp"]), ALICE, spec)
        assert isinstance(socket, RelayedSocket)
        for host in hosts:
            if (
                Endpoint(host, 5000).family == family
                and await socket.permit(Endpoint(host, 5000)) is not None
            ):
                found.add(host)
        socket.close()
    return found


@pytest.mark.parametrize("row", [(), ("::-::1",)], ids=["the guide", "and a row that begins with ::"])
def test_the_rows_of_the_guide_deny_what_they_should_and_nobody_else(
    row: tuple[str, ...], tmp_path: Path
) -> None:
    rows = [line for line in GUIDE.read_text().splitlines() if line.startswith("denied-peer-ip=")]
    options = [f"--{each}" for each in (*rows, *(f"denied-peer-ip={each}" for each in row))]
    everyone_of_ipv4 = {host for host in PERMITTED if ":" not in host} if row else set()

    async def main(network: Network) -> None:
        assert await refused(network, server, (*DENIED, *PERMITTED)) == {*DENIED, *everyone_of_ipv4}

    with coturn(tmp_path, next(_PORTS), "--relay-ip=::1", *options) as server:
        run(main)
