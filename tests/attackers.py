"""A program that attacks a `nattools serve` for some seconds, from many addresses (`attackplace`):

    python tests/attackers.py PORT SECONDS ATTACK...

Each attack is one that once worked, or a neighbour of it. What it does is bounded in rate and in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final

from attackerpeers import PEERS
from attackerproofs import CUSTOMER, PROVEN
from attackplace import SERVER, Streams, connect, source, visit

from nattools.errors import ProtocolError
from nattools.protocols import dialback, stun
from nattools.protocols.mailbox import PATH
from nattools.protocols.mailbox import messages as m
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.authentication import LongTermAuthentication

HANDSHAKE: Final = (
    f"GET {PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
CLOSE: Final = bytes.fromhex("8880 00000000")
PING: Final = bytes.fromhex("8980 00000000")
REQUESTED_UDP: Final = (c.REQUESTED_TRANSPORT, b"\x11\0\0\0")
REQUEST: Final = stun.binding_request(bytes(12), hello=False)


def frame(message: m.ToMailbox) -> bytes:
    """A message to the mailbox of less than 126 bytes, as a client's frame."""
    text = m.encode(message)
    assert len(text) < 126
    return bytes((0x81, 0x80 | len(text))) + bytes(4) + text


async def handshakes(port: int) -> None:
    """Handshake, join and Close in one segment."""
    for number in count():
        join = frame(m.Join(m.VERSION, b"%16d" % number))
        await visit(port, 10, number, HANDSHAKE + join + CLOSE, stay_s=0.05)


async def pipelines(port: int) -> None:
    """Requests over TCP, as many as fit."""

    async def one(number: int) -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await connect(port, 11, number % 3)
                async with asyncio.TaskGroup() as group:
                    reading = group.create_task(_read_on(reader))
                    while not reading.done():
                        writer.write(REQUEST * 500)
                        with contextlib.suppress(OSError):
                            await writer.drain()
                        await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)

    async with asyncio.TaskGroup() as group:
        for number in range(32):
            group.create_task(one(number))


async def _read_on(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(65536):
            pass


async def places(port: int) -> None:
    """Connections from everywhere that say nothing, and some that wait in the mailbox."""
    held: list[Streams] = []
    for number in count():
        with contextlib.suppress(OSError):
            held.append(await connect(port, 12, number))
            if number % 2:
                held[-1][1].write(HANDSHAKE)
        if len(held) > 800:
            held.pop(0)[1].transport.abort()
        await asyncio.sleep(0.005)


async def heads(port: int) -> None:
    """Heads of HTTP without an end."""
    for number in count():
        await visit(port, 13, number, HANDSHAKE[:-2] + b"X: " + b"x" * 8000 + b"\r\n", b"Y: y\r\n" * 9000)


async def rooms(port: int) -> None:
    """Low numbers joined and ended as wrong codes."""
    for number in count():
        join = frame(m.Join(m.VERSION, b"%16d" % number, 1 + number % 9))
        await visit(port, 14, number, HANDSHAKE, join, frame(m.Leave("wrong-code")), stay_s=0.05)


async def dials(port: int) -> None:
    """Dial-backs to this very machine."""
    for number in count():
        ask = dialback.Ask("tcp", 1 + number % 65535, bytes(8), copies=8, change_port=True)
        await visit(port, 15, number, dialback.encode_request(b"%12d" % number, ask), stay_s=0.05)


async def pings(port: int) -> None:
    """Pings in place of a message."""
    for number in count():
        await visit(port, 16, number, HANDSHAKE, PING * 10_000, stay_s=0.1)


async def datagrams(port: int) -> None:
    """4,000 requests a second from sources that change all the time."""
    sockets = []
    for number in range(100):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.setblocking(False)
        sender.bind((source(17, number), 0))
        sockets.append(sender)
    try:
        for number in count():
            for sender in sockets[number % 5 :: 5]:
                with contextlib.suppress(OSError):
                    sender.sendto(REQUEST, (SERVER, port))
            await asyncio.sleep(0.005)
    finally:
        for sender in sockets:
            sender.close()


def _turn(number: int, method: int, *attributes: tuple[int, bytes]) -> stun.Message:
    return stun.Message(method, "request", b"%012d" % number, attributes)


async def strangers(port: int) -> None:
    """To the relay, without credentials: allocations, guesses at connections and channels, half messages."""
    parts = (
        stun.encode(_turn(1, c.ALLOCATE, REQUESTED_UDP)),
        stun.encode(_turn(2, c.CONNECTION_BIND, (c.CONNECTION_ID, bytes(4)))),
        b"\x40\x00\x00\x10" + bytes(16),
        b"\x40\x01\xff\xff" + bytes(3000),
    )
    for number in count():
        await visit(port, 35, number, *parts[number % 4 :], stay_s=0.05)


async def customers(port: int) -> None:
    """Of the relay, with credentials, over TCP: each takes an allocation and is gone."""
    for number in count():
        login = LongTermAuthentication(*CUSTOMER)
        with contextlib.suppress(OSError, ProtocolError):
            reader, writer = await connect(port, 19, number)
            try:
                for _ in range(2):
                    writer.write(login.sign(_turn(number, c.ALLOCATE, REQUESTED_UDP)))
                    async with asyncio.timeout(0.5):
                        answer = stun.decode(await reader.read(4096))
                    login.renew(answer)
            except TimeoutError:
                pass
            finally:
                writer.transport.abort()


async def hellos(port: int) -> None:
    """TLS that begins, and does not go on; and records that are none."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)
    held: list[Streams] = []
    for number in count():
        with contextlib.suppress(OSError):
            held.append(await connect(port, 18, number))
            held[-1][1].write(hello if number % 3 else b"\x16\x03\x01\xff\xff" + bytes(4000))
        if len(held) > 400:
            held.pop(0)[1].transport.abort()
        await asyncio.sleep(0.01)


ATTACKS: Final[dict[str, Callable[[int], Awaitable[None]]]] = {
    each.__name__: each
    for each in (
        handshakes,
        pipelines,
        places,
        heads,
        rooms,
        dials,
        pings,
        datagrams,
        strangers,
        customers,
        hellos,
        *PEERS,
        *PROVEN,
    )
}


async def attack(port: int, seconds: float, names: list[str]) -> None:
    """All of these at once, for so long; says when it begins."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of sockets that were reset
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            print("begun", flush=True)
            await asyncio.gather(*(ATTACKS[name](port) for name in names))


if __name__ == "__main__":
    asyncio.run(attack(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
