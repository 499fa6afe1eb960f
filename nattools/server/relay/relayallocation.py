"""An allocation of the relay: its relayed addresses, permissions and channels, and what passes through them
(RFC 8656 3.2, 9 to 12). Pure: what it names is sent by whoever drives it."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, NamedTuple, Protocol

from nattools.model.endpoint import Endpoint, Family
from nattools.protocols import stun, turn
from nattools.protocols.stun import constants as c
from nattools.server.limits import TokenBucket
from nattools.server.relay.turncredentials import Client, User

_HEAD: Final = Struct(">HH").pack
_UNPACK: Final = Struct(">HH").unpack_from
_SEND_ID: Final = bytes(12)


class Closable(Protocol):
    """What the one who drives it has opened."""

    def close(self) -> None:
        """Idempotent."""


class RelayedPort(Closable, Protocol):
    """A relayed address that is open: a UDP socket, or for RFC 6062 a TCP listener, which sends nothing."""

    @property
    def local(self) -> Endpoint:
        """The relayed address."""

    def send_many(self, datagrams: list[bytes], to: Endpoint) -> object:
        """Send them to a peer."""


class RelayedConnection:
    """A connection between a relayed address and a peer (RFC 6062). `stream` is None while it is being made.
    Unless it is bound by `expires_at` it is closed."""

    __slots__ = ("allocation", "bound", "expires_at", "number", "peer", "stream")

    def __init__(self, number: int, allocation: RelayAllocation, peer: Endpoint, expires_at: float) -> None:
        self.number = number
        self.allocation = allocation
        self.peer = peer
        self.expires_at = expires_at
        self.bound = False
        self.stream: Closable | None = None


class ClientChannel:
    """A number for a peer (RFC 8656 12)."""

    __slots__ = ("expires_at", "number", "own", "peer")

    def __init__(self, number: int, peer: Endpoint, own: bool) -> None:
        self.number = number
        self.peer = peer
        self.own = own
        self.expires_at = 0.0


class ForwardedData(NamedTuple):
    """Datagrams to send to a peer, from the relayed address of its family."""

    family: Family
    datagrams: list[bytes]
    peer: Endpoint


class RelayAllocation:
    """One client's. `ports`: what is relayed, by family. `say` sends messages to the client, and drops what
    it cannot take. `padded`: over a stream, where ChannelData is padded. `permissions`: hosts, and until
    when. `transaction_id`: of the request that made it, which may come again."""

    __slots__ = (
        "_carriers",
        "by_peer",
        "channels",
        "client",
        "connections",
        "dont_fragment",
        "expires_at",
        "padded",
        "permissions",
        "ports",
        "protocol",
        "say",
        "transaction_id",
        "user",
    )

    def __init__(
        self,
        client: Client,
        user: User,
        say: Callable[[list[bytes]], object],
        carriers: tuple[TokenBucket, ...],
        transaction_id: bytes,
    ) -> None:
        self.client = client
        self.user = user
        self.say = say
        self.transaction_id = transaction_id
        self.padded = client.transport == "tcp"
        self.protocol = turn.constants.UDP
        self.dont_fragment = False
        self.ports: dict[Family, RelayedPort] = {}
        self.expires_at = 0.0
        self.permissions: dict[str, float] = {}
        self.channels: dict[int, ClientChannel] = {}
        self.by_peer: dict[Endpoint, ClientChannel] = {}
        self.connections: dict[Endpoint, RelayedConnection] = {}
        self._carriers = carriers

    def carries(self, size: int, now: float) -> bool:
        """May so many bytes pass now?"""
        for bucket in self._carriers:
            if not bucket.holds(now, size):
                return False
        for bucket in self._carriers:
            bucket.spend(size)
        return True

    def is_permitted(self, host: str, now: float) -> bool:
        """Has this address a permission?"""
        return self.permissions.get(host, 0.0) > now

    def from_channels(self, data: bytes, size: int, now: float) -> list[tuple[ClientChannel, list[bytes]]]:
        """What ChannelData messages of the client hold, and for whom (RFC 8656 12.6). They stand one behind
        the other, each of `size` bytes, the last perhaps shorter. What is for nobody is dropped."""
        found = []
        start, end = 0, len(data)
        while start + 4 <= end:
            head = data[start : start + 4]
            number, length = _UNPACK(head)
            payloads = []
            while data[start : start + 4] == head:
                if length <= min(size, end - start) - 4:
                    payloads.append(data[start + 4 : start + 4 + length])
                start += size
            channel = self.channels.get(number)
            if channel is None or not payloads or not self._is_open(channel, now):
                continue
            if self.carries(length * len(payloads), now):
                found.append((channel, payloads))
        return found

    def _is_open(self, channel: ClientChannel, now: float) -> bool:
        """Its permission may have lapsed before it did."""
        return channel.expires_at > now and self.permissions.get(channel.peer[0], 0.0) > now

    def from_peer(self, data: bytes, size: int, peer: Endpoint, now: float) -> list[bytes]:
        """What the client gets when a peer has sent this to the relayed address (RFC 8656 11.3, 12.7):
        datagrams one behind the other, each of `size` bytes, the last perhaps shorter. Nothing: it is
        dropped."""
        if self.permissions.get(peer[0], 0.0) <= now or not self.carries(len(data), now):
            return []
        pieces = [data] if size >= len(data) else [data[at : at + size] for at in range(0, len(data), size)]
        channel = self.by_peer.get(peer)
        if channel is None or channel.expires_at <= now:
            return [self._indication(peer, (c.DATA, piece)) for piece in pieces]
        head = _HEAD(channel.number, len(pieces[0]))
        messages = [head + piece for piece in pieces]
        if len(pieces[-1]) < size:
            messages[-1] = _HEAD(channel.number, len(pieces[-1])) + pieces[-1]
        return [each + bytes(-len(each) % 4) for each in messages] if self.padded else messages

    def icmp_from(
        self, peer: Endpoint, icmp_type: int, icmp_code: int, detail: int, now: float
    ) -> bytes | None:
        """What the client gets when a datagram of its found no way to a peer (RFC 8656 11.5)."""
        if not self.is_permitted(peer.host, now):
            return None
        return self._indication(peer, (c.ICMP, turn.pack_icmp(icmp_type, icmp_code, detail)))

    def _indication(self, peer: Endpoint, content: tuple[int, bytes]) -> bytes:
        attributes = ((c.XOR_PEER_ADDRESS, stun.pack_xor_address(peer, _SEND_ID)), content)
        return stun.encode(stun.Message(c.DATA_METHOD, "indication", _SEND_ID, attributes))
