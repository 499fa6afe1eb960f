"""Connections between relayed addresses and peers (RFC 6062 5.2 to 5.4). Pure."""

from __future__ import annotations

from collections.abc import Container
from typing import Final, NamedTuple

from nattools.chance import chance
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.turn import turnconstants as t
from nattools.server.relay.relayallocation import Closable, RelayAllocation, RelayedConnection
from nattools.server.relay.turncredentials import User
from nattools.server.relay.turnlimits import Quotas
from nattools.server.relay.turnpeers import PeerRules
from nattools.server.relay.turnrequests import TurnError, failure, success

_GRACE_S: Final = 5.0
"""The driver gives up connecting before this tells it to."""


class ConnectOrder(NamedTuple):
    """Connect to the peer from the relayed address within 30 s, then tell `RelayedConnections.connected`."""

    connection: RelayedConnection
    request: stun.Message
    user: User


class JoinOrder(NamedTuple):
    """Send `answer` on the connection that this came by; from there on it and the peer's are one stream.
    Tell `RelayedConnections.end` when that is over."""

    connection: RelayedConnection
    answer: bytes


class RelayedConnections:
    """The connections with peers of all allocations. `relayed`: the TCP endpoints that are relayed here."""

    def __init__(self, rules: PeerRules, quotas: Quotas, relayed: Container[Endpoint]) -> None:
        self._rules = rules
        self._quotas = quotas
        self._relayed = relayed
        self._all: dict[int, RelayedConnection] = {}

    def connect(
        self, request: stun.Message, allocation: RelayAllocation, user: User, now: float
    ) -> ConnectOrder:
        """A Connect request (RFC 6062 5.2). TurnError: why not."""
        peers = request.peers
        if allocation.protocol != t.TCP or len(peers) != 1:
            raise TurnError(t.BAD_REQUEST)
        peer = peers[0]
        if peer.family not in allocation.ports:
            raise TurnError(t.PEER_FAMILY_MISMATCH)
        if peer in allocation.connections:
            raise TurnError(t.CONNECTION_EXISTS)
        if not self._rules.allows(peer, self._relayed):
            raise TurnError(t.FORBIDDEN)
        connection = self._add(allocation, peer, now + t.CONNECT_TIMEOUT_S + _GRACE_S)
        if connection is None:
            raise TurnError(t.INSUFFICIENT_CAPACITY)
        return ConnectOrder(connection, request, user)

    def connected(self, order: ConnectOrder, stream: Closable | None, now: float) -> bytes | None:
        """The answer to the request, now that the peer is connected or (None) cannot be. None: the allocation
        is over, and the stream is not wanted."""
        connection = order.connection
        if connection.number not in self._all:
            if stream is not None:
                stream.close()
            return None
        if stream is None:
            self.end(connection)
            return failure(order.request, order.user, TurnError(t.CONNECTION_FAILED))
        connection.stream = stream
        connection.expires_at = now + t.CONNECT_TIMEOUT_S
        return success(order.request, order.user, ((c.CONNECTION_ID, _pack(connection)),))

    def attempted(
        self, allocation: RelayAllocation, peer: Endpoint, stream: Closable, now: float
    ) -> bytes | None:
        """A peer has connected to the relayed address: the ConnectionAttempt for the client (5.3). None: it
        may not, and is to be reset."""
        if not allocation.is_permitted(peer.host, now) or peer in allocation.connections:
            return None
        connection = self._add(allocation, peer, now + t.CONNECT_TIMEOUT_S)
        if connection is None:
            return None
        connection.stream = stream
        number = bytes(12)
        attributes = (
            (c.CONNECTION_ID, _pack(connection)),
            (c.XOR_PEER_ADDRESS, stun.pack_xor_address(peer, number)),
        )
        return stun.encode(stun.Message(c.CONNECTION_ATTEMPT, "indication", number, attributes))

    def bind(self, request: stun.Message, user: User, now: float) -> JoinOrder:
        """A ConnectionBind request on a connection of its own (5.4). TurnError: why not."""
        connection = self._all.get(request.connection_id or 0)
        if connection is None or connection.bound or connection.stream is None:
            raise TurnError(t.BAD_REQUEST)
        if connection.allocation.user.name != user.name or connection.expires_at <= now:
            raise TurnError(t.BAD_REQUEST)
        connection.bound = True
        return JoinOrder(connection, success(request, user, ((c.CONNECTION_ID, _pack(connection)),)))

    def end(self, connection: RelayedConnection) -> None:
        """Forget a connection that is over. Idempotent."""
        if self._all.pop(connection.number, None) is not None:
            self._quotas.connections.leave(connection.allocation.client.remote)
            connection.allocation.connections.pop(connection.peer, None)
        if connection.stream is not None:
            connection.stream.close()

    def drop_lapsed(self, now: float) -> None:
        """Forget connections that nobody has bound in time."""
        for each in [each for each in self._all.values() if not each.bound and each.expires_at <= now]:
            self.end(each)

    def _add(
        self, allocation: RelayAllocation, peer: Endpoint, expires_at: float
    ) -> RelayedConnection | None:
        if len(allocation.connections) >= self._quotas.limits.connections_per_allocation:
            return None
        if not self._quotas.connections.enter(allocation.client.remote):
            return None
        number = 0
        while number in self._all or not number:
            number = chance().getrandbits(32)
        connection = RelayedConnection(number, allocation, peer, expires_at)
        self._all[number] = allocation.connections[peer] = connection
        return connection


def _pack(connection: RelayedConnection) -> bytes:
    return connection.number.to_bytes(4, "big")
