"""The peers of an allocation: which of them have a permission, which a channel (RFC 8656 3.3 to 3.5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from nattools.model.endpoint import Endpoint
from nattools.protocols.stun.turnattributes import FIRST_CHANNEL, LAST_CHANNEL
from nattools.protocols.turn import requests
from nattools.protocols.turn.channeldata import encode_channel_data
from nattools.protocols.turn.grants import MOST_WAITING, Grant, PeerChannel, Permission
from nattools.protocols.turn.refusal import TurnRefusal

MOST_PERMISSIONS: Final = 1024
MOST_CHANNELS: Final = 1024
BUSY_AFTER: Final = 4
"""Datagrams to a peer after which it gets a channel: binding one costs as much as some headers."""


class Peers:
    """Makes what goes to peers into messages for the server, and back. What is to be asked of the server for
    that is in `wanted`; `wanting`: there may be something new. `stream`: the way to the server is one."""

    def __init__(self, *, stream: bool, dont_fragment: bool) -> None:
        self.wanting = False
        self._stream = stream
        self._dont_fragment = dont_fragment
        self._permissions: dict[str, Permission] = {}
        self._channels: dict[Endpoint, PeerChannel] = {}
        self._by_number: dict[int, Endpoint] = {}
        self._sent: dict[Endpoint, int] = {}
        self._next = FIRST_CHANNEL

    def permit(self, host: str, now: float, *, kept: bool) -> Permission | None:
        """The permission for an address, wanted from now on if there was none; None: there are too many."""
        found = self._permissions.get(host)
        if found is None:
            if len(self._permissions) >= MOST_PERMISSIONS:
                return None
            found = self._permissions[host] = Permission(host, now)
        found.kept = found.kept or kept
        found.use(now)
        self.wanting = self.wanting or found.state == "wanted"
        return found

    def wrap(self, data: bytes, peer: Endpoint, now: float) -> bytes | None:
        """The message that takes data to a peer; None: it waits for a permission, or cannot be had."""
        permission = self.permit(peer.host, now, kept=False)
        if permission is None:
            return None
        channel = self._channels.get(peer)
        if channel is not None:
            channel.use(now)
            self.wanting = self.wanting or channel.state == "wanted"
            if channel.state == "granted":
                return encode_channel_data(channel.number, data, padded=self._stream)
        if permission.state != "granted":
            if permission.state == "wanted" and len(permission.waiting) < MOST_WAITING:
                permission.waiting.append((data, peer))
            return None
        if channel is None:
            self._count(peer, now)
        return requests.send_indication(data, peer, dont_fragment=self._dont_fragment)

    def _count(self, peer: Endpoint, now: float) -> None:
        """Give a peer that is busy a channel."""
        if len(self._sent) >= MOST_PERMISSIONS:
            self._sent.clear()
        count = self._sent[peer] = self._sent.get(peer, 0) + 1
        if count < BUSY_AFTER or len(self._channels) >= MOST_CHANNELS:
            return
        del self._sent[peer]
        while self._next in self._by_number:
            self._turn()
        self._channels[peer] = PeerChannel(self._next, peer, now)
        self._by_number[self._next] = peer
        self.wanting = True
        self._turn()

    def _turn(self) -> None:
        self._next = self._next + 1 if self._next < LAST_CHANNEL else FIRST_CHANNEL

    def peer_of(self, channel: int) -> Endpoint | None:
        """Whose data comes by this channel; None: it is nobody's."""
        return self._by_number.get(channel)

    def refusal(self, host: str) -> TurnRefusal | None:
        """Why nothing can be sent to an address, if the server said so."""
        permission = self._permissions.get(host)
        return permission.refusal if permission is not None and permission.state == "refused" else None

    def wanted(self, now: float) -> Iterator[Grant]:
        """What is to be asked for now."""
        return (each for each in self._all() if each.wants(now))

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`."""
        return min((at for each in self._all() if (at := each.next_timeout()) is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Let lapse and forget what is over."""
        for each in list(self._all()):
            if each.handle_timeout(now):
                continue
            if isinstance(each, Permission):
                del self._permissions[each.host]
            elif isinstance(each, PeerChannel):
                del self._channels[each.peer], self._by_number[each.number]

    def _all(self) -> Iterator[Grant]:
        yield from self._permissions.values()
        yield from self._channels.values()
