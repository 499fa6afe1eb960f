"""The relay on simulated sockets, beside what else a server does on its ports."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any, cast

import msgspec
import pytest
from relayed import ALICE, HOST, URIS, Inbox, beside_a_relay, relay, relay_config, try_relay
from simulated import ends_within, pass_time

from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure, TcpStream
from nattools.net.web.serversteps import StepFailure
from nattools.protocols import mailbox as protocol
from nattools.protocols import stun, turn
from nattools.protocols.mailbox import messages as m
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.authentication import LongTermAuthentication
from nattools.protocols.turn.credentials import LongTermCredentials, time_limited_password
from nattools.server.connections import BackgroundTasks
from nattools.server.mailbox import Mailbox
from nattools.server.relay.relayservice import Outbox, RelayConfig
from nattools.server.relay.turnlimits import TurnLimits
from nattools.server.serving import ServeConfig, serve

OFFER = protocol.RelayOffer("1:name", "password", 60)


# --- through the mailbox


def entered(mailbox: Mailbox, member: bytes, nameplate: int | None) -> tuple[int, list[Any]]:
    number = mailbox.connect(Endpoint("11.1.0.2", 40000))
    texts = mailbox.receive(number, m.encode(m.Join(m.VERSION, member, nameplate)), 0.0)
    return number, [(text.connection, m.decode_from_mailbox(text.text)) for text in texts]


def test_two_who_met_get_credentials_each() -> None:
    offers = iter([msgspec.structs.replace(OFFER, username=f"1:{name}") for name in "ab"])
    mailbox = Mailbox(draw=Random(1), offer=lambda: next(offers))
    first, alone = entered(mailbox, bytes(16), None)
    (_, joined), *_ = alone
    assert joined.relay is None, "nobody has met yet"
    second, together = entered(mailbox, b"x" * 16, joined.nameplate)
    said = dict(together)
    assert isinstance(said[second], m.Joined)
    assert isinstance(said[first], m.Peer)
    assert {said[first].relay.username, said[second].relay.username} == {"1:a", "1:b"}


def test_a_client_is_told_of_the_relay() -> None:
    client = protocol.MailboxClient(b"words", 7)
    client.connected()
    client.receive(m.encode(m.Joined(7, True, OFFER)), 0.0)
    assert m.RelayOffered(OFFER) in client.events()
    again = protocol.MailboxClient(b"words", 7)
    again.connected()
    again.receive(m.encode(m.Joined(7, False)), 0.0)
    again.receive(m.encode(m.Peer(True, OFFER)), 0.0)
    assert m.RelayOffered(OFFER) in again.events()


def test_older_clients_read_what_they_know() -> None:
    class Joined(msgspec.Struct, frozen=True, tag="joined"):
        nameplate: int
        present: bool

    class Peer(msgspec.Struct, frozen=True, tag="peer"):
        present: bool

    old = msgspec.json.Decoder(Joined | Peer)
    assert old.decode(m.encode(m.Joined(7, True, OFFER))) == Joined(7, True)
    assert old.decode(m.encode(m.Peer(True, OFFER))) == Peer(True)
    assert m.encode(m.Peer(True)) == b'{"type":"peer","present":true}', "as ever, without a relay"


@pytest.mark.parametrize("relays", [True, False])
def test_what_the_server_hands_out_works(relays: bool) -> None:
    """`relays` False: as for an existing fleet with the same secret."""

    async def main(lab: SimLab) -> None:
        config = RelayConfig(relays=relays, secret="shared", uris=() if relays else ("turn:relay.example",))
        running = await serve(lab.network("other"), ServeConfig(addresses=("11.202.0.2",), relay=config))
        try:
            made = running._relay
            assert made is not None
            offer = made.offer()
            assert offer is not None
            assert offer.uris == config.uris
            assert time_limited_password("shared", offer.username) == offer.password
            credentials = LongTermCredentials(offer.username, offer.password)
            found = await try_relay(
                lab.network("alice"), "turn:11.202.0.2", credentials=credentials, timeout_s=5
            )
            assert isinstance(found, StepFailure) != relays
            if not isinstance(found, StepFailure):
                found.close()
        finally:
            await running.close()

    beside_a_relay(main)


# --- beside the rest


def test_clients_learn_that_there_is_a_relay() -> None:
    async def main(lab: SimLab) -> None:
        inbox = Inbox(await lab.network("carol").open_udp(family=4))
        inbox.socket.send(stun.binding_request(bytes(12), padded_to=108), Endpoint(HOST, 3478))
        answer = stun.decode((await inbox.next())[0])
        assert answer.hello is not None
        assert answer.hello[1] & c.SERVICE_RELAY
        inbox.socket.close()

    beside_a_relay(main)


@pytest.mark.parametrize("uri", URIS[1:])
def test_a_client_over_tcp_may_be_silent_while_its_allocation_lasts(uri: str, tmp_path: Path) -> None:
    async def main(lab: SimLab) -> None:
        alice = await relay(lab.network("alice"), uri)
        bob = await relay(lab.network("bob"))
        got = Inbox(alice)
        assert await alice.permit(bob.local) is None
        await pass_time(200)
        bob.send(b"still there?", alice.local)
        assert await got.next() == (b"still there?", bob.local)
        alice.close()
        bob.close()

    beside_a_relay(main, tmp_path)


async def connected(lab: SimLab, host: str) -> TcpStream:
    stream = await lab.network(host).connect_tcp(Endpoint(HOST, 3478), timeout_s=5)
    assert not isinstance(stream, TcpFailure)
    return stream


def test_one_who_only_asks_is_not_waited_for() -> None:
    """ChannelData of one without an allocation neither counts as a client's nor keeps a connection."""

    async def main(lab: SimLab) -> None:
        stream = await connected(lab, "carol")
        stream.write(stun.encode(stun.Message(c.ALLOCATE, "request", bytes(12))))
        assert stun.decode(await stream.read()).error == (401, "")
        stream.write(turn.encode_channel_data(0x4000, bytes(100)) * 100)
        assert await ends_within(stream, 35)
        await pass_time(1)

    beside_a_relay(main)


def test_an_allocation_ends_with_its_connection_and_its_ports_with_it() -> None:
    async def main(lab: SimLab) -> None:
        alice = await relay(lab.network("alice"), URIS[1])
        bob = await relay(lab.network("bob"))
        relayed = alice.local
        assert await bob.permit(relayed) is None
        cast(Any, alice)._driver.carrier.close()
        await pass_time(1)
        again = await relay(lab.network("alice"), URIS[1])
        assert again.local != relayed
        for socket in (alice, bob, again):
            socket.close()

    beside_a_relay(main)


def test_tls_is_served_without_a_mailbox(tmp_path: Path) -> None:
    async def main(lab: SimLab) -> None:
        config = msgspec.structs.replace(relay_config(tmp_path, "11.202.0.2"), mailbox=False)
        running = await serve(lab.network("other"), config)
        assert "TCP, with and without TLS" in running.services
        (await relay(lab.network("alice"), "turns:11.202.0.2:3478")).close()
        stream = await lab.network("carol").connect_tcp(Endpoint("11.202.0.2", 3478), timeout_s=5)
        assert not isinstance(stream, TcpFailure)
        stream.write(b"GET /mailbox HTTP/1.1\r\n\r\n")
        assert await ends_within(stream, 5)
        await pass_time(1)
        await running.close()

    beside_a_relay(main)


def test_what_a_relay_says_of_itself_holds_no_secret() -> None:
    config = ServeConfig(addresses=(HOST,), relay=RelayConfig(users=dict((ALICE,)), secret="hidden"))
    assert "wonderland" not in repr(config) + repr(config.relay)
    assert "hidden" not in repr(config) + repr(config.relay)


# --- a client that never reads


class Unread:
    """A stream that takes everything and delivers nothing."""

    over = False

    def __init__(self) -> None:
        self.queued = 0
        self.read = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.queued += len(data)

    async def drain(self) -> None:
        await self.read.wait()


def test_little_waits_for_a_client_that_never_reads() -> None:
    async def main() -> None:
        tasks = BackgroundTasks()
        await tasks.start()
        stream = Unread()
        outbox = Outbox(cast(TcpStream, stream), tasks)
        for _ in range(10_000):
            outbox.say([bytes(1000), bytes(200)])
            await asyncio.sleep(0)
        assert 200_000 < stream.queued < 300_000
        waiting = stream.queued
        stream.read.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        outbox.say([bytes(1000)])
        assert stream.queued == waiting + 1000, "it goes on when it reads"
        await tasks.close()

    asyncio.run(main())


def test_others_go_on_beside_a_flood() -> None:
    """10,000 requests that nobody can answer for, of one site; another has its relay at once."""

    async def main(lab: SimLab) -> None:
        mallory = await lab.network("carol").open_udp(family=4)
        got = Inbox(mallory)
        wrong = LongTermAuthentication("alice", "guess")
        wrong.renew(stun.Message(c.ALLOCATE, "error", bytes(12), ((c.REALM, b"turn"), (c.NONCE, b"AAAA"))))
        udp = (c.REQUESTED_TRANSPORT, turn.pack_transport(17))
        for number in range(10_000):
            request = stun.Message(c.ALLOCATE, "request", number.to_bytes(12, "big"), (udp,))
            data = wrong.sign(request) if number % 2 else stun.encode(request)
            mallory.send(data, Endpoint(HOST, 3478))
        await pass_time(1)
        count = 0
        while not got.empty:
            await got.next()
            count += 1
        limits = TurnLimits()
        assert count <= limits.challenge_burst + 2 * limits.challenge_rate
        (await relay(lab.network("alice"))).close()
        mallory.close()

    beside_a_relay(main)
