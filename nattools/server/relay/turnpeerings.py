"""What passes from clients to peers: permissions, channels and Send indications (RFC 8656 9 to 12). Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.protocols.turn import turnconstants as t
from nattools.server.relay.relayallocation import ClientChannel, ForwardedData, RelayAllocation
from nattools.server.relay.turnlimits import Quotas
from nattools.server.relay.turnpeers import PeerRules
from nattools.server.relay.turnrequests import UNDERSTOOD, TurnError


class Peerings:
    """The permissions and channels of all allocations. `relayed`: the UDP endpoints that are relayed here."""

    def __init__(self, rules: PeerRules, quotas: Quotas, relayed: Container[Endpoint]) -> None:
        self._rules = rules
        self._quotas = quotas
        self._relayed = relayed

    def create_permission(self, request: stun.Message, allocation: RelayAllocation, now: float) -> None:
        """RFC 8656 10.2: all of them, or none. TurnError: why none."""
        peers = request.peers
        if not peers:
            raise TurnError(t.BAD_REQUEST)
        for peer in peers:
            self._check_family(allocation, peer)
        if not all(self._rules.permits(peer.host) for peer in peers):
            raise TurnError(t.FORBIDDEN)
        self._make_room(allocation, {peer.host for peer in peers}, 0, now)
        for peer in peers:
            allocation.permissions[peer.host] = now + t.PERMISSION_LIFETIME_S

    def bind_channel(self, request: stun.Message, allocation: RelayAllocation, now: float) -> None:
        """RFC 8656 12.2. TurnError: why not."""
        number, peers = request.channel, request.peers
        if number is None or not turn.FIRST_CHANNEL <= number <= t.LAST_OLD_CHANNEL or len(peers) != 1:
            raise TurnError(t.BAD_REQUEST)
        peer = peers[0]
        self._check_family(allocation, peer)
        channel = allocation.channels.get(number)
        if (channel is not None and channel.peer != peer) or allocation.by_peer.get(peer) is not channel:
            raise TurnError(t.BAD_REQUEST)
        if allocation.protocol != t.UDP:
            raise TurnError(t.BAD_REQUEST)
        if not self._rules.allows(peer, self._relayed):
            raise TurnError(t.FORBIDDEN)
        self._make_room(allocation, {peer.host}, channel is None, now)
        if channel is None:
            channel = ClientChannel(number, peer, self._rules.is_here(peer.host))
            allocation.channels[number] = allocation.by_peer[peer] = channel
        channel.expires_at = now + t.CHANNEL_LIFETIME_S
        allocation.permissions[peer.host] = now + t.PERMISSION_LIFETIME_S

    def send(self, message: stun.Message, allocation: RelayAllocation, now: float) -> ForwardedData | None:
        """A Send indication (RFC 8656 11.2); None: it is dropped. Where DONT-FRAGMENT was not asked for at
        the beginning it cannot be done here."""
        data = message.get(c.DATA)
        try:
            peers, dont_fragment = message.peers, message.dont_fragment
        except ProtocolError:
            return None
        if data is None or len(peers) != 1 or message.unknown_required(UNDERSTOOD):
            return None
        if (dont_fragment and not allocation.dont_fragment) or allocation.protocol != t.UDP:
            return None
        peer = peers[0]
        if not allocation.is_permitted(peer.host, now) or not self._rules.allows(peer, self._relayed):
            return None
        if peer.family not in allocation.ports or not allocation.carries(len(data), now):
            return None
        return ForwardedData(peer.family, [data], peer)

    def from_channels(
        self, data: bytes, size: int, allocation: RelayAllocation, now: float
    ) -> list[ForwardedData]:
        """ChannelData messages one behind the other, each of `size` bytes, the last perhaps shorter."""
        return [
            ForwardedData(channel.peer.family, payloads, channel.peer)
            for channel, payloads in allocation.from_channels(data, size, now)
            # the relayed port of another, which is gone: who has it now is not for clients
            if not channel.own or channel.peer in self._relayed
        ]

    def drop_lapsed(self, allocation: RelayAllocation, now: float) -> None:
        """Forget what has outlived its time."""
        hosts = [host for host, expires_at in allocation.permissions.items() if expires_at <= now]
        for host in hosts:
            del allocation.permissions[host]
        channels = [each for each in allocation.channels.values() if each.expires_at <= now]
        for channel in channels:
            del allocation.channels[channel.number], allocation.by_peer[channel.peer]
        self._leave(allocation, len(hosts) + len(channels))

    def drop_all(self, allocation: RelayAllocation) -> None:
        """The allocation is over."""
        self._leave(allocation, len(allocation.permissions) + len(allocation.channels))
        for table in (allocation.permissions, allocation.channels, allocation.by_peer):
            table.clear()

    def _leave(self, allocation: RelayAllocation, count: int) -> None:
        self._quotas.leave_peers(allocation.user.name, allocation.client.remote, count)

    def _check_family(self, allocation: RelayAllocation, peer: Endpoint) -> None:
        if peer.family not in allocation.ports:
            raise TurnError(t.PEER_FAMILY_MISMATCH)

    def _make_room(
        self, allocation: RelayAllocation, hosts: Iterable[str], channels: int, now: float
    ) -> None:
        """For new ones. TurnError: the allocation, its user or its client's source has its share, or all are
        taken."""
        more = sum(host not in allocation.permissions for host in hosts) + channels
        most = self._quotas.limits.peers_per_allocation
        if len(allocation.permissions) + len(allocation.channels) + more > most:
            self.drop_lapsed(allocation, now)
            more = sum(host not in allocation.permissions for host in hosts) + channels
        if len(allocation.permissions) + len(allocation.channels) + more > most:
            raise TurnError(t.INSUFFICIENT_CAPACITY)
        if not self._quotas.enter_peers(allocation.user.name, allocation.client.remote, more):
            raise TurnError(t.INSUFFICIENT_CAPACITY)
