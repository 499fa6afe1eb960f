"""A relayed path through a DERP server: a `UdpSocket` whose peers are keys.

Each side opens one at the same server (or at servers of one region, which pass on to each other), tells the
other its `key`, and calls `permit` with the other's. What `permit` returns is the peer's place: what is sent
there arrives at the peer's `on_datagram`, from this side's `local`. So ICE and QUIC work over it unchanged:
as a candidate on both sides it is `ice.local_candidate("relay", socket.local)`, which the peer takes once it
knows that place by `permit`; or a `DatagramPath` sends to it directly. Datagrams of up to 64 KiB pass, in
order, over TCP: none is lost on the way, and more than the connection carries are dropped here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from nattools.chance import random_bytes
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import (
    BatchHandler,
    DatagramHandler,
    IcmpHandler,
    Network,
    SendFailure,
    TcpStream,
    send_each,
)
from nattools.net.eventloop import TimeLimit
from nattools.net.web.serversteps import ServerStep, StepFailure, Steps
from nattools.net.web.serverstream import Security, addresses_of, open_server_stream
from nattools.protocols import derp

logger = logging.getLogger(__name__)

MOST_UNSENT: Final = 131_072
"""Bytes that wait for the connection to take them; what comes then is dropped, as any router's full queue
does, so that those who send notice what the way carries."""
OPEN_S: Final = 10.0
RETURN_S: Final = 30.0
"""So long a server that has gone is tried again."""
_BACK_OFF_S: Final = (0.1, 0.5, 1.0, 2.0, 4.0)
_SETTLED_S: Final = 10.0
"""A server that ends connections sooner is come back to ever more slowly."""
_LONGEST_WAIT_S: Final = 10.0
_PING_S: Final = 5.0
SILENT_S: Final = 20.0
"""A server that says nothing for so long, though it was asked to every 5 s, is gone: TCP itself would go on
trying for many minutes (RFC 9293 3.8.3)."""


class DerpSocket:
    """`nattools.net.base.UdpSocket`, open until `close` or until `ended` says why. Use `open_derp` to make
    one.

    `local` and the places of peers are made from keys and are no addresses of any network. `server` is where
    the connection leads, `steps` how it came about. `on_gone` is told of a peer that is not connected to the
    server. `complaint`: what the server has against this connection, "" if nothing. When the server goes, it
    is come back to, and what was on its way is lost. `rate`: bytes a second that the server allows, if it
    says.
    """

    def __init__(self, opening: _Opening, conversation: _Conversation) -> None:
        self.key = conversation.client.keys.public
        self.local = derp.endpoint_of(self.key)
        self.steps: tuple[ServerStep, ...] = opening.steps.taken
        self.ended: str | None = None
        self.complaint = ""
        self.dropped = 0
        self.on_datagram: DatagramHandler | None = None
        self.on_batch: BatchHandler | None = None
        self.on_icmp: IcmpHandler | None = None  # a server of DERP has none to pass on
        self.on_gone: Callable[[Endpoint], None] | None = None
        self._opening = opening
        self._stream, self._client, events = conversation
        self._peers: dict[Endpoint, bytes] = {}
        self._unsent = 0
        self._due = asyncio.Event()
        self._return_in_s = 0.0
        self._tries = 0
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._try_until = self._loop.time() + RETURN_S
        self._task = self._loop.create_task(self._run(events))

    @property
    def server(self) -> Endpoint:
        """The server's end of the connection."""
        return self._stream.remote

    def permit(self, key: bytes) -> Endpoint:
        """Exchange packets with the holder of this key, too; what others send is dropped. Its place.

        ValueError: no key has that size."""
        if len(key) != derp.KEY_SIZE:
            raise ValueError(f"a key of {len(key)} bytes")
        place = derp.endpoint_of(key)
        self._peers[place] = key
        return place

    def send(self, data: bytes, to: Endpoint, *, ttl: int | None = None) -> SendFailure | None:
        """Send now, to a place that `permit` gave; None when the datagram left, or was dropped because the
        connection carries no more. There is no TTL."""
        key = self._peers.get(to)
        if key is None:
            return "prohibited"
        if self.ended is not None or self._client.state != "ready":
            return "unreachable"
        if len(data) > derp.MAX_PACKET:
            return "too-big"
        if self._unsent > MOST_UNSENT:
            self.dropped += 1
            return None
        self._unsent += len(data)
        self._client.send(data, key)
        self._due.set()
        return None

    def send_many(self, datagrams: list[bytes], to: Endpoint) -> SendFailure | None:
        """One after the other."""
        return send_each(self, datagrams, to)

    def close(self) -> None:
        """Idempotent."""
        if self.ended is None:
            self._stream.write(self._client.data_to_send())
        self._end("closed on this side")
        self._task.cancel()

    # --- the conversation

    async def _run(self, events: list[derp.DerpEvent]) -> None:
        """Until the server is gone for good."""
        try:
            self._take(events)
            while True:
                began_at = self._loop.time()
                why = await self._converse()
                self._stream.close()
                if self._loop.time() - began_at >= _SETTLED_S:
                    self._tries, self._try_until = 0, self._loop.time() + RETURN_S
                if (gone := await self._come_back(why)) is not None:
                    self._end(gone)
                    break
        finally:
            self._stream.close()

    async def _converse(self) -> str:
        """Until the connection ends; why."""
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(self._write()), group.create_task(self._watch())]
            why = await self._read()
            for each in others:
                each.cancel()
        return why

    async def _read(self) -> str:
        try:
            while data := await self._stream.read():
                self._heard_at = self._loop.time()
                self._take(self._client.receive(data))
                self._due.set()
        except ProtocolError as error:
            return f"the server broke its protocol: {error}"
        if self._silent_s >= SILENT_S:
            return f"nothing came from it for {SILENT_S:g} s"
        return self._client.why_closed()[1]

    @property
    def _silent_s(self) -> float:
        return self._loop.time() - self._heard_at

    async def _watch(self) -> None:
        """End the connection when the server is not there any more."""
        self._heard_at = self._loop.time()
        while self._silent_s < SILENT_S:
            await asyncio.sleep(_PING_S)
            self._client.ping(random_bytes(8))
            self._due.set()
        self._stream.abort()

    async def _write(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            self._unsent = 0
            self._stream.write(self._client.data_to_send())
            await self._stream.drain()

    async def _come_back(self, why: str) -> str | None:
        """Connect again to a server that has gone; None, or why it stays away."""
        while self._loop.time() < self._try_until:
            wait_s = max(self._return_in_s, _BACK_OFF_S[min(self._tries, len(_BACK_OFF_S) - 1)])
            self._return_in_s = 0.0
            self._tries += 1
            await asyncio.sleep(wait_s)
            opened = await self._opening.open(OPEN_S)
            if not isinstance(opened, StepFailure):
                self._stream, self._client, events = opened
                self._unsent = 0
                self._take(events)
                return None
            why = opened.detail
            if opened.cause in ("verifies", "certificate"):
                break
        return why

    def _end(self, why: str) -> None:
        if self.ended is None:
            self.ended = why
            logger.debug("%s at %s ended: %s", self.local, self.server, why)

    def _take(self, events: list[derp.DerpEvent]) -> None:
        packets: list[derp.PacketReceived] = []
        for event in events:
            if isinstance(event, derp.PacketReceived):
                if packets and not _go_together(packets, event):
                    self._deliver(packets)
                    packets = []
                packets.append(event)
            elif isinstance(event, derp.PeerGone):
                place = derp.endpoint_of(event.key)
                if self.on_gone is not None and self._peers.get(place) == event.key:
                    self.on_gone(place)
            elif isinstance(event, derp.Health):
                self.complaint = event.problem
            elif isinstance(event, derp.Restarting):
                self._return_in_s = min(event.reconnect_in_s, _LONGEST_WAIT_S)
        if packets:
            self._deliver(packets)

    def _deliver(self, packets: list[derp.PacketReceived]) -> None:
        """Packets of one source and of one size, the last one perhaps shorter."""
        source = derp.endpoint_of(packets[0].source)
        if self._peers.get(source) != packets[0].source or self.ended is not None:
            return
        if self.on_batch is not None and len(packets) > 1:
            self.on_batch(b"".join([each.data for each in packets]), len(packets[0].data), source)
        elif self.on_datagram is not None:
            for each in packets:
                self.on_datagram(each.data, source)


def _go_together(packets: list[derp.PacketReceived], packet: derp.PacketReceived) -> bool:
    first, last = packets[0], packets[-1]
    return first.source == packet.source and len(first.data) == len(last.data) >= len(packet.data) > 0


class _Conversation(NamedTuple):
    """With a server that has let this client in, and what it has said since."""

    stream: TcpStream
    client: derp.DerpClient
    events: list[derp.DerpEvent]


class _Opening:
    """The way to a server, to be gone as often as it takes."""

    def __init__(
        self,
        network: Network,
        node: derp.DerpNode,
        keys: derp.KeyPair,
        family: Family | None,
        interface: str | None,
    ) -> None:
        self._network = network
        self._node = node
        self._keys = keys
        self._family = family
        self._interface = interface
        self.steps: Steps

    async def open(self, timeout_s: float) -> _Conversation | StepFailure:
        """Step by step, in so many seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        steps = self.steps = Steps()
        endpoints = await derp_endpoints(self._network, self._node, steps, self._family)
        if isinstance(endpoints, StepFailure):
            return endpoints
        stream = await open_server_stream(
            self._network,
            endpoints,
            steps,
            security_of(self._node),
            timeout_s=until - loop.time(),
            interface=self._interface,
        )
        if isinstance(stream, StepFailure):
            return stream
        try:
            conversation = await self._introduce(stream, steps, max(0.0, until - loop.time()))
        except BaseException:
            stream.abort()
            raise
        if isinstance(conversation, StepFailure):
            stream.abort()
        return conversation

    async def _introduce(
        self, stream: TcpStream, steps: Steps, timeout_s: float
    ) -> _Conversation | StepFailure:
        client = derp.DerpClient(self._keys, self._node.authority)
        try:
            async with TimeLimit(timeout_s):
                while client.state != "ready":
                    stream.write(client.data_to_send())
                    data = await stream.read()
                    if not data:
                        return steps.failed("authenticate", *client.why_closed())
                    events = client.receive(data)
                steps.done("authenticate")
                return _Conversation(stream, client, events)
        except ProtocolError as error:
            return steps.failed("authenticate", "not-a-relay", str(error))
        return steps.failed(
            "authenticate", "timeout", f"it did not let this client in within {timeout_s:.2g} s"
        )


async def open_derp(
    network: Network,
    node: derp.DerpNode,
    keys: derp.KeyPair | None = None,
    *,
    family: Family | None = None,
    interface: str | None = None,
    timeout_s: float = OPEN_S,
) -> DerpSocket | StepFailure:
    """Connect to a server, by one address family or any, in so many seconds. CannotRun: PyNaCl is missing."""
    opening = _Opening(network, node, keys or derp.KeyPair(), family, interface)
    opened = await opening.open(timeout_s)
    if isinstance(opened, StepFailure):
        return opened
    return DerpSocket(opening, opened)


async def derp_endpoints(
    network: Network, node: derp.DerpNode, steps: Steps, family: Family | None = None, port: int | None = None
) -> list[Endpoint] | StepFailure:
    """Where a server is: by its map's addresses, and by its name where the map has none."""
    known = {4: node.ipv4, 6: node.ipv6}
    wanted: list[Family] = [each for each in (4, 6) if family in (None, each) and known[each] is not None]
    if not wanted:
        return steps.failed("resolve", "unresolved", f"the map has no IPv{family} address of it")
    hosts = [address for each in wanted if (address := known[each])]
    if hosts:
        steps.done("resolve", ", ".join(hosts), at_once=True)
    else:
        found = await addresses_of(network, node.host, steps, family)
        if isinstance(found, StepFailure):
            return found
        hosts = list(found)
    routed = [host for host in hosts if network.route(host) is not None]
    return [Endpoint(host, port or node.port) for host in routed or hosts]


def security_of(node: derp.DerpNode) -> Security | None:
    """What the map holds its certificate to; None: it speaks plain HTTP."""
    kind, _, sha256 = node.certificate.partition("sha256-raw:")
    return Security(kind or node.host, sha256, node.unchecked) if node.tls else None
