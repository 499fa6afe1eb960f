"""What others can do to a punch: who sits on the path, or in the middle, or guesses at the code; and a peer
whose last resort is nonsense over the secure connection itself. All in the simulator."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from piped import Side, pipe_through
from punching import MATRIX_KINDS, pair, punching

from nattools.engine.punch.connection import LOST_S
from nattools.engine.punch.options import Connected, PunchOptions, Use, UseResult, Watcher, echoing
from nattools.engine.punch.punch import punch, punch_both
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.protocols import tunnel as p
from nattools.protocols.packet import ACK, FIN, RST, Packet
from nattools.protocols.tunnel import frames as f
from nattools.traversal.codes import Code, parse_code
from nattools.traversal.tunnel.stream import TunnelStream

OPEN = ("full-cone", "full-cone")
HOMES = ("port-restricted", "port-restricted")
RANDOM = ("symmetric-random", "full-cone")
STUN, MALLORY = "11.201.", "11.66.0.1"
MOST = 3000

Copies = Callable[[Packet], list[Packet]]


def altered(packet: Packet, place: int) -> Packet:
    data = bytearray(packet.payload)
    data[place % len(data)] ^= 1
    return msgspec.structs.replace(packet, payload=bytes(data))


def from_mallory(packet: Packet) -> Packet:
    return msgspec.structs.replace(packet, source=MALLORY, source_port=666)


def spoofed(packet: Packet) -> list[Packet]:
    """With the right source, and a bit of it wrong: at the beginning, in the midst, at the end."""
    return [altered(packet, place) for place in (0, 9, 30, len(packet.payload) // 2, -1)]


def replayed(packet: Packet) -> list[Packet]:
    """As it is, from where the peer is not, and altered; and once more from where it is."""
    return [from_mallory(packet), *map(from_mallory, spoofed(packet)), packet]


def attack(copies: Copies, count: Counter[str], *, quicker: bool = True) -> Callable[[SimLab], None]:
    """Somebody who sees all packets of the two sides over UDP, and adds others just before or after them."""

    def before(lab: SimLab) -> None:
        for name in ("alice", "bob"):
            _before(lab, name)

    def _before(lab: SimLab, name: str) -> None:
        node = lab.net.node(name)
        honest = node.stack.input

        def arrived(packet: Packet) -> None:
            mine = packet.protocol == "udp" and packet.payload and not packet.source.startswith(STUN)
            added = copies(packet) if mine and count[name] < MOST else []
            count[name] += len(added)
            for each in (*added, packet) if quicker else (packet, *added):
                honest(each)

        node.input = arrived

    return before


async def nothing(_: SimLab) -> None:
    """No other trouble."""


@pytest.mark.parametrize("quicker", [True, False])
@pytest.mark.parametrize("copies", [spoofed, replayed])
@pytest.mark.parametrize("kinds", [OPEN, HOMES, RANDOM], ids=" x ".join)
def test_somebody_on_the_path_adds_packets(kinds: tuple[str, str], copies: Copies, quicker: bool) -> None:
    """Who sees all packets can lose them, too, and so prevent a connection; but no more than that."""
    count: Counter[str] = Counter()
    sides = pipe_through(kinds, nothing, size=200_000, before=attack(copies, count, quicker=quicker))
    assert min(count["alice"], count["bob"]) > 100
    for side, other in (sides, sides[::-1]):
        assert bytes(side.got) == other.data
        assert connected(side)
        assert not connected_to_mallory(side)


def connected(side: Side) -> bool:
    assert side.report is not None
    return side.report.punch is not None and side.report.punch.connected


def connected_to_mallory(side: Side) -> bool:
    assert side.report is not None
    return side.report.punch is not None and str(side.report.punch.remote).startswith(MALLORY)


# --- the code


def punched(*codes: str, seed: int = 5) -> list[Report]:
    """Alice makes a code; then one after the other comes with these codes, in which {} is its number, and
    waits for 5 s at most."""
    reports: list[Report] = []
    with SimLab(pair(MATRIX_KINDS["port-restricted"], None), seed=seed) as lab:

        async def main() -> None:
            measuring = punching(lab)
            options = PunchOptions(measuring=measuring, wait_s=5.0)
            told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            async with asyncio.TaskGroup() as group:
                watcher = Watcher(code=told.set_result)
                alice = group.create_task(punch(lab.network("alice"), options, watcher, None, echoing(1)))
                right = await told
                for text in codes:
                    code = parse_code(text.format(right.partition("-")[0])) if text else parse_code(right)
                    theirs = replace(options, code=code)
                    reports.append(await punch(lab.network("bob"), theirs, Watcher(), None, echoing(1)))
            reports.insert(0, alice.result())

        lab.run(main)
    return reports


def why(report: Report) -> str:
    assert report.punch is not None
    assert not report.punch.connected
    return report.punch.why


def test_a_wrong_code_is_told_to_both_and_there_is_no_second_try() -> None:
    alice, mallory, bob = punched("{}-acorn-abacus", "")
    assert "different code" in why(alice)
    assert "make a new one" in why(alice)
    assert "different code" in why(mallory)
    assert "used before" in why(bob)


def test_a_code_for_another_room_meets_nobody() -> None:
    with SimLab(pair(None, None), seed=5) as lab:

        async def main() -> Report:
            measuring = punching(lab)
            options = PunchOptions(measuring=measuring, wait_s=5.0, code=Code(77, ("acorn", "abacus")))
            return await punch(lab.network("alice"), options, Watcher())

        assert "Nobody joined" in why(lab.run(main))


# --- nonsense over the secure connection


async def _garbage(connected: Connected) -> None:
    link = connected.tunnel.link
    assert link is not None
    link.write(b"\xff" * 100)


async def _floods_streams(connected: Connected) -> None:
    link = connected.tunnel.link
    assert link is not None
    for number in range(3000):
        link.write(
            f.encode(f.Open(2 * number + (0 if connected.tunnel.leads else 1), p.TcpTo("10.0.1.1", 80)))
        )


async def _floods_data(connected: Connected) -> None:
    link = connected.tunnel.link
    assert link is not None
    number = 0 if connected.tunnel.leads else 1
    link.write(f.encode(f.Open(number, p.Pipe())))
    for place in range(200):
        link.write(f.data_frame(number, place * 32_768, bytes(32_768)))


async def _floods_datagrams(connected: Connected) -> None:
    for _ in range(5000):
        link = connected.tunnel.link
        assert link is not None
        link.send_datagram(bytes(1000))
    link.write(b"\xff" * 100)


@pytest.mark.parametrize("evil", [_garbage, _floods_streams, _floods_data, _floods_datagrams])
@pytest.mark.parametrize("kinds", [HOMES, ("udp-blocked", "open")], ids=" x ".join)
def test_nonsense_over_the_secure_connection(
    kinds: tuple[str, str], evil: Callable[[Connected], asyncio.Future[None]]
) -> None:
    """What is refused is refused, the rest ends the connection; alice's report says why, and that is all."""

    async def run(connected: Connected) -> UseResult:
        await connected.tunnel.echo(5.0)
        connected.tunnel._session.receive = lambda _: None  # type: ignore[method-assign]
        await evil(connected)
        while connected.tunnel.ended is None:
            await connected.tunnel.changed()
        return UseResult()

    async def lasting(connected: Connected) -> UseResult:
        async with asyncio.timeout(120.0):
            while connected.tunnel.ended is None and not connected.tunnel.peer_done:
                await connected.tunnel.changed()
        return UseResult(problem=connected.tunnel.ended or "")

    async def unread(_: TunnelStream) -> None:
        """What comes on it waits."""

    with SimLab(pair(MATRIX_KINDS[kinds[0]], MATRIX_KINDS[kinds[1]], delay_ms=5), seed=2) as lab:

        async def main() -> tuple[Report, Report]:
            measuring = punching(lab)
            side = (PunchOptions(measuring=measuring), Watcher())
            uses = (Use(lasting, lambda tunnel: tunnel.serve(p.Pipe, unread)), Use(run))
            return await punch_both((lab.network("alice"), *side), (lab.network("bob"), *side), uses=uses)

        alice, _ = lab.run(main)
    assert alice.punch is not None
    assert "broke the protocol" in alice.punch.advice


# --- a path that is not silent and carries nothing


class Spoiler:
    """From `begin` on what comes over the paths that are in use then arrives with a bit of it wrong; other
    paths are let alone."""

    def __init__(self) -> None:
        self.began = False
        self.spoiled = 0
        self._paths: set[tuple[str, int, str, int]] = set()

    def watch(self, lab: SimLab) -> None:
        for name in ("alice", "bob"):
            node = lab.net.node(name)
            node.input = self._spoiling(node.stack.input)

    async def begin(self, _: SimLab) -> None:
        self.began = True

    def _spoiling(self, honest: Callable[[Packet], None]) -> Callable[[Packet], None]:
        def arrived(packet: Packet) -> None:
            path = packet.source, packet.source_port, packet.destination, packet.destination_port
            if packet.protocol != "udp" or packet.source.startswith(STUN):
                honest(packet)
            elif not self.began:
                self._paths.add(path)
                honest(packet)
            elif path in self._paths:
                self.spoiled += 1
                honest(altered(packet, -1))
            else:
                honest(packet)

        return arrived


@pytest.mark.parametrize("kinds", [OPEN, HOMES], ids=" x ".join)
def test_garbage_in_the_peers_name_is_no_sign_of_life(kinds: tuple[str, str]) -> None:
    spoiler = Spoiler()
    sides = pipe_through(kinds, spoiler.begin, before=spoiler.watch)
    assert spoiler.spoiled > 10
    for side, other in (sides, sides[::-1]):
        assert bytes(side.got) == other.data
        secured, lost = (
            next(each.at_s for each in side.stages if each.stage == stage) for stage in ("secured", "lost")
        )
        assert lost < secured + 1.0 + LOST_S + 3.0


# --- over TCP


class Breaker:
    """Adds segments to the TCP connection between the two, each as if the next byte of the peer came: some
    times, a while apart."""

    def __init__(self, forged: Callable[[Packet], Packet]) -> None:
        self.forged = forged
        self.broken = 0
        self._next_at = 0.0

    def watch(self, lab: SimLab) -> None:
        for name in ("alice", "bob"):
            node = lab.net.node(name)
            node.input = self._breaking(lab, node.stack.input)

    def _breaking(self, lab: SimLab, honest: Callable[[Packet], None]) -> Callable[[Packet], None]:
        def arrived(packet: Packet) -> None:
            known = packet.protocol == "tcp" and not packet.source.startswith(STUN)
            now = lab.loop.time()
            if known and len(packet.payload) > 500 and self.broken < 3 and now >= self._next_at:
                self.broken += 1
                self._next_at = now + 2.0
                honest(self.forged(packet))
            honest(packet)

        return arrived


SEGMENTS: dict[str, Callable[[Packet], Packet]] = {
    "garbage": lambda packet: msgspec.structs.replace(packet, payload=bytes(len(packet.payload))),
    "a bit": lambda packet: altered(packet, -1),
    "reset": lambda packet: msgspec.structs.replace(packet, flags=RST | ACK, payload=b""),
    "end": lambda packet: msgspec.structs.replace(packet, flags=FIN | ACK, payload=b""),
    "closing alert": lambda packet: msgspec.structs.replace(
        packet, payload=bytes.fromhex("15030300020100").ljust(len(packet.payload), b"\0")
    ),
    "record of before": lambda packet: msgspec.structs.replace(packet, seq=packet.seq - 20_000 & 0xFFFFFFFF),
}


@pytest.mark.parametrize("kind", SEGMENTS)
def test_segments_put_into_a_connection_lose_no_byte(kind: str) -> None:
    """Who sees a TCP connection can end it (RFC 9293 3.10.7.4): the tunnel takes the next one."""
    breaker = Breaker(SEGMENTS[kind])
    sides = pipe_through(("udp-blocked", "open"), nothing, before=breaker.watch)
    assert breaker.broken > 1
    for side, other in (sides, sides[::-1]):
        assert bytes(side.got) == other.data
        assert side.problem is None
        assert connected(side)
