"""Can a peer that we never wrote to connect to us? (AutoNAT v2)

A port of its own connects to one peer alone, learns how that sees it, and listens. All peers are then asked
to dial that address: those that the port has written to, and those that it has not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Family
from nattools.model.peertrial import DialAsked
from nattools.net.libp2p.peerconnection import MuxStream, StreamMessages
from nattools.net.libp2p.peerhost import PeerHost, listen_on_any_port
from nattools.net.libp2p.peerquestions import DialAnswer, ask_to_dial, new_nonce
from nattools.probes.libp2p.peervisits import PROBE, PeerContext, PeerPlace, Visited, visit
from nattools.protocols.libp2p import autonat
from nattools.protocols.libp2p.multiaddr import Multiaddr, multiaddr_at

MOST_SERVERS: Final = 4
_MOST_ADDRESSES: Final = 3
_COPIES, _COPIES_ON_LOSS = 2, 4
_STAGGER_S: Final = 0.2
_LATER_S: Final = 1.0
"""The number may arrive after the server's own answer."""


class _Nonces:
    """Who said which of the numbers that were given out."""

    def __init__(self) -> None:
        self._given: set[int] = set()
        self.origins: dict[int, Endpoint] = {}
        self.changed = asyncio.Event()

    def give(self) -> int:
        """A new one."""
        nonce = new_nonce()
        self._given.add(nonce)
        return nonce

    async def serve(self, stream: MuxStream) -> None:
        """ProtocolError: it is no number that was given out."""
        messages = StreamMessages(stream, autonat.MAX_MESSAGE)
        nonce = autonat.decode_nonce(await messages.expect())
        if nonce not in self._given:
            raise ProtocolError("a number that nobody gave out")
        self.origins.setdefault(nonce, stream.remote)
        self.changed.set()
        messages.write(autonat.DIAL_BACK_RECEIVED)
        stream.end()
        await stream.drain()


async def check_addresses(context: PeerContext, family: Family, visited: Sequence[Visited]) -> None:
    """Ask the peers of a family that offer AutoNAT v2, and record what becomes of it."""
    servers = [each for each in visited if each.offers(autonat.DIAL_REQUEST)]
    servers = [each for each in servers if each.connection.remote.family == family][:MOST_SERVERS]
    if not servers:
        return
    nonces = _Nonces()
    async with PeerHost(context.network, context.key) as host:
        host.servers[autonat.DIAL_BACK] = nonces.serve
        local = await listen_on_any_port(host, family, interface=context.interface)
        if local is None:
            return
        first, observer = await _first_contact(context, host, local, servers)
        if first is None:
            return
        addresses = _addresses(context, first, local)
        async with asyncio.TaskGroup() as group:
            for server in servers:
                for address in addresses:
                    check = _Check(context, nonces, server, address, local, observer)
                    group.create_task(check.run())


async def _first_contact(
    context: PeerContext, host: PeerHost, local: Endpoint, servers: Sequence[Visited]
) -> tuple[Visited | None, tuple[str, ...]]:
    """How the first one that answers sees the port, and whom the port has written to."""
    written: list[str] = []
    for server in servers:
        written.append(server.connection.remote.host)
        place = PeerPlace(server.address, (server.connection.remote,))
        first = await visit(context, host, place, port=local.port, listening=True)
        if first is not None:
            return first, tuple(written)
    return None, tuple(written)


def _addresses(context: PeerContext, first: Visited, local: Endpoint) -> list[Multiaddr]:
    """How the port is seen; and the own addresses that everybody could write to, if these are others."""
    observed = first.description.observed
    found = [] if observed is None or observed.over != "tcp" else [observed.without_peer()]
    own = first.connection.local
    if context.network.is_public(own.host):
        found.append(multiaddr_at(Endpoint(own.host, local.port)))
    return list(dict.fromkeys(found))[:_MOST_ADDRESSES]


class _Check:
    """One peer asked about one address, several times side by side, until it came once."""

    def __init__(
        self,
        context: PeerContext,
        nonces: _Nonces,
        server: Visited,
        address: Multiaddr,
        local: Endpoint,
        written: tuple[str, ...],
    ) -> None:
        self._context = context
        self._nonces = nonces
        self._server = server
        self._address = address
        self._local = local
        self._written = written
        self._came = asyncio.Event()

    async def run(self) -> None:
        """Record each request with its answer."""
        copies = _COPIES_ON_LOSS if self._context.lossy() else _COPIES
        async with asyncio.TaskGroup() as group:
            for number in range(copies):
                group.create_task(self._ask(number * _STAGGER_S))

    async def _ask(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        if await _waited(self._came, wait_s):
            return
        began, nonce = loop.time(), self._nonces.give()
        answer = await ask_to_dial(self._server.connection, (self._address,), nonce)
        if answer.dial == "ok" and nonce not in self._nonces.origins:
            await self._wait_for(nonce)
        origin = self._nonces.origins.get(nonce)
        if origin is not None:
            self._came.set()
        self._context.recorder.add(self._observed(answer, origin, loop.time() - began), at=began)

    async def _wait_for(self, nonce: int) -> None:
        until = asyncio.get_running_loop().time() + _LATER_S
        while nonce not in self._nonces.origins:
            left_s = until - asyncio.get_running_loop().time()
            self._nonces.changed.clear()
            if left_s <= 0 or not await _waited(self._nonces.changed, left_s):
                return

    def _observed(self, answer: DialAnswer, origin: Endpoint | None, took_s: float) -> DialAsked:
        return DialAsked(
            probe=PROBE,
            server=self._server.text,
            peer=str(self._server.connection.peer),
            asked=str(self._address),
            local=str(self._local),
            outcome=answer.outcome,
            status=answer.status,
            dial=answer.dial,
            origin=None if origin is None else str(origin),
            written_to=self._written,
            paid=answer.data,
            took_s=round(took_s, 6),
        )


async def _waited(event: asyncio.Event, seconds: float) -> bool:
    """Has it happened within so many seconds?"""
    if seconds > 0 and not event.is_set():
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return False
    return event.is_set()
