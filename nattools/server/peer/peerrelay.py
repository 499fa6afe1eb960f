"""A circuit relay v2: reservations for peers that cannot be reached, and limited connections to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.net.eventloop import TimeLimit
from nattools.net.libp2p.peerconnection import Libp2pConnection, MuxStream, StreamMessages, StreamServer
from nattools.net.libp2p.peerhost import PeerHost
from nattools.protocols.libp2p import circuit
from nattools.protocols.libp2p.circuit import CircuitMessage, CircuitStatus, RelayLimit, Reservation
from nattools.protocols.libp2p.multiaddr import Multiaddr
from nattools.protocols.libp2p.peerid import PeerId
from nattools.server.limits import Occupancy, RateLimit

_REQUEST_S: Final = 10.0
_PIECE: Final = 4096


class PeerRelayLimits(msgspec.Struct, frozen=True):
    """As go-libp2p's: a reservation lasts `lasts_s` seconds, and each source has some of all `reservations`;
    a connection lasts `circuit_s` seconds and carries `circuit_octets` each way. `circuits` bounds
    connections, `per_peer` those to one peer, `circuits_per_source` those of one source: or two who connect
    to each other, and stall, would take all from everybody."""

    lasts_s: float = 3600.0
    reservations_per_source: int = 8
    reservations: int = 128
    circuit_s: float = 120.0
    circuit_octets: int = 1 << 17
    circuits: int = 128
    per_peer: int = 16
    circuits_per_source: int = 8
    asks_rate: float = 1.0
    asks_burst: float = 30.0
    asks_total_rate: float = 50.0
    asks_total_burst: float = 200.0


class _Held(msgspec.Struct):
    """A peer's place, on the connection on which it asked for it."""

    connection: Libp2pConnection
    until: float
    source: Endpoint
    circuits: int = 0


class PeerRelay:
    """`servers`: what the host is to serve. `addresses`: the relay's own, with its id. `clock`: seconds since
    1970."""

    def __init__(
        self,
        host: PeerHost,
        limits: PeerRelayLimits,
        addresses: Sequence[Multiaddr],
        clock: Callable[[], float],
    ) -> None:
        self.servers: dict[str, StreamServer] = {circuit.HOP: self._hop}
        self._host = host
        self._limits = limits
        self._addresses = tuple(addresses)
        self._clock = clock
        self._held: dict[PeerId, _Held] = {}
        self._reservations = Occupancy(per_source=limits.reservations_per_source, total=limits.reservations)
        self._circuits = Occupancy(per_source=limits.circuits_per_source, total=limits.circuits)
        self._asks = RateLimit(
            rate=limits.asks_rate,
            burst=limits.asks_burst,
            total_rate=limits.asks_total_rate,
            total_burst=limits.asks_total_burst,
        )
        self._time = asyncio.get_running_loop().time
        self._bounds = RelayLimit(round(limits.circuit_s), limits.circuit_octets)

    async def _hop(self, stream: MuxStream) -> None:
        """ProtocolError: it is no request."""
        messages = StreamMessages(stream, circuit.MAX_RELAY_MESSAGE)
        request: CircuitMessage | None = None
        async with TimeLimit(_REQUEST_S):
            request = circuit.decode_hop(await messages.expect())
        if request is None:
            return
        allowed = self._asks.take(stream.remote, self._time())
        if request.kind == "reserve":
            answer = self._reserve(stream.connection) if allowed else _refusal("reservation-refused")
            messages.write(circuit.encode_hop(answer))
        elif request.kind == "connect" and request.peer is not None:
            stream.unread(messages.rest)
            await self._connect(stream, messages, request.peer, allowed=allowed)
            return
        else:
            messages.write(circuit.encode_hop(_refusal("unexpected")))
        stream.end()
        await stream.drain()

    def _reserve(self, connection: Libp2pConnection) -> CircuitMessage:
        held = self._held.get(connection.peer)
        if held is None or held.connection is not connection:
            if not self._reservations.enter(connection.remote):
                return _refusal("reservation-refused")
            if held is not None:
                self._reservations.leave(held.source)
            held = self._held[connection.peer] = _Held(connection, 0.0, connection.remote)
            self._host.spawn(self._keep(connection.peer, held))
        held.until = self._time() + self._limits.lasts_s
        connection.idle_s = self._limits.lasts_s
        expires = round(self._clock() + self._limits.lasts_s)
        voucher = circuit.make_voucher(self._host.key, connection.peer, expires)
        place = Reservation(expires, self._addresses, voucher)
        return CircuitMessage("status", "ok", reservation=place, limit=self._bounds)

    async def _keep(self, peer: PeerId, held: _Held) -> None:
        """A reservation ends with its connection, and with its time."""
        while not held.connection.ended.is_set() and (left_s := held.until - self._time()) > 0:
            async with TimeLimit(left_s):
                await held.connection.ended.wait()
        if self._held.get(peer) is held:
            del self._held[peer]
            self._reservations.leave(held.source)

    async def _connect(
        self, stream: MuxStream, messages: StreamMessages, peer: PeerId, *, allowed: bool
    ) -> None:
        held = self._held.get(peer)
        status: CircuitStatus = "ok"
        if held is None:
            status = "no-reservation"
        elif not allowed or held.circuits >= self._limits.per_peer or not self._circuits.enter(stream.remote):
            status = "limit-exceeded"
        if held is None or status != "ok":
            messages.write(circuit.encode_hop(_refusal(status)))
            stream.end()
            await stream.drain()
            return
        held.circuits += 1
        caller = stream.connection
        caller.idle_s = max(caller.idle_s or 0.0, self._limits.circuit_s + _REQUEST_S)
        try:
            await self._join(stream, messages, held)
        finally:
            self._circuits.leave(stream.remote)
            held.circuits -= 1

    async def _join(self, stream: MuxStream, messages: StreamMessages, held: _Held) -> None:
        other = await self._stop(held.connection, stream.connection.peer)
        if other is None:
            messages.write(circuit.encode_hop(_refusal("connection-failed")))
            stream.end()
            await stream.drain()
            return
        messages.write(circuit.encode_hop(CircuitMessage("status", "ok", limit=self._bounds)))
        try:
            async with TimeLimit(self._limits.circuit_s), asyncio.TaskGroup() as group:
                group.create_task(self._pass(stream, other))
                group.create_task(self._pass(other, stream))
        finally:
            for each in (stream, other):
                if not each.over:
                    each.abort()

    async def _stop(self, connection: Libp2pConnection, caller: PeerId) -> MuxStream | None:
        """Tell the one who has the reservation that it is called; None: it does not answer, or says no."""
        stream = await connection.open(circuit.STOP, timeout_s=_REQUEST_S)
        if stream is None:
            return None
        granted = False
        try:
            messages = StreamMessages(stream, circuit.MAX_RELAY_MESSAGE)
            messages.write(circuit.encode_stop(CircuitMessage("connect", peer=caller, limit=self._bounds)))
            async with TimeLimit(_REQUEST_S):
                message = await messages.read()
                answer = None if message is None else circuit.decode_stop(message)
                granted = answer is not None and answer.kind == "status" and answer.status == "ok"
                stream.unread(messages.rest)
        except ProtocolError:
            pass
        finally:
            if not granted:
                stream.abort()
        return stream if granted else None

    async def _pass(self, origin: MuxStream, to: MuxStream) -> None:
        """What comes from one end goes to the other, as much as is allowed; then both end."""
        left = self._limits.circuit_octets
        while left > 0 and (data := await origin.read(min(_PIECE, left))):
            left -= len(data)
            to.write(data)
            await to.drain()
        if left > 0 and not origin.was_reset:
            to.end()
            return
        for each in (origin, to):
            each.abort()


def _refusal(status: CircuitStatus) -> CircuitMessage:
    return CircuitMessage("status", status)
