"""QUIC links in the simulator: what becomes of them when the path or the peer is not as it should be."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from random import Random

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from linked import (
    OTHER_SECRET,
    SECRET,
    SocketPath,
    WatchedPath,
    as_it_is,
    both,
    lost,
    paths,
    quic_links,
    read_all,
    read_exactly,
)
from qh3 import QuicConfiguration, QuicConnection
from simulated import open_internet, pass_time, run

from nattools.lab.sim.simlab import SimLab
from nattools.model.statement import Statement, statement
from nattools.net.system.hostnetwork import HostNetwork
from nattools.traversal.identity import NAME, UNPROVEN, identity
from nattools.traversal.links.link import Link
from nattools.traversal.links.quic import ATTEMPTS, PEER
from nattools.traversal.links.quickeys import Keys
from nattools.traversal.links.quiclink import QuicLink
from nattools.traversal.links.quicopening import quic_link
from nattools.traversal.links.quicreceive import WINDOW
from nattools.wording import sentence

DATA = Random(7).randbytes(200_000)


def on_paths(main: Callable[[WatchedPath, WatchedPath], Awaitable[None]], **spec: float) -> None:
    """Run `main` with two ends of a path with a round trip of 40 ms."""

    async def with_paths(lab: SimLab) -> None:
        await main(*await paths(lab.network("alice"), lab.network("bob")))

    run(open_internet(delay_ms=20, **spec), with_paths)


def quic_linked(main: Callable[[QuicLink, QuicLink], Awaitable[None]]) -> None:
    async def with_links(one: WatchedPath, other: WatchedPath) -> None:
        await main(*await quic_links(one, other))

    on_paths(with_links)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_the_handshake_takes_one_and_a_half_round_trips() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        await quic_links(one, other)
        assert now() <= 0.0601

    on_paths(main)


@pytest.mark.parametrize("leads", [True, False])
def test_without_a_peer_it_says_so(leads: bool) -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        answer = await quic_link(one, SECRET, leads=leads, timeout_s=5)
        assert answer == statement("link-silent", protocol="QUIC", limit_s=5)
        assert now() == pytest.approx(5)
        assert not one.attached

    on_paths(main)


def test_a_wrong_secret_is_refused_on_both_sides() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, theirs = await both(
            quic_link(one, SECRET, leads=True, timeout_s=5),
            quic_link(other, OTHER_SECRET, leads=False, timeout_s=5),
        )
        for answer in (ours, theirs):
            assert isinstance(answer, Statement)
            assert UNPROVEN in sentence(answer)
        # the path can be used again
        await quic_links(one, other)

    on_paths(main)


def test_drain_waits_for_a_slow_reader_and_memory_is_bounded() -> None:
    async def main(ours: Link, theirs: Link) -> None:
        written = 0

        async def write_for_ever() -> None:
            nonlocal written
            while ours.ended is None:
                ours.write(bytes(65536))
                written += 65536
                await ours.drain()

        async with asyncio.TaskGroup() as group:
            writer = group.create_task(write_for_ever())
            await pass_time(60)
            stuck = written
            assert stuck <= 9 << 20
            await pass_time(60)
            assert written == stuck
            await read_exactly(theirs, 2 << 20)
            await pass_time(60)
            assert stuck < written <= stuck + (10 << 20)
            writer.cancel()
        ours.abort()

    quic_linked(main)


def test_it_goes_on_after_forty_seconds_of_total_loss() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, theirs = await quic_links(one, other)
        ours.write(DATA)
        half = await read_exactly(theirs, len(DATA) // 2)
        one.fate = other.fate = lost
        ours.write(DATA)
        await pass_time(40)
        assert ours.ended is None
        one.fate = other.fate = as_it_is
        began = now()
        rest = await read_exactly(theirs, 2 * len(DATA) - len(half))
        assert half + rest == DATA * 2
        assert now() - began < 4

    on_paths(main)


def test_a_new_path_is_used_at_once() -> None:
    async def main(lab: SimLab) -> None:
        one, other = await paths(lab.network("alice"), lab.network("bob"))
        ours, theirs = await quic_links(one, other)
        one.fate = other.fate = lost
        ours.write(DATA)
        await pass_time(10)
        one.fate = other.fate = as_it_is
        assert one.on_change is not None
        one.on_change()
        began = now()
        assert await theirs.read()
        assert now() - began < 0.07  # a probe, its confirmation, and what was lost before
        assert await read_exactly(theirs, 1) != b""

    run(open_internet(delay_ms=20), main)


def test_replayed_packets_change_nothing() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        one.fate = other.fate = lambda data: [data, data, *one.sent[-3:]] if len(one.sent) < 2000 else [data]
        ours, theirs = await quic_links(one, other)
        ours.write(DATA)
        assert await read_exactly(theirs, len(DATA)) == DATA
        theirs.write(DATA)
        assert await read_exactly(ours, len(DATA)) == DATA
        assert ours.ended is theirs.ended is None

    on_paths(main)


def test_altered_packets_and_garbage_change_nothing() -> None:
    draw = Random(5)

    def tampered(data: bytes) -> list[bytes]:
        altered = bytearray(data)
        altered[draw.randrange(len(altered))] ^= 1 << draw.randrange(8)
        garbage = bytes([0x40 | draw.randrange(64)]) + draw.randbytes(draw.randrange(1300))
        return [bytes(altered), garbage, data, data[: draw.randrange(1, len(data))]]

    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, theirs = await quic_links(one, other)
        one.fate = other.fate = tampered
        ours.write(DATA)
        theirs.write(DATA)
        assert await both(read_exactly(theirs, len(DATA)), read_exactly(ours, len(DATA))) == (DATA, DATA)

    on_paths(main)


def stranger(secret: bytes = OTHER_SECRET) -> bytes:
    """The first packet of a client that knows something else."""
    return first_flight(secret)[0]


def first_flight(secret: bytes) -> list[bytes]:
    quic = Keys(secret).client(b"pre-shared key", probes=False)
    quic.connect(PEER, 0.0)
    return [data for data, _ in quic.datagrams_to_send(0.0)]


def test_strangers_do_not_keep_the_peer_out() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        for _ in range(3 * ATTEMPTS):
            one.send([stranger()])
        one.send([bytes([0xC0]) + bytes(1199)])
        one.fate = lambda data: [stranger(), data, stranger(), data[:100]]
        ours, theirs = await quic_links(one, other)
        ours.write(b"hello")
        assert await theirs.read() == b"hello"

    on_paths(main)


def test_a_replayed_first_packet_leads_to_nothing() -> None:
    """It proves the secret, but whoever repeats it cannot finish the handshake: the peer still gets in."""

    async def main(one: WatchedPath, other: WatchedPath) -> None:
        one.send(first_flight(SECRET))
        ours, theirs = await quic_links(one, other)
        assert ours.ended is theirs.ended is None

    on_paths(main)


@pytest.mark.parametrize("leads", [True, False])
def test_a_man_in_the_middle_is_refused(leads: bool) -> None:
    """He has the best of qh3, with a certificate and key that call themselves what ours do."""

    async def main(one: WatchedPath, other: WatchedPath) -> None:
        own = quic_link(one, SECRET, leads=leads, timeout_s=5)
        middle = Impostor(other, is_client=not leads)
        answer, _ = await both(own, middle.run())
        assert isinstance(answer, Statement)
        assert UNPROVEN in sentence(answer)

    on_paths(main)


class Impostor:
    """Plain qh3 that trusts anybody, with keys of its own."""

    def __init__(self, path: WatchedPath, *, is_client: bool) -> None:
        own = identity(OTHER_SECRET, leads=is_client)
        key = own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.path = path
        self.quic: QuicConnection | None = None
        self.configuration = QuicConfiguration(
            is_client=is_client,
            alpn_protocols=[NAME],
            server_name=NAME,
            verify_mode=ssl.CERT_NONE,
        )
        self.configuration.load_cert_chain(own.pem, key)
        path.attach(self.arrived, lambda: None)

    async def run(self) -> None:
        """Begin, if he is the client."""
        if self.configuration.is_client:
            self.quic = QuicConnection(configuration=self.configuration)
            self.quic.connect(PEER, now())
            self.flush()

    def arrived(self, data: bytes, size: int) -> None:
        if self.quic is None:
            self.quic = QuicConnection(
                configuration=self.configuration, original_destination_connection_id=data[6 : 6 + data[5]]
            )
        self.quic.receive_datagram(data, PEER, now())
        self.flush()

    def flush(self) -> None:
        assert self.quic is not None
        for data, _ in self.quic.datagrams_to_send(now()):
            self.path.send([data])


def test_a_peer_that_breaks_the_rules_is_refused() -> None:
    """It sends more than it was granted."""

    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, theirs = await quic_links(one, other)
        ours._limit = 1 << 40
        ours.write(bytes(WINDOW + 1200))
        await pass_time(5)
        assert len(await read_all(theirs)) <= WINDOW
        assert theirs.ended == "the peer sent more than it was granted"
        assert ours.ended == "the peer broke it off"

    on_paths(main)


def test_what_was_not_sent_cannot_be_acknowledged() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, theirs = await quic_links(one, other)
        ours._expected = 1000
        ours._report()
        await pass_time(1)
        assert theirs.ended == "the peer acknowledged what was not sent"
        assert ours.ended == "the peer broke it off"

    on_paths(main)


def test_the_cut_of_a_path_during_the_goodbye_is_survived() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, theirs = await quic_links(one, other)
        one.fate = other.fate = lost
        ours.write(DATA)

        async def mend() -> None:
            await pass_time(40)
            one.fate = other.fate = as_it_is

        async with asyncio.TaskGroup() as group:
            group.create_task(mend())
            got = group.create_task(read_all(theirs))
            await ours.close()
        assert got.result() == DATA

    on_paths(main)


def test_closing_does_not_wait_for_ever() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, _ = await quic_links(one, other)
        one.fate = other.fate = lost
        ours.write(DATA)
        began = now()
        await ours.close()
        assert now() - began == pytest.approx(60)
        assert not one.attached

    on_paths(main)


def test_a_flood_of_datagrams_is_dropped_here() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, _ = await quic_links(one, other)
        assert sum(ours.send_datagram(bytes(1000)) for _ in range(1000)) == 64
        ours.abort()

    on_paths(main)


@given(st.lists(st.binary(max_size=1300), max_size=8), st.booleans())
@settings(max_examples=25, deadline=None)
def test_whatever_arrives_first_breaks_nothing(datagrams: list[bytes], leads: bool) -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        paths = (one, other) if leads else (other, one)
        for data in datagrams:
            paths[0].send([data])
            paths[0].send([bytes([0xC0, 0, 0, 0, 1, 8]) + data.ljust(1194, b"\0")])
        await quic_links(*paths)

    on_paths(main)


def test_new_keys_in_the_middle_of_a_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nattools.traversal.links.quic.KEY_PACKETS", 300)

    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, theirs = await quic_links(one, other)
        ours.write(DATA * 5)
        theirs.write(DATA * 5)
        size = 5 * len(DATA)
        got = await both(read_exactly(theirs, size), read_exactly(ours, size))
        assert got == (DATA * 5, DATA * 5)
        assert len(one.sent) > 900

    on_paths(main)


def test_over_the_system_s_own_sockets() -> None:
    async def main() -> None:
        network = HostNetwork()
        ours = await network.open_udp(family=4, host="127.0.0.1")
        theirs = await network.open_udp(family=4, host="127.0.0.1")
        paths = SocketPath(ours, theirs.local), SocketPath(theirs, ours.local)
        one, other = await quic_links(*paths)
        assert (one.local, one.remote) == (other.remote, other.local) == (ours.local, theirs.local)
        one.write(DATA)
        _, got = await both(one.close(), read_all(other))
        assert got == DATA
        for path in paths:
            path.close()

    asyncio.run(main())


def no_larger_than(size: int) -> Callable[[bytes], list[bytes]]:
    """The fate of datagrams on a path that loses the larger ones without a word."""
    return lambda data: [data] if len(data) <= size else []


async def transferred(ours: Link, theirs: Link) -> None:
    ours.write(DATA)
    assert await read_exactly(theirs, len(DATA)) == DATA


@pytest.mark.parametrize(("carries", "at_least"), [(1472, 1420), (1400, 1300), (1250, 1200)])
@pytest.mark.parametrize("leads", [True, False])
def test_datagrams_are_as_large_as_the_path_proves_to_carry(carries: int, at_least: int, leads: bool) -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        one.fate = other.fate = no_larger_than(carries)
        ours, theirs = await quic_links(*((one, other) if leads else (other, one)))
        ends = (ours, theirs) if leads else (theirs, ours)
        for _ in range(5):
            await transferred(*ends)
        await pass_time(5)
        one.sent.clear()
        await transferred(*ends)
        assert at_least <= max(map(len, one.sent)) <= carries
        for each in (ours, theirs):
            each.abort()

    on_paths(main)


def test_a_path_that_comes_to_carry_less_is_noticed() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, theirs = await quic_links(one, other)
        await pass_time(2)
        one.fate = no_larger_than(1300)
        began = now()
        await transferred(ours, theirs)
        assert now() - began < 10
        one.sent.clear()
        await transferred(ours, theirs)
        assert max(map(len, one.sent)) <= 1300
        await transferred(theirs, ours)
        for each in (ours, theirs):
            each.abort()

    on_paths(main)


def test_nothing_is_lost_or_twice_where_connections_are_replaced_during_a_transfer() -> None:
    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, theirs = await quic_links(one, other)
        await pass_time(2)
        ours.write(DATA * 5)
        theirs.write(DATA * 5)
        await pass_time(0.1)
        one.fate = other.fate = no_larger_than(1300)
        size = 5 * len(DATA)
        assert await both(read_exactly(theirs, size), read_exactly(ours, size)) == (DATA * 5, DATA * 5)
        await both(ours.close(), theirs.close())

    on_paths(main)


def test_what_arrived_before_its_connection_was_replaced_may_be_acknowledged_afterwards() -> None:
    async def main(ours: QuicLink, theirs: QuicLink) -> None:
        received = asyncio.ensure_future(read_exactly(theirs, 20 * len(DATA)))
        ours.write(DATA * 20)
        for _ in range(5):
            await pass_time(0.33)
            ours._replace()
        assert await received == DATA * 20
        await both(ours.close(), theirs.close())

    quic_linked(main)


def forged(sent: list[bytes], chance: Random) -> list[bytes]:
    """What one who stands on the way and cannot read can make of what it saw: replays, parts, copies with
    another bit, packets of every kind with the right connection id, resets, another version."""
    made: list[bytes] = []
    for data in sent:
        at = chance.randrange(len(data))
        made += [data, data[:at], data[:at] + bytes((data[at] ^ 1 << chance.randrange(8),)) + data[at + 1 :]]
        made += [bytes((first,)) + data[1:9] + chance.randbytes(40) for first in (0x40, 0x7F)]
        made.append(data + data)
    for identifier in {data[1:9] for data in sent} | {
        data[6 : 6 + data[5]] for data in sent if data[0] & 0x80
    }:
        ids = bytes((len(identifier),)) + identifier + b"\x00"
        for first in (0xC0, 0xD0, 0xE0, 0xF0, 0x80):
            for version in (0, 1, 0x6B3343CF, 0xFFFFFFFF):
                made.append(bytes((first,)) + version.to_bytes(4, "big") + ids + chance.randbytes(1200))
    return [*made, *(b"\x40" + chance.randbytes(20 + size) for size in range(40)), b"", b"\x40", b"\xc0"]


@pytest.mark.parametrize("seed", range(3))
def test_what_comes_in_the_peers_name_does_not_end_an_established_link(seed: int) -> None:
    """Garbage, replays, resets and other versions, all from the peer's address and before what is true."""

    async def main(one: WatchedPath, other: WatchedPath) -> None:
        ours, theirs = await quic_links(one, other)
        chance = Random(seed)
        for sender, path in ((ours, one), (theirs, other)):
            for data in forged(list(path.sent), chance):
                path.send_on(data)
            await pass_time(1)
            receiver = theirs if sender is ours else ours
            sender.write(DATA)
            assert await read_exactly(receiver, len(DATA)) == DATA
        assert ours.ended is None
        assert theirs.ended is None
        await pass_time(60)
        ours.write(b"still there")
        assert await read_exactly(theirs, 11) == b"still there"

    on_paths(main)
