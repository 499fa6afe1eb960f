"""An allocation as a UDP socket, in the simulator beside `nattools serve --relay`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import msgspec
import pytest
from linked import SocketPath, WatchedPath, quic_carries, quic_links, read_exactly
from relayed import HOST, URIS, Inbox, beside_a_relay, relay, relay_config, try_relay
from simulated import pass_time

from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import TcpStream
from nattools.net.system.hostnetwork import HostNetwork
from nattools.net.trace import Trace, TracedNetwork
from nattools.net.turn.turndriver import MOST_UNSENT, RELEASE_S
from nattools.net.turn.turnsocket import RelayedSocket
from nattools.net.web.serversteps import StepFailure
from nattools.protocols import ice, stun
from nattools.protocols.demultiplex import SharedProtocol
from nattools.protocols.stun import constants as c
from nattools.protocols.turn.credentials import LongTermCredentials
from nattools.protocols.turn.peers import BUSY_AFTER
from nattools.protocols.turn.requests import AllocationSpec
from nattools.server.serving import serve
from nattools.traversal.icedriver import IceDriver


@pytest.mark.parametrize("uri", URIS)
def test_what_is_sent_by_it_leaves_from_the_relay(uri: str, tmp_path: Path) -> None:
    async def main(lab: SimLab) -> None:
        alice = await relay(lab.network("alice"), uri)
        assert alice.local.host == HOST
        assert alice.mapped is not None
        assert lab.network("alice").is_public(alice.mapped.host)
        carol = Inbox(await lab.network("carol").open_udp(family=4))
        inbox = Inbox(alice)
        for number in range(2 * BUSY_AFTER):
            message = f"number {number}".encode()
            assert alice.send(message, carol.socket.local) is None
            assert await carol.next() == (message, alice.local)
            carol.socket.send(message, alice.local)
            assert await inbox.next() == (message, carol.socket.local)
        steps = [step.name for step in alice.steps]
        assert steps == [
            "resolve",
            "connect",
            *(["tls"] if uri == URIS[2] else []),
            "authenticate",
            "allocate",
        ]
        assert all(step.ok for step in alice.steps)
        await alice.release()
        carol.socket.close()
        assert alice.ended is None

    beside_a_relay(main, tmp_path if uri == URIS[2] else None)


@pytest.mark.parametrize("uri", URIS[:2])
def test_only_who_is_permitted_gets_in(uri: str) -> None:
    async def main(lab: SimLab) -> None:
        alice = await relay(lab.network("alice"), uri)
        inbox = Inbox(alice)
        carol = await lab.network("carol").open_udp(family=4)
        carol.send(b"too early", alice.local)
        await pass_time(1)
        assert inbox.empty
        assert await alice.permit(carol.local) is None
        carol.send(b"now", alice.local)
        assert await inbox.next() == (b"now", carol.local)
        await pass_time(1000)
        carol.send(b"and later", alice.local)
        assert await inbox.next() == (b"and later", carol.local)
        alice.close()
        carol.close()

    beside_a_relay(main)


def test_an_address_of_each_family() -> None:
    async def main(lab: SimLab) -> None:
        server = lab.network("other")
        hosts = [route[1] for to in ("11.1.1.1", "2a10::1") if (route := server.route(to)) is not None]
        config = msgspec.structs.replace(relay_config(), addresses=tuple(hosts))
        running = await serve(server, config)
        spec = AllocationSpec(both_families=True)
        alice = await relay(lab.network("alice"), f"turn:{hosts[0]}", spec=spec)
        assert sorted(each.host for each in alice.relayed) == sorted(hosts)
        families: tuple[Family, ...] = (4, 6)
        for family in families:
            carol = Inbox(await lab.network("carol").open_udp(family=family))
            for number in range(2 * BUSY_AFTER):
                assert alice.send(bytes([number]), carol.socket.local) is None
                data, source = await carol.next()
                assert data == bytes([number])
                assert source in alice.relayed
            carol.socket.close()
        await alice.release()
        await running.close()

    beside_a_relay(main)


def test_a_peer_that_the_relay_refuses() -> None:
    async def main(lab: SimLab) -> None:
        alice = await relay(lab.network("alice"))
        inside = Endpoint("192.168.1.1", 9)
        refusal = await alice.permit(inside)
        assert refusal is not None
        assert refusal.code == 403
        assert alice.send(b"hello", inside) == "prohibited"
        assert alice.send(b"hello", Endpoint("2a10::1", 9)) == "unreachable"
        assert alice.send(bytes(65_500), Endpoint("11.1.1.1", 9)) == "too-big"
        assert alice.send_many([b"hello", b"hello"], inside) == "prohibited"
        alice.close()
        assert alice.send(b"hello", inside) == "unreachable"

    beside_a_relay(main)


@pytest.mark.parametrize(
    ("uri", "options", "step", "cause", "code"),
    [
        ("turn:nowhere.example", {}, "resolve", "unresolved", None),
        (f"turn:{HOST}:9", {}, "connect", "refused", None),
        (f"turn:{HOST}:9?transport=tcp", {}, "connect", "refused", None),
        ("turn:11.250.0.9", {"timeout_s": 2.0}, "connect", "timeout", None),
        (f"turns:{HOST}:3478", {"security": None}, "tls", "certificate", None),
        (f"turns:{HOST}?transport=udp", {}, "tls", "not-tls", None),
        (URIS[0], {"credentials": None}, "authenticate", "no-credentials", 401),
        (URIS[1], {"credentials": LongTermCredentials("alice", "wrong")}, "authenticate", "error", 401),
        (
            URIS[0],
            {"credentials": LongTermCredentials("\a", "wrong")},
            "authenticate",
            "no-credentials",
            None,
        ),
        (URIS[0], {"spec": AllocationSpec(family=6)}, "allocate", "error", 440),
        (URIS[0], {"spec": AllocationSpec(reservation=b"12345678")}, "allocate", "error", 508),
        (URIS[0], {"spec": AllocationSpec(tcp=True)}, "allocate", "error", 400),
    ],
)
def test_the_step_that_fails(
    uri: str, options: dict[str, object], step: str, cause: str, code: int | None, tmp_path: Path
) -> None:
    async def main(lab: SimLab) -> None:
        found = await try_relay(lab.network("alice"), uri, **options)
        assert isinstance(found, StepFailure)
        assert (found.step, found.cause, found.code) == (step, cause, code), found
        assert found.detail
        assert all(each.ok for each in found.steps[:-1])

    beside_a_relay(main, tmp_path)


def test_a_server_that_is_no_relay_and_one_that_is_silent() -> None:
    async def main(lab: SimLab) -> None:
        plain = await lab.network("other").open_udp(family=4, port=3478)
        found = await try_relay(lab.network("alice"), f"turn:{plain.local.host}", timeout_s=2.0)
        assert isinstance(found, StepFailure)
        assert (found.step, found.cause) == ("connect", "timeout")
        accepted: list[TcpStream] = []
        listener = await lab.network("other").listen_tcp(family=4, port=3478, on_stream=accepted.append)
        uri = f"turn:{plain.local.host}?transport=tcp"
        found = await try_relay(lab.network("alice"), uri, timeout_s=2.0)
        assert isinstance(found, StepFailure)
        assert (found.step, found.cause) == ("authenticate", "timeout")
        trying = asyncio.create_task(try_relay(lab.network("alice"), uri))
        await pass_time(1)
        accepted[-1].write(b"SSH-2.0-OpenSSH_9.2\r\n")
        found = await trying
        assert isinstance(found, StepFailure)
        assert (found.step, found.cause) == ("authenticate", "closed")
        assert "not TURN" in found.detail
        plain.close()
        listener.close()
        for each in accepted:
            each.close()

    beside_a_relay(main)


@pytest.mark.parametrize("uri", URIS[:2])
def test_a_relay_that_goes_away(uri: str) -> None:
    async def main(lab: SimLab) -> None:
        server = lab.network("other")
        route = server.route("11.1.1.1")
        assert route is not None
        address = route[1]
        running = await serve(server, relay_config(address=address))
        alice = await relay(lab.network("alice"), uri.replace(HOST, address))
        ended: list[bool] = []
        alice.on_end = lambda: ended.append(True)
        await running.close()
        await pass_time(900)
        assert ended == [True]
        assert alice.ended is not None
        assert alice.send(b"hello", Endpoint("11.1.1.1", 9)) == "unreachable"
        assert await alice.permit(Endpoint("11.1.1.1", 9)) is not None
        alice.close()

    beside_a_relay(main)


def test_a_dead_relay_keeps_nobody_waiting() -> None:
    async def main(lab: SimLab) -> None:
        server = lab.network("other")
        route = server.route("11.1.1.1")
        assert route is not None
        running = await serve(server, relay_config(address=route[1]))
        alice = await relay(lab.network("alice"), f"turn:{route[1]}")
        await running.close()
        began_at = asyncio.get_running_loop().time()
        await alice.release()
        assert asyncio.get_running_loop().time() - began_at == RELEASE_S
        alice.close()

    beside_a_relay(main)


def test_over_a_stream_that_is_full_datagrams_are_dropped() -> None:
    async def main(lab: SimLab) -> None:
        alice = await relay(lab.network("alice"), URIS[1])
        carol = Inbox(await lab.network("carol").open_udp(family=4))
        await alice.permit(carol.socket.local)
        for _ in range(400):
            assert alice.send(bytes(1000), carol.socket.local) is None
        assert alice.send_many([bytes(1000)] * 10, carol.socket.local) is None
        assert 0 < alice.dropped <= 410 - MOST_UNSENT // 1100
        await pass_time(5)
        dropped = alice.dropped
        assert alice.send(b"hello", carol.socket.local) is None
        assert alice.dropped == dropped
        alice.close()
        carol.socket.close()

    beside_a_relay(main)


async def agent(socket: RelayedSocket, role: ice.Role, data: list[bytes]) -> IceDriver:
    """An ICE agent with a relayed candidate alone."""
    driver = IceDriver(ice.Agent(role, rng=Random(role)))

    def take(content: bytes, what: SharedProtocol, local: Endpoint, source: Endpoint) -> None:
        data.append(content)

    driver.on_data = take
    driver.listen(socket)
    driver.offer(ice.local_candidate("relay", socket.local))
    return driver


@pytest.mark.parametrize("uri", URIS[:2])
def test_ice_over_two_relayed_sockets(uri: str) -> None:
    async def main(lab: SimLab) -> None:
        sockets = await relay(lab.network("alice"), uri), await relay(lab.network("bob"), uri)
        got: tuple[list[bytes], list[bytes]] = [], []
        one, other = (
            await agent(sockets[0], "controlling", got[0]),
            await agent(sockets[1], "controlled", got[1]),
        )
        one.set_peer(*other.agent.credentials)
        other.set_peer(*one.agent.credentials)
        one.add_peer_candidate(ice.encode(ice.local_candidate("relay", sockets[1].local)))
        other.add_peer_candidate(ice.encode(ice.local_candidate("relay", sockets[0].local)))
        await pass_time(3)
        for driver in (one, other):
            selected = driver.agent.selected
            assert selected is not None
            assert selected.local.kind == selected.remote.kind == "relay"
        assert one.send(b"\x80 from alice") is None
        await pass_time(1)
        assert got[1] == [b"\x80 from alice"]
        one.close()
        other.close()

    beside_a_relay(main)


@pytest.mark.parametrize("query", ["", "?transport=tcp"])
def test_quic_over_the_sockets_of_this_machine(query: str) -> None:
    """On loopback, where many datagrams come at once."""

    async def main() -> None:
        network = HostNetwork()
        config = relay_config(address="127.0.0.1", port=0, permits=lambda host: True)
        running = await serve(network, config)
        uri = f"turn:{running.endpoints[0]}{query}"
        one, other = await relay(network, uri), await relay(network, uri)
        assert await one.permit(other.local) is None
        assert await other.permit(one.local) is None
        path = SocketPath(other, one.local)
        ours, theirs = await quic_links(WatchedPath(SocketPath(one, other.local)), WatchedPath(path))
        batches: list[int] = []
        receive = other.on_batch
        assert receive is not None

        def on_batch(data: bytes, size: int, source: Endpoint) -> None:
            batches.append(-(-len(data) // size))
            receive(data, size, source)

        other.on_batch = on_batch
        data = Random(1).randbytes(1_000_000)
        ours.write(data)
        assert await read_exactly(theirs, len(data)) == data
        assert query or max(batches) > 1
        await ours.close()
        await theirs.close()
        await one.release()
        await other.release()
        await running.close()

    asyncio.run(main())


@pytest.mark.parametrize("uri", URIS)
def test_quic_over_two_relayed_sockets(uri: str, tmp_path: Path) -> None:
    async def main(lab: SimLab) -> None:
        one, other = await relay(lab.network("alice"), uri), await relay(lab.network("bob"), uri)
        assert await one.permit(other.local) is None
        assert await other.permit(one.local) is None
        await quic_carries(one, other, 300_000)

    beside_a_relay(main, tmp_path)


@pytest.mark.parametrize("uri", URIS[:2])
def test_passwords_go_by_sha256_over_udp_as_over_tcp(uri: str) -> None:
    """Though a server says no more than 1.6 times what it is asked."""
    signed: list[str] = []

    async def main(lab: SimLab) -> None:
        trace = Trace(0.0)
        socket = await relay(TracedNetwork(lab.network("alice"), trace), uri)
        await socket.permit(Endpoint("11.2.0.2", 1))
        for event in trace.events:
            if event.outgoing and event.data:
                message = stun.decode(event.data)
                signed.extend(
                    name
                    for name, kind in (("sha1", c.MESSAGE_INTEGRITY), ("sha256", c.MESSAGE_INTEGRITY_SHA256))
                    if message.get(kind) is not None
                )
        socket.close()

    beside_a_relay(main)
    assert signed == ["sha256", "sha256"]
