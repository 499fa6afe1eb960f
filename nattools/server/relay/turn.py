"""The relay: TURN's server side (RFC 8656), and TURN for TCP (RFC 6062). Pure.

Where this deviates:
- Nothing is said to one who has not shown who he is that is more than 1.6 times what he said (over UDP), and
  only so often to a source; a client that needs more room for a challenge sends a longer request.
- A request with no credentials that is not worth a challenge gets no answer; nor does an unknown method.
- DONT-FRAGMENT of the Allocate request holds for all that the allocation sends, and that of a Send indication
  does nothing more: sockets have one such setting.
- Channels are 0x4000 to 0x7FFF, among which RFC 5766's clients choose; RFC 8656 has left the first 4,096.
- Who has an allocation keeps it, and refreshes it, when the time of his credentials is over.
- There are no moving clients (RFC 8016): a quota that follows its user around can be evaded.

| Request | RFC | on an allocation | on none |
| --- | --- | --- | --- |
| Allocate | 8656 7.2 | 437; the same request again: the same answer | a new one |
| Refresh | 8656 8.2 | refreshed, or with LIFETIME 0 deleted | 437 |
| CreatePermission | 8656 10.2 | as `Peerings` | 437 |
| ChannelBind | 8656 12.2 | as `Peerings` | 437 |
| Connect | 6062 5.2 | as `RelayedConnections` | 437 |
| ConnectionBind | 6062 5.4 | 400 | as `RelayedConnections` |

With another user's credentials than those that made it, a request on an allocation gets 441.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from nattools.chance import random_bytes
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.message import Attribute
from nattools.protocols.turn import turnconstants as t
from nattools.server.relay.relayallocation import Closable, ForwardedData, RelayAllocation, RelayedPort
from nattools.server.relay.turnconnections import ConnectOrder, JoinOrder, RelayedConnections
from nattools.server.relay.turncredentials import Challenges, Client, CredentialsRefused, User
from nattools.server.relay.turnlimits import Quotas
from nattools.server.relay.turnpeerings import Peerings
from nattools.server.relay.turnpeers import PeerRules
from nattools.server.relay.turnrequests import (
    RequestedAllocation,
    TurnError,
    bare_failure,
    failure,
    granted_lifetime_s,
    is_unharmed,
    lifetime,
    read_allocate,
    success,
    unavailable_families,
    unknown_attributes,
)

METHODS: Final = frozenset(
    (
        c.ALLOCATE, c.REFRESH, c.SEND, c.CREATE_PERMISSION, c.CHANNEL_BIND, c.CONNECT, c.CONNECTION_BIND,
    )
)  # fmt: skip
"""What is for the relay; and every message that is ChannelData."""


class AllocateOrder(NamedTuple):
    """Open a UDP socket, or a TCP listener if `spec.protocol` says so, for each of `spec.families`, as `spec`
    says, and set the allocation's `say`; then tell `TurnServer.allocated`. `reserved` is open already."""

    allocation: RelayAllocation
    request: stun.Message
    spec: RequestedAllocation
    reserved: RelayedPort | None = None


Decision = bytes | ForwardedData | AllocateOrder | ConnectOrder | JoinOrder | None


class _Reservation(NamedTuple):
    port: RelayedPort
    user: User
    source: Endpoint
    expires_at: float


class TurnServer:
    """All allocations.

    Driving contract: give each message to `receive`, ChannelData to `peerings.from_channels`. Bytes are the
    answer to send back now, a `ForwardedData` is to be sent to a peer; an order is to be carried out, as it
    says. What arrives at a relayed address is the allocation's own: `RelayAllocation.from_peer`. Call `sweep`
    every `sweep_s` seconds, `gone` when a client's connection is over. After each of these, and after
    `receive`, close `take_over()`: what is of use to nobody any more.
    """

    sweep_s: Final = 5.0

    def __init__(
        self,
        challenges: Challenges,
        rules: PeerRules,
        quotas: Quotas,
        families: Mapping[Family, str],
        *,
        can_forbid_fragments: bool,
    ) -> None:
        self._challenges = challenges
        self._rules = rules
        self._quotas = quotas
        self._families = families
        self._can_forbid_fragments = can_forbid_fragments
        self._tables: dict[tuple[Transport, Endpoint], dict[Endpoint, RelayAllocation]] = {}
        self._relayed: dict[int, dict[Endpoint, RelayAllocation]] = {t.UDP: {}, t.TCP: {}}
        self._reservations: dict[bytes, _Reservation] = {}
        self._over: list[Closable] = []
        self.peerings = Peerings(rules, quotas, self._relayed[t.UDP])
        self.connections = RelayedConnections(rules, quotas, self._relayed[t.TCP])

    @property
    def allocations(self) -> int:
        """How many there are."""
        return sum(map(len, self._tables.values()))

    @property
    def idle(self) -> bool:
        """Is there nothing that could outlive its time?"""
        return not (self.allocations or self._reservations)

    def clients(self, transport: Transport, local: Endpoint) -> dict[Endpoint, RelayAllocation]:
        """The allocations of those who speak to this endpoint of the server, by where they are."""
        return self._tables.setdefault((transport, local), {})

    def receive(self, message: stun.Message, client: Client, now: float) -> Decision:
        """What is to be done about a message of one of `METHODS`."""
        if not is_unharmed(message):
            return None
        allocation = self.clients(client.transport, client.local).get(client.remote)
        if message.kind == "indication" and message.method == c.SEND:
            return None if allocation is None else self.peerings.send(message, allocation, now)
        if message.kind != "request" or message.method == c.SEND:
            return None
        # whoever has no allocation yet may be guessing, or be somebody else
        if allocation is None and not self._quotas.challenges.take(client.remote, now):
            return None
        try:
            known = None if allocation is None else allocation.user
            user = self._challenges.identify(message, client, now, known)
        except ProtocolError:
            user = CredentialsRefused(t.BAD_REQUEST)
        if isinstance(user, CredentialsRefused):
            if allocation is not None and not self._quotas.challenges.take(client.remote, now):
                return None
            return _unproven(message, client, bare_failure(message, user.code, user.attributes))
        try:
            return self._answer(message, client, allocation, user, now)
        except ProtocolError:
            return failure(message, user, TurnError(t.BAD_REQUEST))
        except TurnError as error:
            return failure(message, user, error)

    def _answer(
        self,
        request: stun.Message,
        client: Client,
        allocation: RelayAllocation | None,
        user: User,
        now: float,
    ) -> Decision:
        error = unknown_attributes(request)
        if error is not None:
            raise error
        if request.method == c.ALLOCATE:
            return self._allocate(request, client, allocation, user, now)
        if request.method == c.CONNECTION_BIND:
            if allocation is not None or client.transport == "udp":
                raise TurnError(t.BAD_REQUEST)
            return self.connections.bind(request, user, now)
        if allocation is None:
            raise TurnError(t.ALLOCATION_MISMATCH)
        if allocation.user.name != user.name:
            raise TurnError(t.WRONG_CREDENTIALS)
        match request.method:
            case c.REFRESH:
                return self._refresh(request, allocation, user, now)
            case c.CREATE_PERMISSION:
                self.peerings.create_permission(request, allocation, now)
            case c.CHANNEL_BIND:
                self.peerings.bind_channel(request, allocation, now)
            case _:
                return self.connections.connect(request, allocation, user, now)
        return success(request, user)

    # --- allocations begin (RFC 8656 7.2, 7.3)

    def _allocate(
        self,
        request: stun.Message,
        client: Client,
        allocation: RelayAllocation | None,
        user: User,
        now: float,
    ) -> bytes | AllocateOrder | None:
        if allocation is not None:
            if allocation.transaction_id != request.transaction_id:
                raise TurnError(t.ALLOCATION_MISMATCH)
            return self._allocated(request, allocation, user, now) if allocation.ports else None
        spec = read_allocate(request, client, self._families, can_forbid_fragments=self._can_forbid_fragments)
        reserved = None if spec.token is None else self._use_reservation(spec.token, user, now)
        try:
            self._enter(user, client.remote, 1 + spec.reserve)
        except TurnError:
            self._over += [] if reserved is None else [reserved]
            raise
        carriers = self._quotas.carriers(user.name, client.remote)
        allocation = RelayAllocation(client, user, lambda data: None, carriers, request.transaction_id)
        allocation.protocol, allocation.dont_fragment = spec.protocol, spec.dont_fragment
        allocation.expires_at = now + spec.lifetime_s
        self.clients(client.transport, client.local)[client.remote] = allocation
        return AllocateOrder(allocation, request, spec, reserved)

    def _enter(self, user: User, source: Endpoint, count: int) -> None:
        for number in range(count):
            code = self._quotas.enter(user.name, source)
            if code is not None:
                for _ in range(number):
                    self._quotas.leave(user.name, source)
                raise TurnError(code)

    def allocated(
        self,
        order: AllocateOrder,
        ports: Mapping[Family, RelayedPort],
        next_port: RelayedPort | None,
        now: float,
    ) -> bytes:
        """The answer to the request, with what could be opened; and the port after that one, if one was to be
        reserved."""
        allocation, spec = order.allocation, order.spec
        if not self._is_known(allocation) or not ports or (spec.reserve and next_port is None):
            self._over += [*ports.values(), *([] if next_port is None else [next_port])]
            if spec.reserve:
                self._quotas.leave(allocation.user.name, allocation.client.remote)
            self._end(allocation)
            return failure(order.request, allocation.user, TurnError(t.INSUFFICIENT_CAPACITY))
        missing = [each for each in spec.families if each not in ports and order.reserved is None]
        allocation.ports.update(ports)
        for port in ports.values():
            self._relayed[spec.protocol][port.local] = allocation
        more = unavailable_families(order.request, spec.unavailable, t.FAMILY_NOT_SUPPORTED)
        more += unavailable_families(order.request, missing, t.INSUFFICIENT_CAPACITY)
        if next_port is not None:
            more.append((c.RESERVATION_TOKEN, self._reserve(next_port, allocation, now)))
        return self._allocated(order.request, allocation, allocation.user, now, more)

    def _allocated(
        self,
        request: stun.Message,
        allocation: RelayAllocation,
        user: User,
        now: float,
        more: list[Attribute] | None = None,
    ) -> bytes:
        number = request.transaction_id
        attributes = [
            (c.XOR_RELAYED_ADDRESS, stun.pack_xor_address(port.local, number))
            for port in allocation.ports.values()
        ]
        attributes.append(lifetime(allocation.expires_at - now))
        attributes.append((c.XOR_MAPPED_ADDRESS, stun.pack_xor_address(allocation.client.remote, number)))
        return success(request, user, [*attributes, *(more or ())])

    def _reserve(self, port: RelayedPort, allocation: RelayAllocation, now: float) -> bytes:
        token = random_bytes(8)
        self._reservations[token] = _Reservation(
            port, allocation.user, allocation.client.remote, now + t.RESERVATION_LIFETIME_S
        )
        return token

    def _use_reservation(self, token: bytes, user: User, now: float) -> RelayedPort:
        reservation = self._reservations.get(token)
        if reservation is None or reservation.user.name != user.name or reservation.expires_at <= now:
            raise TurnError(t.INSUFFICIENT_CAPACITY)
        return self._unreserve(token)

    def _unreserve(self, token: bytes) -> RelayedPort:
        reservation = self._reservations.pop(token)
        self._quotas.leave(reservation.user.name, reservation.source)
        return reservation.port

    # --- allocations go on, and end (RFC 8656 8.2)

    def _refresh(self, request: stun.Message, allocation: RelayAllocation, user: User, now: float) -> bytes:
        family = request.requested_family
        asked = request.get(c.REQUESTED_ADDRESS_FAMILY) is not None
        if asked and (family is None or family not in allocation.ports):
            raise TurnError(t.PEER_FAMILY_MISMATCH)
        if request.lifetime_s == 0:
            port = allocation.ports.get(family) if family is not None and len(allocation.ports) > 1 else None
            if family is not None and port is not None:
                del allocation.ports[family], self._relayed[allocation.protocol][port.local]
                self._over.append(port)
            else:
                self._end(allocation)
            return success(request, user, (lifetime(0),))
        seconds = granted_lifetime_s(request)
        allocation.expires_at = now + seconds
        return success(request, user, (lifetime(seconds),))

    def gone(self, client: Client) -> None:
        """The client's connection is over, and with it its allocation."""
        allocation = self.clients(client.transport, client.local).get(client.remote)
        if allocation is not None:
            self._end(allocation)

    def sweep(self, now: float) -> None:
        """End what has outlived its time."""
        self._rules.forget()
        self._quotas.forget(now)
        for table in self._tables.values():
            for allocation in list(table.values()):
                if allocation.expires_at <= now:
                    self._end(allocation)
                elif allocation.permissions:
                    self.peerings.drop_lapsed(allocation, now)
        for token in [key for key, each in self._reservations.items() if each.expires_at <= now]:
            self._over.append(self._unreserve(token))
        self.connections.drop_lapsed(now)

    def take_over(self) -> list[Closable]:
        """What is to be closed."""
        over, self._over = self._over, []
        return over

    def _is_known(self, allocation: RelayAllocation) -> bool:
        client = allocation.client
        return self.clients(client.transport, client.local).get(client.remote) is allocation

    def _end(self, allocation: RelayAllocation) -> None:
        if not self._is_known(allocation):
            return
        client = allocation.client
        del self.clients(client.transport, client.local)[client.remote]
        for port in allocation.ports.values():
            del self._relayed[allocation.protocol][port.local]
            self._over.append(port)
        allocation.ports.clear()
        self.peerings.drop_all(allocation)
        for connection in list(allocation.connections.values()):
            self.connections.end(connection)
        self._quotas.leave(allocation.user.name, client.remote)


def _unproven(request: stun.Message, client: Client, answer: bytes) -> bytes | None:
    """The answer, unless it is more than one whose address may be forged is worth."""
    fits = client.transport == "tcp" or len(answer) * 5 <= len(request.raw) * 8
    return answer if fits else None
