"""Two peers meet through a server, in the simulator: behind NATs, through TLS, over its restart, and what
happens when they do not meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from certificates import certificate
from simulated import behind_nat, pass_time, run

from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure, TcpStream
from nattools.net.system.hostnetwork import HostNetwork
from nattools.net.web import tls, websocket
from nattools.net.web.websocket import WebSocket
from nattools.protocols import stun
from nattools.protocols.mailbox import MAX_PAYLOAD, PATH, MailboxFailure
from nattools.protocols.mailbox import messages as m
from nattools.server.mailbox import Mailbox, MailboxLimits, OutgoingText
from nattools.server.serving import Running, ServeConfig, serve
from nattools.traversal.codes import Code, new_code
from nattools.traversal.mailboxconnection import MailboxAddress
from nattools.traversal.rendezvous import Rendezvous, RendezvousStage, RendezvousTimeouts, rendezvous
from nattools.wording import sentence

HOST = "11.201.0.2"
SERVER = Endpoint(HOST, 3478)
WORDS = ("crossover", "clockwork")


async def server(lab: SimLab, **options: Any) -> Running:
    return await serve(lab.network("stun"), ServeConfig(addresses=(HOST,), **options))


@asynccontextmanager
async def met(
    lab: SimLab, *, bob: tuple[str, ...] = WORDS, address: MailboxAddress | None = None
) -> AsyncIterator[tuple[Rendezvous, Rendezvous]]:
    """Alice behind her NAT opens a room, bob joins it."""
    address = address or MailboxAddress(HOST)
    async with rendezvous(lab.network("alice"), address, Code(None, WORDS)) as alice:
        code = await alice.opened()
        assert isinstance(code, Code), code
        async with rendezvous(lab.network("bob"), address, Code(code.nameplate, bob)) as other:
            yield alice, other


def test_two_peers_meet_by_their_code_alone() -> None:
    async def main(lab: SimLab) -> None:
        running = await server(lab)
        async with met(lab) as (alice, bob):
            assert await alice.confirmed() is None
            assert await bob.confirmed() is None
            for number in range(5):
                alice.send(b"%d" % number)
                bob.send(bytes(MAX_PAYLOAD))
                assert await bob.receive() == b"%d" % number
                assert await alice.receive() == bytes(MAX_PAYLOAD)
            assert alice.export("quic") == bob.export("quic")
            bob.close()
            assert await alice.receive() is None
        stages: list[RendezvousStage] = ["connecting", "open", "met", "confirmed", "ended"]
        assert all(alice.has_reached(stage) for stage in stages)
        await running.close()

    run(behind_nat(), main)


def test_meeting_takes_few_round_trips() -> None:
    """TCP, WebSocket, join: three; then two to bob's SPAKE2 message and proof and back."""

    async def main(lab: SimLab) -> float:
        running = await server(lab)
        async with rendezvous(lab.network("alice"), MailboxAddress(HOST), Code(7, WORDS)) as alice:
            await alice.opened()
            began = asyncio.get_running_loop().time()
            async with rendezvous(lab.network("bob"), MailboxAddress(HOST), Code(7, WORDS)) as bob:
                assert await bob.confirmed() is None
                took = asyncio.get_running_loop().time() - began
        await running.close()
        return took

    assert run(behind_nat(delay_ms=50), main) < 0.35


def test_a_wrong_code_is_named_on_both_sides() -> None:
    async def main(lab: SimLab) -> None:
        running = await server(lab)
        async with met(lab, bob=("crossover", "clocktower")) as (alice, bob):
            for each in (await alice.confirmed(), await bob.confirmed()):
                assert each is not None
                assert each.reason == "wrong-code"
                assert "make a new one" in sentence(each.statement)
            assert not alice.send(b"x")
            assert await alice.receive() == alice.failure
        await running.close()

    run(behind_nat(), main)


@pytest.mark.parametrize("away_s", [0.3, 20.0])
def test_a_restarted_server_is_come_back_to(away_s: float) -> None:
    async def main(lab: SimLab) -> None:
        running = await server(lab)
        async with met(lab) as (alice, bob):
            assert await bob.confirmed() is None
            alice.send(b"before")
            assert await bob.receive() == b"before"
            await running.close()
            alice.send(b"meanwhile")
            await pass_time(away_s)
            running = await server(lab)
            assert await bob.receive() == b"meanwhile"
            bob.send(b"after")
            assert await alice.receive() == b"after"
            assert alice.has_reached("interrupted")
        await running.close()

    run(behind_nat(), main)


def test_a_server_that_never_comes_back_is_named() -> None:
    async def main(lab: SimLab) -> None:
        running = await server(lab)
        async with met(lab) as (alice, bob):
            assert await bob.confirmed() is None
            await running.close()
            began = asyncio.get_running_loop().time()
            failure = await alice.receive()
            assert isinstance(failure, MailboxFailure)
            assert failure.reason == "unreachable"
            assert 50 < asyncio.get_running_loop().time() - began < 70

    run(behind_nat(), main)


@pytest.mark.parametrize(
    ("host", "said"),
    [("11.201.0.2", "refused"), ("11.222.0.9", "timeout"), ("nowhere.example", "nowhere.example")],
)
def test_no_mailbox_there_is_named(host: str, said: str) -> None:
    async def main(lab: SimLab) -> None:
        async with rendezvous(lab.network("alice"), MailboxAddress(host), new_code()) as alice:
            failure = await alice.opened()
            assert isinstance(failure, MailboxFailure)
            assert failure.reason == "unreachable"
            assert said in sentence(failure.statement)

    run(behind_nat(), main)


def test_a_server_without_a_mailbox_is_named() -> None:
    async def main(lab: SimLab) -> None:
        running = await server(lab, mailbox=False)
        async with rendezvous(lab.network("alice"), MailboxAddress(HOST), new_code()) as alice:
            failure = await alice.opened()
            assert isinstance(failure, MailboxFailure)
            assert "is not a WebSocket server" in sentence(failure.statement)
        await running.close()

    run(behind_nat(), main)


def test_a_silent_server_is_left() -> None:
    """It accepts connections and says nothing; and one that says nothing any more."""

    async def main(lab: SimLab) -> None:
        listener = await lab.network("stun").listen_tcp(
            family=4, host=HOST, port=3478, on_stream=lambda stream: None
        )
        patience = RendezvousTimeouts(first_s=8)
        async with rendezvous(lab.network("alice"), MailboxAddress(HOST), new_code(), patience) as alice:
            assert isinstance(await alice.opened(), MailboxFailure)
            assert asyncio.get_running_loop().time() < 15
        listener.close()

    run(behind_nat(), main)


class FalseMailbox:
    """Answers WebSocket's handshake, then does as it is told with each connection."""

    def __init__(self, manner: Callable[[WebSocket], Awaitable[None]]) -> None:
        self.connections = 0
        self._manner = manner

    @asynccontextmanager
    async def open(self, lab: SimLab) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            listener = await lab.network("stun").listen_tcp(
                family=4,
                host=HOST,
                port=3478,
                on_stream=lambda stream: group.create_task(self._serve(stream)),
            )
            yield
            listener.close()

    async def _serve(self, stream: TcpStream) -> None:
        self.connections += 1
        socket = await websocket.accept(stream, b"", path=PATH, max_size=9999, timeout_s=5)
        if socket is not None:
            await self._manner(socket)
            socket.close()


async def _pings(socket: WebSocket) -> None:
    """Never says that the room is open."""
    for _ in range(200):
        socket.ping()
        await pass_time(1)


async def _joins_and_drops(socket: WebSocket) -> None:
    socket.send(m.encode(m.Joined(777, False)))
    await pass_time(0.01)


async def _floods(socket: WebSocket) -> None:
    socket.send(m.encode(m.Joined(777, False)))
    await pass_time(1)
    for _ in range(3000):
        socket.ping()
    await pass_time(30)


def test_a_mailbox_that_opens_no_room_is_left() -> None:
    async def main(lab: SimLab) -> None:
        async with (
            FalseMailbox(_pings).open(lab),
            rendezvous(lab.network("alice"), MailboxAddress(HOST), new_code()) as alice,
        ):
            failure = await alice.opened()
            assert isinstance(failure, MailboxFailure)
            assert "it opens no room" in sentence(failure.statement)
            assert asyncio.get_running_loop().time() < 30

    run(behind_nat(), main)


def test_a_mailbox_that_drops_everybody_is_come_back_to_slowly() -> None:
    false = FalseMailbox(_joins_and_drops)

    async def main(lab: SimLab) -> None:
        async with (
            false.open(lab),
            rendezvous(lab.network("alice"), MailboxAddress(HOST), new_code()) as alice,
        ):
            assert isinstance(await alice.opened(), Code)
            await pass_time(60)

    run(behind_nat(), main)
    assert 5 < false.connections < 20


def test_a_mailbox_that_floods_with_pings_is_left() -> None:
    async def main(lab: SimLab) -> None:
        async with (
            FalseMailbox(_floods).open(lab),
            rendezvous(lab.network("alice"), MailboxAddress(HOST), new_code()) as alice,
        ):
            assert isinstance(await alice.opened(), Code)
            failure = await alice.confirmed()
            assert failure is not None
            assert failure.reason == "flood"

    run(behind_nat(), main)


def test_a_conversation_outlasts_long_silence() -> None:
    async def main(lab: SimLab) -> None:
        running = await server(lab)
        async with met(lab) as (alice, bob):
            assert await bob.confirmed() is None
            await pass_time(3500)
            alice.send(b"still here?")
            assert await bob.receive() == b"still here?"
            assert not alice.has_reached("interrupted")
        await running.close()

    run(behind_nat(), main)


def test_an_error_within_the_block_comes_out_as_it_is() -> None:
    async def main(lab: SimLab) -> None:
        running = await server(lab)
        with pytest.raises(KeyError, match="mine"):
            async with rendezvous(lab.network("alice"), MailboxAddress(HOST), new_code()):
                raise KeyError("mine")
        await running.close()

    run(behind_nat(), main)


def test_loss_on_the_way_is_no_obstacle() -> None:
    async def main(lab: SimLab) -> None:
        running = await server(lab)
        async with met(lab) as (alice, bob):
            for number in range(20):
                alice.send(b"%d" % number)
            assert [await bob.receive() for _ in range(20)] == [b"%d" % number for number in range(20)]
        await running.close()

    run(behind_nat(loss=0.1), main, seed=3)


def test_they_meet_through_tls_on_the_same_port(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    context = tls.client_context()
    context.load_verify_locations(files[0])

    async def main(lab: SimLab) -> None:
        running = await server(lab, tls_files=files)
        async with met(lab, address=MailboxAddress(HOST, 3478, lambda: context)) as (alice, bob):
            alice.send(bytes(MAX_PAYLOAD))
            assert await bob.receive() == bytes(MAX_PAYLOAD)
        async with met(lab) as (alice, bob):
            assert await bob.confirmed() is None, "plain TCP is served beside it"
        await running.close()

    run(behind_nat(), main)


def test_stun_is_answered_within_tls(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    context = tls.client_context()
    context.load_verify_locations(files[0])

    async def main(lab: SimLab) -> None:
        running = await server(lab, tls_files=files)
        stream = await connect(lab)
        secured = await tls.start_tls(stream, context, timeout_s=5, server_name=HOST)
        assert not isinstance(secured, str)
        secured.write(stun.binding_request(bytes(12)))
        answer = stun.decode(await secured.read())
        assert answer.mapped is not None
        assert answer.mapped.port == stream.local.port
        secured.close()
        await running.close()

    run(behind_nat(), main)


def test_a_certificate_of_somebody_else_is_named(tmp_path: Path) -> None:
    files = certificate(tmp_path)

    async def main(lab: SimLab) -> None:
        running = await server(lab, tls_files=files)
        address = MailboxAddress(HOST, 3478, tls.client_context)
        async with rendezvous(lab.network("alice"), address, new_code()) as alice:
            failure = await alice.opened()
            assert isinstance(failure, MailboxFailure)
            assert "certificate is not valid: self-signed certificate" in sentence(failure.statement)
        await running.close()

    run(behind_nat(), main)


async def connect(lab: SimLab, host: str = "bob") -> TcpStream:
    stream = await lab.network(host).connect_tcp(SERVER, timeout_s=5)
    assert not isinstance(stream, TcpFailure)
    return stream


REQUEST = (
    b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n%s\r\n"
)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (REQUEST % (PATH.encode(), b""), b"101"),
        (REQUEST % (b"/other", b""), b"404"),
        (REQUEST % (PATH.encode(), b"Origin: https://a.page.example\r\n"), b"403"),
        (b"GET /mailbox HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
        (b"GET /mailbox HTTP/1.1\r\n" + b"X: y\r\n" * 300 + b"\r\n", b"431"),
        (b"G" + bytes(9000), None),
        (b"GARBAGE\r\n\r\n", None),
    ],
)
def test_what_http_is_answered_with(request_: bytes, status: bytes | None) -> None:
    async def main(lab: SimLab) -> bytes:
        running = await server(lab)
        stream = await connect(lab)
        stream.write(request_)
        answer = await stream.read()
        stream.close()
        await running.close()
        return answer

    answer = run(behind_nat(), main)
    assert answer == b"" if status is None else answer.split()[1] == status


def test_a_slow_handshake_and_a_silent_guest_are_ended() -> None:
    async def main(lab: SimLab) -> None:
        running = await server(lab)
        slow, silent = await connect(lab), await connect(lab)
        slow.write(b"GET /mail")
        silent.write(REQUEST % (PATH.encode(), b""))
        assert b" 101 " in await silent.read()
        await pass_time(11)
        assert await slow.read() == b""
        assert await silent.read() != b"", "a WebSocket's goodbye"
        assert await silent.read() == b""
        await running.close()

    run(behind_nat(), main)


def test_a_message_too_large_or_in_too_many_pieces_ends_the_connection() -> None:
    async def main(lab: SimLab) -> None:
        running = await server(lab)
        for frames in (b"\x81\xff" + (1 << 40).to_bytes(8, "big"), b"\x01\x80....", b"\x83\x80...."):
            stream = await connect(lab)
            guest = await websocket.connect(stream, host="x", path=PATH, max_size=1000, timeout_s=5)
            assert not isinstance(guest, str)
            stream.write(frames + b"\x00\x80...." * 40)
            assert await guest.receive() in (None, b"")
            assert await guest.receive() is None
            guest.close()
        await running.close()

    run(behind_nat(), main)


class Liar(Mailbox):
    """Passes the room's messages on as `lie` has them."""

    lie: ClassVar[Callable[[m.Sealed], list[m.Envelope]]]

    def receive(self, number: int, text: bytes, now: float) -> list[OutgoingText]:
        return [each for out in super().receive(number, text, now) for each in self._instead(out)]

    def _instead(self, out: OutgoingText) -> Iterator[OutgoingText]:
        message = m.decode_from_mailbox(out.text) if out.text else None
        envelope = m.decode_envelope(message.body) if isinstance(message, m.PeerMessage) else None
        if not isinstance(envelope, m.Sealed):
            yield out
            return
        for each in type(self).lie(envelope):
            yield OutgoingText(out.connection, m.encode(m.PeerMessage(m.pack(each))))


@pytest.mark.parametrize(
    ("lie", "named"),
    [
        (lambda each: [each, each], "replayed"),
        (lambda each: [m.Sealed(each.sequence, each.box[::-1])], "altered"),
        (lambda each: [m.Sealed(0, each.box)] if each.sequence else [each], "altered"),
        (lambda each: [each] if each.sequence else [], "reordered"),
        (lambda each: [m.Pake(b"S" + bytes(32))], "another-peer"),
        (lambda each: [m.Proof(bytes(32))], "altered"),
    ],
)
def test_a_lying_mailbox_is_found_out(
    lie: Callable[[m.Sealed], list[m.Envelope]], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Liar, "lie", staticmethod(lie), raising=False)
    monkeypatch.setattr("nattools.server.mailboxserver.Mailbox", Liar)

    async def main(lab: SimLab) -> None:
        running = await server(lab)
        async with met(lab) as (alice, bob):
            assert await bob.confirmed() is None
            for number in range(3):
                alice.send(b"%d" % number)
            received = [await bob.receive()]
            while isinstance(received[-1], bytes):
                received.append(await bob.receive())
            assert received[:-1] == [b"%d" % number for number in range(len(received) - 1)]
            failure = received[-1]
            assert isinstance(failure, MailboxFailure)
            assert failure.reason == named
        await running.close()

    run(behind_nat(), main)


def test_a_flood_is_ended_and_others_do_not_notice() -> None:
    async def main(lab: SimLab) -> None:
        running = await server(lab)
        guest = await websocket.connect(await connect(lab), host="x", path=PATH, max_size=9999, timeout_s=5)
        assert not isinstance(guest, str)
        guest.send(m.encode(m.Join(m.VERSION, bytes(16), 777)))
        for _ in range(5000):
            guest.send(m.encode(m.PeerMessage(bytes(100))))
        async with met(lab) as (alice, bob):
            alice.send(b"x")
            assert await bob.receive() == b"x"
        last = b""
        while text := await guest.receive():
            last = text
        assert m.decode_from_mailbox(last) == m.Closed("rate")
        await running.close()

    run(behind_nat(), main)


def test_who_does_not_read_is_put_out() -> None:
    """Its peer sends a megabyte; nothing more than the stream's own buffers is kept for it."""

    async def main(lab: SimLab) -> None:
        limits = MailboxLimits(message_rate=1e6, message_burst=1e6)
        running = await server(lab, mailbox_limits=limits)
        guests = []
        for number in range(2):
            stream = await connect(lab, ("bob", "carol")[number])
            guest = await websocket.connect(stream, host="x", path=PATH, max_size=9999, timeout_s=5)
            assert not isinstance(guest, str)
            guest.send(m.encode(m.Join(m.VERSION, bytes([number]) * 16, 777)))
            assert await guest.receive()
            guests.append(guest)
        for _ in range(200):
            guests[1].send(m.encode(m.PeerMessage(bytes(9000))))
        await pass_time(60)
        heard = [await guests[1].receive()]
        assert m.decode_from_mailbox(heard[0] or b"") == m.Peer(False)
        await running.close()

    run(behind_nat(), main)


def test_they_meet_over_the_loopback_interface() -> None:
    async def main() -> None:
        running = await serve(HostNetwork(), ServeConfig(("127.0.0.1",), port=0, alternate_port=None))
        address = MailboxAddress("127.0.0.1", running.endpoints[0].port)
        async with asyncio.timeout(60), rendezvous(HostNetwork(), address, new_code()) as alice:
            code = await alice.opened()
            assert isinstance(code, Code)
            async with rendezvous(HostNetwork(), address, code) as bob:
                alice.send(bytes(MAX_PAYLOAD))
                assert await bob.receive() == bytes(MAX_PAYLOAD)
            assert await alice.receive() is None
        await running.close()

    asyncio.run(main())
