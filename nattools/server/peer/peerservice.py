"""libp2p on the server's ports over TCP: who asks learns from where it is seen, is dialled from the server's
other address (AutoNAT v2), and may be called through it (circuit relay v2)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from nattools.chance import chance
from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint, Family
from nattools.net.base import Network, TcpFailure, TcpStream
from nattools.net.eventloop import TimeLimit
from nattools.net.libp2p.peerconnection import Libp2pConnection, MuxStream, StreamMessages
from nattools.net.libp2p.peerhost import PeerHost
from nattools.protocols.libp2p import autonat
from nattools.protocols.libp2p.autonat import DialDataRequest, DialRequest, DialResponse, DialStatus
from nattools.protocols.libp2p.hostkey import HostKey
from nattools.protocols.libp2p.multiaddr import Multiaddr, multiaddr_at
from nattools.protocols.libp2p.peerid import PeerId
from nattools.server.limits import Occupancy, RateLimit, Slots
from nattools.server.peer.peerrelay import PeerRelay, PeerRelayLimits

_HANDSHAKE_S: Final = 10.0
_IDLE_S: Final = 60.0
_REQUEST_S: Final = 30.0
"""A client has so long to make its request, and to pay for it."""
_DIAL_S: Final = 3.0
"""Within it a SYN is repeated once."""
_DIALLED_S: Final = 6.0
_DIAL_BACK_S: Final = 5.0
_LEAST_DATA, _MOST_DATA = 30_000, 100_000


class PeerServiceConfig(msgspec.Struct, frozen=True):
    """`seed`: the 32 bytes that the host's key follows from (None: a new key). `dials_*`: how often a source
    is dialled, and all of them, each second. `dialling`: how many are dialled at a time. `peers_per_source`
    and `peers` bound connections. `relay` None: it does not relay."""

    seed: bytes | None = None
    dials_rate: float = 12 / 60
    dials_burst: float = 12.0
    dials_total_rate: float = 5.0
    dials_total_burst: float = 60.0
    dialling: int = 32
    peers_per_source: int = 8
    peers: int = 256
    relay: PeerRelayLimits | None = msgspec.field(default_factory=PeerRelayLimits)
    clock: Callable[[], float] = time.time

    def __repr__(self) -> str:
        # without the seed
        return f"PeerServiceConfig(peers={self.peers!r})"


class PeerService:
    """`sites`: by family, the server's one or two addresses with their first port. `dials`: may this address
    be dialled? Run it, then let it `serve` streams."""

    def __init__(
        self,
        network: Network,
        config: PeerServiceConfig,
        sites: Mapping[Family, Sequence[Endpoint]],
        dials: Mapping[Family, Callable[[str], bool]],
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.host = PeerHost(network, HostKey(config.seed))
        self._dialler = PeerHost(network)
        self._network = network
        self._sites = sites
        self._dials = dials
        self._report = report
        self._slots = Slots(per_source=config.peers_per_source, total=config.peers)
        self._limit = RateLimit(
            rate=config.dials_rate,
            burst=config.dials_burst,
            total_rate=config.dials_total_rate,
            total_burst=config.dials_total_burst,
        )
        self._dialling = Occupancy(per_source=2, total=config.dialling)
        self.addresses = tuple(
            multiaddr_at(endpoint, self.host.peer) for site in sites.values() for endpoint in site
        )
        self.host.addresses = tuple(each.without_peer() for each in self.addresses)
        self.host.servers[autonat.DIAL_REQUEST] = self._dial_request
        if config.relay is not None:
            relay = PeerRelay(self.host, config.relay, self.addresses, config.clock)
            self.host.servers.update(relay.servers)
        self._running = asyncio.Event()

    async def run(self) -> None:
        """Until it is cancelled."""
        async with self.host, self._dialler:
            self._running.set()
            await asyncio.get_running_loop().create_future()

    async def serve(self, stream: TcpStream, first: bytes) -> None:
        """Serve a connection, of which `first` was read already, until its end. A source beyond its share of
        slots is reset, and so is the oldest one where all are taken."""
        await self._running.wait()
        slot = self._slots.enter(stream.remote, stream.abort)
        if slot is None:
            stream.abort()
            return
        try:
            made = await self.host.take(
                stream, initiates=False, timeout_s=_HANDSHAKE_S, first=first, idle_s=_IDLE_S
            )
            if isinstance(made, Libp2pConnection):
                await made.ended.wait()
        finally:
            slot.leave()
            stream.close()

    async def _dial_request(self, stream: MuxStream) -> None:
        """ProtocolError: it is no such request, or the client does not pay for it."""
        messages = StreamMessages(stream, autonat.MAX_MESSAGE)
        answer: DialResponse | None = None
        async with TimeLimit(_REQUEST_S):
            answer = await self._answer(messages, stream.remote, stream.connection.peer)
        if answer is None:
            return
        messages.write(autonat.encode_autonat(answer))
        stream.end()
        await stream.drain()

    async def _answer(self, messages: StreamMessages, source: Endpoint, peer: PeerId) -> DialResponse:
        request = autonat.decode_autonat(await messages.expect())
        if not isinstance(request, DialRequest):
            raise ProtocolError("not a request to dial")
        if not self._limit.take(source, asyncio.get_running_loop().time()):
            return DialResponse("rejected")
        index = next((i for i, each in enumerate(request.addresses) if self._may_dial(each)), None)
        target = None if index is None else request.addresses[index]
        if index is None or target is None or (endpoint := target.endpoint) is None:
            return DialResponse("refused")
        if endpoint.host != source.host:
            await _collect(messages, index)
        if not self._dialling.enter(source):
            return DialResponse("rejected")
        try:
            return DialResponse("ok", index, await self._dial(endpoint, peer, request.nonce))
        finally:
            self._dialling.leave(source)

    def _may_dial(self, address: Multiaddr | None) -> bool:
        if address is None or address.relayed or address.over != "tcp" or address.endpoint is None:
            return False
        dials = self._dials.get(address.endpoint.family)
        return dials is not None and address.endpoint.port > 0 and dials(address.endpoint.host)

    async def _dial(self, target: Endpoint, peer: PeerId, nonce: int) -> DialStatus:
        """From the other address, if there is one: to that one the client has never written."""
        site = self._sites[target.family]
        origin = site[-1].host
        made = await self._connected(target, origin, peer)
        status: DialStatus = "dial-error"
        if isinstance(made, Libp2pConnection):
            try:
                status = "ok" if await _said(made, nonce) else "dial-back-error"
            finally:
                made.close()
        if self._report is not None:
            self._report(f"libp2p dial-back, {origin} to {target}: {status}")
        return status

    async def _connected(self, target: Endpoint, origin: str, peer: PeerId) -> Libp2pConnection | None:
        try:
            stream = await self._network.connect_tcp(target, timeout_s=_DIAL_S, host=origin)
        except CannotRun:
            return None
        if isinstance(stream, TcpFailure):
            return None
        made = await self._dialler.take(stream, initiates=True, expected=peer, timeout_s=_DIALLED_S)
        return made if isinstance(made, Libp2pConnection) else None


async def _collect(messages: StreamMessages, index: int) -> None:
    """Let the client send more than dialling somebody else costs that one. ProtocolError: it does not."""
    size = chance().randint(_LEAST_DATA, _MOST_DATA)
    messages.write(autonat.encode_autonat(DialDataRequest(index, size)))
    came = 0
    while came < size:
        said = autonat.decode_autonat(await messages.expect())
        if not isinstance(said, autonat.DialData) or not said.data:
            raise ProtocolError("no data where it was asked for")
        came += len(said.data)


async def _said(connection: Libp2pConnection, nonce: int) -> bool:
    """Did the client hear the number?"""
    stream = await connection.open(autonat.DIAL_BACK, timeout_s=_DIAL_BACK_S)
    if stream is None:
        return False
    heard = False
    try:
        messages = StreamMessages(stream, autonat.MAX_MESSAGE)
        messages.write(autonat.encode_nonce(nonce))
        stream.end()
        async with TimeLimit(_DIAL_BACK_S):
            heard = await messages.read() is not None
    except ProtocolError:
        pass
    finally:
        stream.close()
    return heard
