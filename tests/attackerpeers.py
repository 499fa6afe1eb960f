"""Attacks on the libp2p peer of a `nattools serve`: handshakes that stop or lie, streams without number,
frames that break yamux, requests to dial others, places for nobody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from struct import pack

from attackplace import SERVER, connect, source, visit

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.libp2p.peerconnection import Libp2pConnection
from nattools.net.libp2p.peerhost import PING, PeerHost
from nattools.net.libp2p.peerquestions import ask_to_dial, connect_through, identify, new_nonce, reserve
from nattools.net.system.hostnetwork import HostNetwork
from nattools.protocols.libp2p.hostkey import HostKey
from nattools.protocols.libp2p.multiaddr import multiaddr_at
from nattools.protocols.libp2p.multistream import Negotiation
from nattools.protocols.libp2p.peersession import PeerSession
from nattools.protocols.libp2p.yamux import YamuxSession

SHORT_S = 0.5
PROPOSAL = Negotiation(proposed=("/noise",)).data_to_send()


@asynccontextmanager
async def peer_at(
    port: int, kind: int, number: int
) -> AsyncIterator[tuple[PeerHost, Libp2pConnection | None]]:
    """A new peer, connected from one of this kind's addresses; None: it is not let in."""
    async with PeerHost(HostNetwork()) as host:
        made = None
        with contextlib.suppress(CannotRun):
            made = await host.dial(Endpoint(SERVER, port), timeout_s=1.0, host=source(kind, number))
        yield host, made if isinstance(made, Libp2pConnection) else None


async def half_handshakes(port: int) -> None:
    """Noise that never ends, is too long, or is none; and 200 callers who say a byte a second."""
    said = (
        (PROPOSAL, bytes((0, 32)) + bytes(31)),
        (PROPOSAL, bytes((255, 255)) + bytes(65_535)),
        (PROPOSAL, bytes((0, 32)) + b"e" * 32, bytes((0, 96)) + b"s" * 96),
        (PROPOSAL[:20], b"\x07/nois\n" * 40),
    )
    held = []
    for number in count():
        await visit(port, 20, number, *said[number % 4], stay_s=0.05)
        with contextlib.suppress(OSError):
            held.append(await connect(port, 21, number))
            for _, writer in held[number % 20 :: 20]:
                writer.write(PROPOSAL[:1] if number < 200 else b"/")
        if len(held) > 200:
            held.pop(0)[1].transport.abort()


async def askers(port: int) -> None:
    """All streams that there may be and more, pings on each of them whose echoes nobody reads, and gone."""
    for number in count():
        async with peer_at(port, 22, number) as (_, made):
            if made is None:
                await asyncio.sleep(0.02)
                continue
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(made.open(PING, timeout_s=SHORT_S)) for _ in range(40)]
                group.create_task(identify(made, SHORT_S))
            for stream in (each.result() for each in asked):
                if stream is not None:
                    stream.write(bytes(32 * 500))
            await asyncio.sleep(0.1)


class RudeStreams(YamuxSession):
    """Says whatever it is told to."""

    def say(self, frames: bytes) -> None:
        """These, next."""
        self._leaving.append(frames)


def _frame(kind: int, flags: int, number: int, value: int) -> bytes:
    return pack(">BBHII", 0, kind, flags, number, value)


RUDE = (
    b"".join(_frame(2, 1, 0, each) for each in range(5000)),  # pings
    b"".join(_frame(1, 1, each, 0) for each in range(1, 6000, 2)),  # streams
    b"".join(_frame(1, 1, each, 0) + _frame(1, 8, each, 0) for each in range(1, 6000, 2)),  # opened and reset
    _frame(1, 1, 1, 0xFFFFFFFF) + _frame(1, 0, 1, 0xFFFFFFFF),  # windows
    _frame(0, 1, 1, 262_144)
    + bytes(262_144)
    + _frame(0, 1, 3, 262_144)
    + bytes(262_144),  # what nobody reads
    _frame(0, 0, 77, 100) + bytes(100),  # a stream that nobody opened
    _frame(7, 0, 0, 0),
)


async def frames(port: int) -> None:
    """What no peer sends, behind a proper handshake."""
    for number in count():
        session = PeerSession(HostKey(), initiates=True)
        rude = session.streams = RudeStreams(initiates=True)
        with contextlib.suppress(OSError, ProtocolError, TimeoutError):
            reader, writer = await connect(port, 23, number)
            try:
                async with asyncio.timeout(SHORT_S):
                    while session.stage != "ready":
                        writer.write(session.data_to_send())
                        data = await reader.read(4096)
                        if not data:
                            break
                        session.receive(data)
                    rude.say(RUDE[number % len(RUDE)])
                    writer.write(session.data_to_send())
                    await reader.read(4096)
            finally:
                writer.transport.abort()


async def dial_requests(port: int) -> None:
    """To dial others, this machine's own ports, and one that never pays for it."""
    for number in count():
        async with peer_at(port, 24, number) as (_, made):
            if made is None:
                await asyncio.sleep(0.02)
                continue
            others = [Endpoint(source(25, number + each), 1000 + each) for each in range(8)]
            targets = (Endpoint(SERVER, port), *others, Endpoint(source(24, number), 9))
            asked = tuple(multiaddr_at(each) for each in targets[number % 3 :])
            async with asyncio.TaskGroup() as group:
                for _ in range(8):
                    group.create_task(ask_to_dial(made, asked, new_nonce(), SHORT_S))


async def tenants(port: int) -> None:
    """A place at the relay, calls to it from others, and gone."""
    for number in count():
        async with peer_at(port, 26, number) as (held, made), peer_at(port, 27, number) as (_, caller):
            if made is None or caller is None:
                await asyncio.sleep(0.02)
                continue
            await reserve(made, SHORT_S)
            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(connect_through(caller, held.peer, SHORT_S))


PEERS = (half_handshakes, askers, frames, dial_requests, tenants)
