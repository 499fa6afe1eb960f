"""Carries out what the relay decides, on the sockets of any network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import msgspec

from nattools.chance import chance
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import (
    BatchHandler,
    IcmpError,
    Network,
    TcpFailure,
    TcpListener,
    TcpStream,
    UdpSocket,
)
from nattools.protocols import stun
from nattools.protocols.mailbox import RelayOffer
from nattools.protocols.turn import turnconstants as t
from nattools.server.connections import BackgroundTasks, close_within
from nattools.server.relay.relayallocation import ForwardedData, RelayAllocation, RelayedPort
from nattools.server.relay.turn import METHODS, AllocateOrder, TurnServer
from nattools.server.relay.turnconnections import ConnectOrder, JoinOrder
from nattools.server.relay.turncredentials import Challenges, Client, TurnUsers
from nattools.server.relay.turnlimits import Quotas, TurnLimits
from nattools.server.relay.turnpeers import PeerRules

OFFERED_S: Final = 12 * 3600
"""For how long credentials hold that the mailbox hands out: as long as a room of two."""
_TRIES: Final = 24
_UNTAKEN: Final = 1 << 18
"""Bytes that wait for a client over TCP; what comes on top is dropped, as a router would."""
_CHECK_AFTER: Final = 1 << 16
_PAUSE_S: Final = 0.02


class RelayConfig(msgspec.Struct, frozen=True):
    """`relays` False: others relay, of which `uris` tells, and only credentials for them are handed out.
    `users`: lasting ones with their passwords; `secret` makes and accepts time-limited credentials. `ports`:
    the first and the last that are relayed. `low_ports`: peers may have ports below 1024. `permits`: may this
    address be a peer's (default: if it is public)?"""

    relays: bool = True
    ports: tuple[int, int] = (49152, 65535)
    users: dict[str, str] = msgspec.field(default_factory=dict)
    secret: str | None = None
    uris: tuple[str, ...] = ()
    low_ports: bool = False
    limits: TurnLimits = msgspec.field(default_factory=TurnLimits)
    permits: Callable[[str], bool] | None = None
    clock: Callable[[], float] = time.time

    def __repr__(self) -> str:
        # without passwords and secret
        return f"RelayConfig(ports={self.ports!r}, uris={self.uris!r})"


class RelayService:
    """The relay of a server. `hosts`: the addresses that it relays on; `secret` is for nonces. `proven` gets
    both ends of the TCP connections whose clients have shown who they are."""

    def __init__(
        self,
        network: Network,
        config: RelayConfig,
        hosts: dict[Family, str],
        tasks: BackgroundTasks,
        secret: bytes,
        proven: set[tuple[Endpoint, Endpoint]],
    ) -> None:
        self._network = network
        self._config = config
        self._hosts = hosts
        self._tasks = tasks
        self._users = TurnUsers(config.users, config.secret, config.clock)
        rules = PeerRules(
            config.permits or network.is_public,
            lambda host: (route := network.route(host)) is not None and route[1] == host,
            frozenset(hosts.values()),
            low_ports=config.low_ports,
        )
        self.turn = TurnServer(
            Challenges(self._users, secret),
            rules,
            Quotas(config.limits),
            hosts,
            can_forbid_fragments=network.missing("dont-fragment") is None,
        )
        self._proven = proven
        self._time = asyncio.get_running_loop().time
        self._busy = asyncio.Event()

    def takes(self, method: int) -> bool:
        """Is a message of this method for the relay?"""
        return method in METHODS

    def offer(self) -> RelayOffer | None:
        """For one of two who have met: how to reach a relay, with credentials for it."""
        issued = self._users.issue(OFFERED_S)
        return None if issued is None else RelayOffer(*issued, OFFERED_S, self._config.uris)

    async def sweep_forever(self) -> None:
        """End what has outlived its time; as long as there is nothing, without waking up."""
        while True:
            await self._busy.wait()
            await asyncio.sleep(self.turn.sweep_s)
            self.turn.sweep(self._time())
            self._close_over()
            if self.turn.idle:
                self._busy.clear()

    # --- clients over UDP

    def channel_handler(self, local: Endpoint) -> BatchHandler:
        """What takes ChannelData that came to this endpoint of the server."""
        clients, now = self.turn.clients("udp", local), self._time
        from_channels = self.turn.peerings.from_channels

        def on_channel_data(data: bytes, size: int, source: Endpoint) -> None:
            allocation = clients.get(source)
            if allocation is not None:
                for family, datagrams, peer in from_channels(data, size, allocation, now()):
                    allocation.ports[family].send_many(datagrams, peer)

        return on_channel_data

    def on_message(self, message: stun.Message, source: Endpoint, socket: UdpSocket) -> None:
        """A message of one of the relay's methods."""
        client = Client("udp", socket.local, source)
        decision = self._decide(message, client)
        if isinstance(decision, bytes):
            socket.send(decision, source)
        elif isinstance(decision, AllocateOrder):
            decision.allocation.say = partial(socket.send_many, to=source)
            self._tasks.spawn(self._allocate_and_tell(decision))

    async def _allocate_and_tell(self, order: AllocateOrder) -> None:
        order.allocation.say([await self._allocate(order)])

    # --- clients over TCP

    def on_stream_message(
        self, data: bytes, message: stun.Message | None, stream: TcpStream
    ) -> bytes | Awaitable[bytes | None] | None:
        """A message of the relay's methods; or (None) ChannelData."""
        client = _client(stream)
        if message is None:
            allocation = self.turn.clients("tcp", stream.local).get(stream.remote)
            if allocation is not None:
                for forward in self.turn.peerings.from_channels(data, len(data), allocation, self._time()):
                    self._forward(forward, allocation)
            return None
        decision = self._decide(message, client)
        if isinstance(decision, AllocateOrder):
            decision.allocation.say = Outbox(stream, self._tasks).say
            self._proven.add((stream.local, stream.remote))
            return self._allocate(decision)
        if isinstance(decision, ConnectOrder):
            self._tasks.spawn(self._connect(decision, stream))
            return None
        if isinstance(decision, JoinOrder):
            self._proven.add((stream.local, stream.remote))
            return self._join(decision, stream)
        return decision

    def patience_s(self, stream: TcpStream) -> float:
        """For how long this client may be silent."""
        allocation = self.turn.clients("tcp", stream.local).get(stream.remote)
        return 0.0 if allocation is None else allocation.expires_at - self._time()

    def on_end(self, stream: TcpStream) -> None:
        """A client's connection is over."""
        self._proven.discard((stream.local, stream.remote))
        self.turn.gone(_client(stream))
        self._close_over()

    # --- decisions

    def _decide(
        self, message: stun.Message, client: Client
    ) -> bytes | AllocateOrder | ConnectOrder | JoinOrder | None:
        decision = self.turn.receive(message, client, self._time())
        self._close_over()
        if isinstance(decision, ForwardedData):
            self._forward(decision, self.turn.clients(client.transport, client.local)[client.remote])
            return None
        if isinstance(decision, AllocateOrder):
            self._busy.set()
        return decision

    def _forward(self, forward: ForwardedData, allocation: RelayAllocation) -> None:
        allocation.ports[forward.family].send_many(forward.datagrams, forward.peer)

    def _close_over(self) -> None:
        for each in self.turn.take_over():
            each.close()

    # --- allocations

    async def _allocate(self, order: AllocateOrder) -> bytes:
        """Open what was asked for; the answer to the request."""
        ports: dict[Family, RelayedPort] = {}
        pair: list[RelayedPort] = []
        try:
            if order.reserved is not None:
                ports[order.reserved.local.family] = order.reserved
            else:
                for family in order.spec.families:
                    pair = await self._open(order, family)
                    if pair:
                        ports[family] = pair[0]
            for port in ports.values():
                self._listen(order.allocation, port)
        finally:
            answer = self.turn.allocated(order, ports, pair[1] if len(pair) > 1 else None, self._time())
            self._close_over()
        return answer

    async def _open(self, order: AllocateOrder, family: Family) -> list[RelayedPort]:
        """One port or, where the next one is to be reserved, two; none: none is free."""
        spec, (low, high) = order.spec, self._config.ports
        for _ in range(_TRIES):
            port = chance().randint(low, high)
            port -= port % 2 if spec.even else 0
            wanted = (port, port + 1) if spec.reserve else (port,)
            if wanted[0] < low or wanted[-1] > high:
                continue
            opened: list[RelayedPort] = []
            try:
                for number in wanted:
                    opened.append(await self._open_one(order, family, number))
            except CannotRun:
                for each in opened:
                    each.close()
                continue
            return opened
        return []

    async def _open_one(self, order: AllocateOrder, family: Family, port: int) -> RelayedPort:
        host = self._hosts[family]
        if order.spec.protocol == t.UDP:
            return await self._network.open_udp(
                family=family, host=host, port=port, dont_fragment=order.spec.dont_fragment
            )
        listener = await self._network.listen_tcp(
            family=family,
            host=host,
            port=port,
            on_stream=lambda peer: self._on_peer_stream(order.allocation, peer),
        )
        return _RelayedListener(listener)

    def _listen(self, allocation: RelayAllocation, port: RelayedPort) -> None:
        """Pass on to the client what comes to a relayed UDP port."""
        if isinstance(port, _RelayedListener):
            return
        now, from_peer = self._time, allocation.from_peer

        def on_batch(data: bytes, size: int, peer: Endpoint) -> None:
            messages = from_peer(data, size, peer, now())
            if messages:
                allocation.say(messages)

        def on_datagram(data: bytes, peer: Endpoint) -> None:
            on_batch(data, len(data), peer)

        def on_icmp(error: IcmpError) -> None:
            message = allocation.icmp_from(
                error.destination, error.icmp_type, error.icmp_code, error.mtu or 0, now()
            )
            if message is not None:
                allocation.say([message])

        socket: UdpSocket = port  # type: ignore[assignment]
        socket.on_datagram, socket.on_batch, socket.on_icmp = on_datagram, on_batch, on_icmp

    # --- connections of peers (RFC 6062)

    def _on_peer_stream(self, allocation: RelayAllocation, peer: TcpStream) -> None:
        attempt = self.turn.connections.attempted(allocation, peer.remote, peer, self._time())
        if attempt is None:
            peer.abort()
        else:
            allocation.say([attempt])

    async def _connect(self, order: ConnectOrder, stream: TcpStream) -> None:
        connection = order.connection
        local = connection.allocation.ports[connection.peer.family].local
        peer: TcpStream | None = None
        try:
            found = await self._network.connect_tcp(
                connection.peer, host=local.host, port=local.port, timeout_s=t.CONNECT_TIMEOUT_S
            )
            peer = None if isinstance(found, TcpFailure) else found
        except CannotRun:
            pass
        finally:
            answer = self.turn.connections.connected(order, peer, self._time())
        if answer is not None:
            stream.write(answer)

    async def _join(self, order: JoinOrder, client: TcpStream) -> None:
        """Pass bytes on both ways until both sides have said all, or the allocation is over."""
        connection = order.connection
        peer: TcpStream = connection.stream  # type: ignore[assignment]
        connection.stream = _Pair(client, peer)
        client.write(order.answer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(client, peer, connection.allocation))
                group.create_task(self._pump(peer, client, connection.allocation))
        finally:
            self.turn.connections.end(connection)

    async def _pump(self, source: TcpStream, sink: TcpStream, allocation: RelayAllocation) -> None:
        while (data := await source.read()) and not sink.over:
            while not allocation.carries(len(data), self._time()):  # noqa: ASYNC110 -- time helps
                await asyncio.sleep(_PAUSE_S)
            sink.write(data)
            await sink.drain()
        sink.end()


class Outbox:
    """What a client over TCP is sent besides answers. One that does not read loses datagrams; nobody waits
    for it."""

    __slots__ = ("_draining", "_stream", "_tasks", "_untaken")

    def __init__(self, stream: TcpStream, tasks: BackgroundTasks) -> None:
        self._stream = stream
        self._tasks = tasks
        self._untaken = 0
        self._draining = False

    def say(self, messages: list[bytes]) -> None:
        """Send them, or drop them."""
        data = b"".join(messages)
        if self._untaken + len(data) > _UNTAKEN or self._stream.over:
            return
        self._untaken += len(data)
        self._stream.write(data)
        if self._untaken > _CHECK_AFTER and not self._draining:
            self._draining = True
            self._tasks.spawn(self._drain())

    async def _drain(self) -> None:
        before = self._untaken
        await self._stream.drain()
        self._untaken -= before
        self._draining = False


class _RelayedListener:
    """A TCP listener as a relayed port."""

    def __init__(self, listener: TcpListener) -> None:
        self.local = listener.local
        self.close = listener.close

    def send_many(self, datagrams: list[bytes], to: Endpoint) -> None:
        """Datagrams are not for TCP."""


class _Pair:
    """A client's connection and a peer's that are one. Nobody waits until both have taken all."""

    def __init__(self, client: TcpStream, peer: TcpStream) -> None:
        self._client = client
        self._peer = peer

    def close(self) -> None:
        self._client.close()
        close_within(self._peer)


def _client(stream: TcpStream) -> Client:
    return Client("tcp", stream.local, stream.remote)
