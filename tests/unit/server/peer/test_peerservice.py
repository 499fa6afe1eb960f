"""`nattools serve --libp2p`: what it does for peers, what it does not, and what hostile ones get."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from envelopes import open_envelope
from simulated import pass_time, run

from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure, TcpStream
from nattools.net.libp2p.peerconnection import Libp2pConnection, MuxStream, PeerFailure, StreamMessages
from nattools.net.libp2p.peerhost import PeerHost
from nattools.net.libp2p.peerquestions import (
    ask_to_dial,
    connect_through,
    identify,
    new_nonce,
    ping,
    reserve,
)
from nattools.probes.libp2p.reservations import RelayedCalls
from nattools.protocols.libp2p import autonat, circuit
from nattools.protocols.libp2p.multiaddr import Multiaddr, multiaddr_at, parse_multiaddr
from nattools.protocols.libp2p.multistream import Negotiation
from nattools.protocols.libp2p.peerid import PeerId, decode_peer_id
from nattools.protocols.libp2p.peersession import PeerSession
from nattools.protocols.libp2p.protobuf import parse_fields
from nattools.server.peer.peerrelay import PeerRelayLimits
from nattools.server.peer.peerservice import PeerServiceConfig
from nattools.server.serving import Running, ServeConfig, serve

SERVER = Endpoint("11.201.0.2", 3478)
ALICE, BOB = "11.1.0.2", "11.101.0.2"
NOW = 1_700_000_000.0
SCENARIO = Scenario(
    title="peers",
    nat={"home": NatSpec(filtering="endpoint-independent")},
    host={"alice": HostSpec(behind="home"), "carol": HostSpec(behind="home"), "bob": HostSpec()},
    server={"peer": ServerSpec()},
)


class Site:
    """A server, and a way to it."""

    def __init__(self, lab: SimLab, running: Running, faults: list[dict[str, Any]]) -> None:
        self.lab, self.running, self.faults = lab, running, faults

    @asynccontextmanager
    async def peer(
        self, host: str = "alice", port: int = 0
    ) -> AsyncIterator[tuple[PeerHost, Libp2pConnection]]:
        """A peer on that machine, and its connection to the server."""
        async with PeerHost(self.lab.network(host)) as peer:
            if port:
                await peer.listen(4, port=port)
            made = await peer.dial(SERVER, timeout_s=5.0, port=port)
            assert isinstance(made, Libp2pConnection), made
            yield peer, made

    async def connect(self, host: str = "bob") -> TcpStream:
        stream = await self.lab.network(host).connect_tcp(SERVER, timeout_s=5.0)
        assert not isinstance(stream, TcpFailure)
        return stream

    @property
    def connections(self) -> int:
        """How many the server holds."""
        assert self.running._peers is not None
        return len(self.running._peers.host.connections)


def served(
    main: Callable[[Site], Awaitable[None]],
    *,
    addresses: tuple[str, ...] = ("11.201.0.2", "11.201.0.3"),
    **spec: Any,
) -> None:
    """Run `main` beside a server."""

    async def work(lab: SimLab) -> None:
        faults: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
        config = PeerServiceConfig(clock=lambda: NOW, **spec)
        running = await serve(lab.network("peer"), ServeConfig(addresses=addresses, libp2p=config))
        try:
            await main(Site(lab, running, faults))
        finally:
            await running.close()
        assert faults == []

    run(SCENARIO, work)


def serve_nonces(host: PeerHost) -> list[tuple[int, Endpoint]]:
    """The numbers that come, and from where."""
    came: list[tuple[int, Endpoint]] = []

    async def serve_one(stream: MuxStream) -> None:
        messages = StreamMessages(stream, autonat.MAX_MESSAGE)
        came.append((autonat.decode_nonce(await messages.expect()), stream.remote))
        messages.write(autonat.DIAL_BACK_RECEIVED)
        stream.end()

    host.servers[autonat.DIAL_BACK] = serve_one
    return came


def at(host: str, port: int) -> tuple[Multiaddr, ...]:
    return (multiaddr_at(Endpoint(host, port)),)


# --- what it does


def test_it_says_who_it_is_and_from_where_it_sees_others() -> None:
    async def main(site: Site) -> None:
        async with site.peer() as (_, made):
            said = await identify(made)
            assert said is not None
            assert str(said.observed) == f"/ip4/{ALICE}/tcp/{made.local.port}"
            assert {str(each) for each in said.addresses} == {
                "/ip4/11.201.0.2/tcp/3478",
                "/ip4/11.201.0.3/tcp/3478",
            }
            assert autonat.DIAL_REQUEST in said.protocols
            assert await ping(made) is not None
            assert f"at /ip4/11.201.0.2/tcp/3478/p2p/{made.peer}" in site.running.services

    served(main)


def test_it_dials_from_its_second_address_and_says_the_number() -> None:
    async def main(site: Site) -> None:
        async with site.peer(port=4001) as (peer, made):
            came, nonce = serve_nonces(peer), new_nonce()
            answer = await ask_to_dial(made, at(ALICE, 4001), nonce)
            assert (answer.status, answer.dial, answer.data) == ("ok", "ok", 0)
            ((number, origin),) = came
            assert number == nonce
            assert origin.host == "11.201.0.3"

    served(main)


def test_with_one_address_it_dials_from_another_port() -> None:
    async def main(site: Site) -> None:
        async with site.peer(port=4001) as (peer, made):
            came = serve_nonces(peer)
            assert (await ask_to_dial(made, at(ALICE, 4001), 1)).dial == "ok"
            assert came[0][1].host == SERVER.host
            assert came[0][1].port != SERVER.port

    served(main, addresses=("11.201.0.2",))


def test_the_first_address_that_it_may_dial_is_dialled_and_named() -> None:
    async def main(site: Site) -> None:
        async with site.peer(port=4001) as (_, made):
            wanted = (
                *at("10.0.1.2", 4001), parse_multiaddr("/ip4/11.1.0.2/udp/4001/quic-v1"),
                parse_multiaddr("/dns4/example.org/tcp/1"), *at(SERVER.host, 3478), *at(ALICE, 9),
            )  # fmt: skip
            answer = await ask_to_dial(made, wanted, 1)
            assert (answer.status, answer.dial, answer.position) == ("ok", "dial-error", 4)
            answer = await ask_to_dial(made, wanted[:4], 1)
            assert answer.status == "refused"

    served(main)


def test_somebody_elses_address_is_dialled_for_many_bytes() -> None:
    async def main(site: Site) -> None:
        async with site.peer() as (_, made):
            answer = await ask_to_dial(made, at(BOB, 4001), 1)
            assert (answer.status, answer.dial) == ("ok", "dial-error")
            assert answer.data >= 30_000

    served(main)


def test_who_does_not_pay_gets_nothing_dialled() -> None:
    async def main(site: Site) -> None:
        async with site.peer() as (_, made):
            for said in (autonat.encode_autonat(autonat.DialResponse("ok")), b"\xff", b""):
                stream = await made.open(autonat.DIAL_REQUEST, timeout_s=5.0)
                assert stream is not None
                messages = StreamMessages(stream, 10_000)
                messages.write(autonat.encode_autonat(autonat.DialRequest(at(BOB, 4001), 1)))
                assert isinstance(autonat.decode_autonat(await messages.expect()), autonat.DialDataRequest)
                messages.write(said)
                assert await messages.read() is None
                assert stream.was_reset

    served(main)


def test_a_dial_that_the_request_has_no_time_for_leaves_no_connection() -> None:
    """Who pays until the last moment, and takes the call without an answer."""

    async def main(site: Site) -> None:
        async with site.peer() as (peer, made), PeerHost(site.lab.network("bob"), peer.key) as called:

            async def stall(stream: MuxStream) -> None:
                await asyncio.get_running_loop().create_future()

            called.servers[autonat.DIAL_BACK] = stall
            await called.listen(4, port=4001)
            stream = await made.open(autonat.DIAL_REQUEST, timeout_s=5.0)
            assert stream is not None
            messages = StreamMessages(stream, 10_000)
            messages.write(autonat.encode_autonat(autonat.DialRequest(at(BOB, 4001), 1)))
            wanted = autonat.decode_autonat(await messages.expect())
            assert isinstance(wanted, autonat.DialDataRequest)
            await pass_time(28.0)
            for _ in range(0, wanted.size, 4096):
                messages.write(autonat.encode_autonat(autonat.DialData(bytes(4096))))
            await pass_time(1.0)
            (dialled,) = called.connections
            await pass_time(5.0)
            assert dialled.ended.is_set()

    served(main)


def test_who_asks_for_dials_and_says_no_more_keeps_nobody_from_being_dialled() -> None:
    async def main(site: Site) -> None:
        async with site.peer(port=4001) as (peer, made):
            serve_nonces(peer)
            for _ in range(10):
                assert await made.open(autonat.DIAL_REQUEST, timeout_s=5.0) is not None
            assert (await ask_to_dial(made, at(ALICE, 4001), 1)).dial == "ok"

    served(main)


def test_a_source_is_dialled_twice_at_a_time() -> None:
    async def main(site: Site) -> None:
        async with site.peer(port=4001) as (_, made), asyncio.TaskGroup() as group:
            asked = [group.create_task(ask_to_dial(made, at("11.1.0.2", 9), each)) for each in range(5)]
        assert sorted(each.result().status or "" for each in asked) == ["ok"] * 2 + ["rejected"] * 3

    served(main)


def test_a_source_is_dialled_so_often_a_minute() -> None:
    async def main(site: Site) -> None:
        async with site.peer(port=4001) as (peer, made):
            serve_nonces(peer)
            answers = [await ask_to_dial(made, at(ALICE, 4001), number) for number in range(14)]
            assert [each.status for each in answers] == ["ok"] * 12 + ["rejected"] * 2
            await pass_time(5.0)
            assert (await ask_to_dial(made, at(ALICE, 4001), 99)).status == "ok"

    served(main)


# --- the relay


def read_voucher(voucher: bytes) -> tuple[PeerId, PeerId, int]:
    """Who signed it, who has the place, until when (circuit relay v2, reservation vouchers)."""
    signer, kind, payload = open_envelope(b"libp2p-relay-rsvp", voucher)
    fields = parse_fields(payload)
    assert kind == b"\x03\x02"
    assert decode_peer_id(fields.octets(1, 64) or b"") == signer
    return signer, decode_peer_id(fields.octets(2, 64) or b""), fields.number(3, 0)


async def called(site: Site, seconds: float) -> tuple[PeerId, asyncio.Task[None]]:
    """Alice has a place for so long; who she is."""
    placed: asyncio.Future[PeerId] = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        async with site.peer() as (peer, made):
            RelayedCalls(peer)
            answer = await reserve(made)
            assert answer.message is not None
            place = answer.message.reservation
            assert place is not None
            assert place.expires == NOW + 3600
            assert read_voucher(place.voucher) == (made.peer, peer.peer, NOW + 3600)
            placed.set_result(peer.peer)
            await pass_time(seconds)

    task = asyncio.get_running_loop().create_task(wait())
    return await placed, task


def test_a_peer_with_a_place_is_called_and_the_call_is_limited() -> None:
    async def main(site: Site) -> None:
        hers, alice = await called(site, 200.0)
        async with site.peer("bob") as (bob, made):
            answer = await connect_through(made, hers)
            assert answer.granted
            assert answer.message is not None
            assert answer.message.limit == circuit.RelayLimit(120, 1 << 17)
            assert answer.stream is not None
            through = await bob.take(answer.stream, initiates=True, relayed=True)
            assert isinstance(through, Libp2pConnection)
            assert await ping(through) is not None
            said = await identify(through)
            assert said is not None
            assert said.observed is None, "where a relay is, nobody is"
            await pass_time(119.0)
            assert not through.ended.is_set()
            await pass_time(2.0)
            assert through.ended.is_set()
        await alice

    served(main)


def test_a_call_carries_so_much_and_no_more() -> None:
    async def main(site: Site) -> None:
        hers, alice = await called(site, 60.0)
        async with site.peer("bob") as (_, made):
            answer = await connect_through(made, hers)
            assert answer.stream is not None
            for _ in range(40):
                answer.stream.write(bytes(4096))
            async with asyncio.timeout(30.0):
                while await answer.stream.read():
                    pass
            assert answer.stream.was_reset
        await alice

    served(main)


def test_who_has_no_place_or_has_gone_is_not_called() -> None:
    async def main(site: Site) -> None:
        hers, alice = await called(site, 1.0)
        async with site.peer("bob") as (bob, made):
            answer = await connect_through(made, bob.peer)
            assert answer.message is not None
            assert answer.message.status == "no-reservation"
            await alice
            await pass_time(1.0)
            answer = await connect_through(made, hers)
            assert answer.message is not None
            assert answer.message.status == "no-reservation"

    served(main)


def test_who_does_not_take_calls_fails_them() -> None:
    async def main(site: Site) -> None:
        async with site.peer("alice") as (alice, hers), site.peer("bob") as (_, his):
            assert (await reserve(hers)).granted
            answer = await connect_through(his, alice.peer)
            assert answer.message is not None
            assert answer.message.status == "connection-failed"

    served(main)


def test_places_are_limited_for_each_source_and_come_back() -> None:
    async def main(site: Site) -> None:
        async with site.peer() as (_, one), site.peer("carol") as (_, other):
            assert (await reserve(one)).granted
            assert (await reserve(one)).granted, "to renew takes no further place"
            refused = await reserve(other)
            assert refused.message is not None
            assert refused.message.status == "reservation-refused"
        async with site.peer("carol") as (_, other):
            await pass_time(1.0)
            assert (await reserve(other)).granted

    served(main, relay=PeerRelayLimits(reservations_per_source=1))


def test_who_stalls_calls_to_itself_leaves_some_to_others() -> None:
    async def main(site: Site) -> None:
        async with site.peer("alice") as (alice, hers), site.peer("carol") as (_, third):
            RelayedCalls(alice)
            assert (await reserve(hers)).granted
            answers = [await connect_through(third, alice.peer) for _ in range(4)]
            assert [each.granted for each in answers] == [True, True, False, False]
            assert answers[-1].message is not None
            assert answers[-1].message.status == "limit-exceeded"
            async with site.peer("bob") as (_, his):
                assert (await connect_through(his, alice.peer)).granted
            await pass_time(121.0)
            assert (await connect_through(third, alice.peer)).granted, "they come to an end"

    served(main, relay=PeerRelayLimits(circuits=3, circuits_per_source=2))


def test_no_network_of_peers_has_all_calls() -> None:
    limits = PeerRelayLimits()
    assert limits.circuits_per_source * 8 < limits.circuits, "an IPv4 /24 may have as much as eight sources"


def test_without_a_relay_there_is_none() -> None:
    async def main(site: Site) -> None:
        async with site.peer() as (_, made):
            assert (await reserve(made)).outcome == "unsupported"

    served(main, relay=None)


# --- those who mean ill


def test_a_handshake_that_does_not_come_to_an_end_is_given_up() -> None:
    async def main(site: Site) -> None:
        stream = await site.connect()
        stream.write(Negotiation(proposed=("/noise",)).data_to_send())
        await pass_time(11.0)
        while await stream.read():
            pass
        slow = await site.connect()
        for octet in Negotiation(proposed=("/noise",)).data_to_send():
            slow.write(bytes((octet,)))
            await pass_time(0.5)
        while await slow.read():
            pass
        assert site.connections == 0

    served(main)


@pytest.mark.parametrize(
    "said",
    [
        b"\x13" + b"x" * 300,
        b"\x13/multistream/1.0.0\n" + b"\xff" * 20,
        b"\x13/multistream/1.0.0\n\x07/noise\n" + b"\xff" * 99,
    ],
    ids=["no line", "endless line", "no Noise"],
)
def test_nonsense_ends_the_connection(said: bytes) -> None:
    async def main(site: Site) -> None:
        stream = await site.connect()
        stream.write(said)
        async with asyncio.timeout(5.0):
            while await stream.read():
                pass
        assert site.connections == 0

    served(main)


async def secured(site: Site) -> tuple[TcpStream, PeerSession]:
    """A connection whose every byte we choose."""
    from nattools.protocols.libp2p.hostkey import HostKey

    stream, session = await site.connect(), PeerSession(HostKey(), initiates=True)
    while session.stage != "ready":
        stream.write(session.data_to_send())
        session.receive(await stream.read())
    return stream, session


def test_streams_without_end_are_reset_and_then_the_connection_is() -> None:
    async def main(site: Site) -> None:
        stream, session = await secured(site)
        for _ in range(100):
            session.streams.open()
        stream.write(session.data_to_send())
        await pass_time(3.0)
        assert site.connections == 1
        held = site.running._peers.host.connections[0]._session.streams  # type: ignore[union-attr]
        assert held.streams <= 32
        stream.abort()
        await pass_time(1.0)
        assert site.connections == 0

    served(main)


def test_a_frame_that_is_too_large_ends_the_connection() -> None:
    async def main(site: Site) -> None:
        stream, session = await secured(site)
        assert session._channel is not None
        session._channel.send(b"\0\0\0\1\0\0\0\1\xff\xff\xff\xff")
        stream.write(session._channel.data_to_send())
        await pass_time(1.0)
        assert site.connections == 0

    served(main)


def test_a_source_has_so_many_connections_and_a_silent_one_ends() -> None:
    async def main(site: Site) -> None:
        async with PeerHost(site.lab.network("bob")) as bob:
            made = [await bob.dial(SERVER, timeout_s=5.0) for _ in range(9)]
            assert sum(isinstance(each, Libp2pConnection) for each in made) == 8
            assert isinstance(made[8], PeerFailure)
            async with site.peer("alice") as (_, honest):
                assert await ping(honest) is not None
            await pass_time(70.0)
            assert site.connections == 0

    served(main)


def test_where_all_places_are_taken_the_oldest_gives_way() -> None:
    async def main(site: Site) -> None:
        async with PeerHost(site.lab.network("bob")) as bob:
            first = await bob.dial(SERVER, timeout_s=5.0)
            second = await bob.dial(SERVER, timeout_s=5.0)
            async with site.peer("alice") as (_, honest):
                assert await ping(honest) is not None
                assert isinstance(first, Libp2pConnection)
                assert isinstance(second, Libp2pConnection)
                assert first.ended.is_set()
                assert not second.ended.is_set()

    served(main, peers=2)


def test_the_key_follows_from_its_seed() -> None:
    addresses: list[str] = []

    async def main(site: Site) -> None:
        addresses.append(site.running.services)

    for _ in range(2):
        served(main, seed=bytes(32))
    served(main)
    assert addresses[0] == addresses[1] != addresses[2]
    assert "seed" not in repr(PeerServiceConfig(seed=bytes(32)))
    assert msgspec.structs.asdict(PeerServiceConfig())["seed"] is None
