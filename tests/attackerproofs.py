"""Attacks over UDP on what a `nattools serve` does for a source that is proven: crafted ICMP errors,
dial-backs over both families, echo requests, and the relay's work for who has credentials."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final, cast

from attackplace import SERVER, SERVER6, source

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Family
from nattools.protocols import dialback, errortrial, provenrequest, stun, turn
from nattools.protocols.stun.authentication import LongTermAuthentication
from nattools.protocols.turn import requests

CUSTOMER: Final = ("mallory", "password")
"""Who may use the relay."""
PAUSE_S: Final = 0.004
_SOURCES: Final = 50
_GOODBYES, _GOODBYE_S = 20, 1.0

Encode = Callable[[bytes, bytes], bytes]
"""A request with this transaction id and cookie."""


class Asker(asyncio.DatagramProtocol):
    """A socket at one of an attack's addresses, with the cookie that it was given."""

    def __init__(self) -> None:
        self.cookie = provenrequest.NO_COOKIE
        self.transport: asyncio.DatagramTransport | None = None
        self.answers: asyncio.Queue[bytes] = asyncio.Queue(64)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        with contextlib.suppress(ProtocolError, asyncio.QueueFull):
            message = stun.decode(data)
            given = provenrequest.decode_challenge(message.method, message)
            self.cookie = given or self.cookie
            self.answers.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        """Ports that are closed."""

    def say(self, data: bytes) -> None:
        assert self.transport is not None
        with contextlib.suppress(OSError):
            self.transport.sendto(data)


async def _askers(port: int, kind: int, family: Family = 4) -> list[Asker]:
    loop, server = asyncio.get_running_loop(), SERVER6 if family == 6 else SERVER
    made = []
    for number in range(_SOURCES):
        local = (source(kind, number, family), 0)
        _, asker = await loop.create_datagram_endpoint(Asker, local_addr=local, remote_addr=(server, port))
        made.append(asker)
    return made


async def _flood(port: int, kind: int, family: Family, *encode: Encode) -> None:
    """250 times a second, from one source after the other; every tenth time from one that is not proven."""
    askers = await _askers(port, kind, family)
    try:
        for number in count():
            asker = askers[number % _SOURCES]
            cookie = provenrequest.NO_COOKIE if number % 10 == 9 else asker.cookie
            asker.say(encode[number % len(encode)](b"%12d" % number, cookie))
            await asyncio.sleep(PAUSE_S)
    finally:
        for asker in askers:
            if asker.transport is not None:
                asker.transport.abort()


def _errors(kind: errortrial.TrialKind) -> Encode:
    def encode(identity: bytes, cookie: bytes) -> bytes:
        ask = errortrial.TrialAsk(kind, 1 + int(identity) % 65_535, identity[-8:], errortrial.MAX_COPIES)
        return errortrial.encode_request(identity, ask, cookie)

    return encode


def _dial(transport: dialback.DialTransport, ports: int = 0, listen_ms: int = 0) -> Encode:
    def encode(identity: bytes, cookie: bytes) -> bytes:
        first = 1 + int(identity) % 60_000
        ask = dialback.Ask(
            transport,
            first,
            identity[-8:],
            copies=1 if ports else dialback.MAX_COPIES,
            change_address=bool(ports),
            change_port=True,
            ports=tuple(range(first, first + ports)),
            listen_ms=listen_ms,
        )
        return dialback.encode_request(identity, ask, cookie)

    return encode


async def crafted(port: int) -> None:
    """ICMP errors to be crafted, and told of."""
    await _flood(port, 30, 4, _errors("quote-beacon"), _errors("quote-server"), _errors("tell"))


_DIALS = (
    _dial("udp"),
    _dial("tcp"),
    _dial("udp", ports=dialback.MAX_PORTS),
    _dial("icmp", listen_ms=dialback.MAX_LISTEN_MS),
    _dial("tcp", listen_ms=dialback.MAX_LISTEN_MS),
)


async def dial_floods(port: int) -> None:
    """Dial-backs of each kind over IPv4, to ports that are closed."""
    await _flood(port, 31, 4, *_DIALS)


async def dial_floods6(port: int) -> None:
    """The same over IPv6, where the server has one address."""
    await _flood(port, 32, 6, *_DIALS)


class Spender:
    """A customer of the relay's, over UDP."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._login = LongTermAuthentication(*CUSTOMER)

    async def ask(self, request: bytes, within_s: float = 0.3) -> None:
        """TimeoutError, ProtocolError: there is no answer of any use."""
        for _ in range(2):
            self._asker.say(self._login.sign(stun.decode(request)))
            async with asyncio.timeout(within_s):
                answer = stun.decode(await self._asker.answers.get())
            if answer.kind != "error":
                return
            self._login.renew(answer)

    async def spend(self, number: int) -> None:
        """All that an allocation can have, and packets through it."""
        await self.ask(requests.allocate(requests.AllocationSpec()))
        peers = [Endpoint(source(34, number + each), 4000 + each) for each in range(40)]
        for each in peers:
            await self.ask(requests.create_permission(each.host))
        for channel, each in enumerate(peers, 0x4000):
            await self.ask(requests.channel_bind(channel, each))
            self._asker.say(turn.encode_channel_data(channel, bytes(1200)))
        for each in peers * 5:
            self._asker.say(requests.send_indication(bytes(1200), each))

    async def leave(self) -> None:
        """So that what the server holds afterwards is not what an allocation may last: ten minutes, if the
        one Refresh is lost, or is answered too late because the server is under attack."""
        for _ in range(_GOODBYES):
            while not self._asker.answers.empty():  # to what was asked before
                self._asker.answers.get_nowait()
            with contextlib.suppress(TimeoutError, ProtocolError):
                await self.ask(requests.refresh(0), within_s=_GOODBYE_S)
                break
        if self._asker.transport is not None:
            self._asker.transport.abort()


async def spenders(port: int) -> None:
    """Of the relay, with credentials, over UDP: all that an allocation can have, as many as there may be."""
    held: list[Spender] = []
    try:
        for number in count():
            loop = asyncio.get_running_loop()
            local = (source(33, number), 0)
            _, asker = await loop.create_datagram_endpoint(
                Asker, local_addr=local, remote_addr=(SERVER, port)
            )
            held.append(Spender(asker))
            with contextlib.suppress(TimeoutError, ProtocolError):
                await held[-1].spend(number)
            if len(held) > 100:
                await held.pop(number % 100).leave()
    finally:
        await asyncio.gather(*(each.leave() for each in held))


PROVEN: Final[tuple[Callable[[int], Awaitable[None]], ...]] = (crafted, dial_floods, dial_floods6, spenders)
