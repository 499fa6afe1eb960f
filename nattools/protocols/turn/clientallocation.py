"""A client's allocation on a relay, from its request to its release (RFC 8656 7 to 12, RFC 6062 4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Literal

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Family
from nattools.protocols import stun
from nattools.protocols.stun import constants as c
from nattools.protocols.stun.authentication import LongTermAuthentication
from nattools.protocols.turn import requests
from nattools.protocols.turn.channeldata import LONGEST, decode_channel_data, is_channel_data
from nattools.protocols.turn.credentials import LongTermCredentials
from nattools.protocols.turn.grants import RENEW_BEFORE_S, Grant, Permission
from nattools.protocols.turn.peers import Peers
from nattools.protocols.turn.refusal import TurnRefusal, refusal
from nattools.protocols.turn.requests import AllocationSpec
from nattools.protocols.turn.turnconstants import ALLOCATION_MISMATCH, MAX_LIFETIME_S

AllocationState = Literal["asking", "standing", "releasing", "over"]
_Event = Literal["granted", "refused", "renewed", "lost", "release", "released", "abandon"]

_NEXT: Final[dict[tuple[AllocationState, _Event], AllocationState]] = {
    ("asking", "granted"): "standing",  # RFC 8656 7.3
    ("asking", "refused"): "over",  # 7.4, or an answer that cannot be understood, or none
    ("asking", "release"): "releasing",  # the answer may be on its way
    ("asking", "abandon"): "over",
    ("standing", "renewed"): "standing",  # 8.3
    ("standing", "lost"): "over",  # 437, or no renewal until its end
    ("standing", "release"): "releasing",  # Refresh with LIFETIME 0 (8.1)
    ("standing", "abandon"): "over",
    ("releasing", "released"): "over",  # answered, or patience ended
    ("releasing", "abandon"): "over",
}
"""What an event makes of a state; what is not here changes nothing."""

_SHORTEST_S: Final = 5.0  # between renewals, however short a lifetime a server grants
_KEEPALIVE_S: Final = 15.0
"""A NAT before the relay forgets (RFC 8445 11)."""
_MOST_UNDER_WAY: Final = 16
LARGEST: Final = LONGEST - 100
"""Bytes to a peer, beside the headers of a Send indication."""


class PeerError(msgspec.Struct, frozen=True):
    """An ICMP error that the relay got about what it sent to a peer (RFC 8656 11.5)."""

    peer: Endpoint
    icmp_type: int
    icmp_code: int
    data: int


class PeerConnected(msgspec.Struct, frozen=True):
    """A TCP connection between the relay and a peer waits for ConnectionBind; `offered`: the peer began it
    (RFC 6062 4.4), else `connect` did."""

    peer: Endpoint
    connection_id: int
    offered: bool


class NotConnected(msgspec.Struct, frozen=True):
    """The relay could not connect to a peer."""

    peer: Endpoint
    refusal: TurnRefusal


AllocationEvent = PeerError | PeerConnected | NotConnected


class ClientAllocation:
    """Asks a relay for an address, and keeps it until `release`. Pure: the caller has a socket, or a stream
    cut by `TurnFramer`, and a clock.

    How to drive it, with one `now` in seconds from any clock that does not run backwards:

    1. Send what `datagrams_to_send(now)` returns: at first, and after each of the calls below but `wrap`,
       which says itself what to send; after `wrap` only when `due`.
    2. Pass what arrives to `unwrap(data)`, which gives what a peer sent, and if that is None to
       `receive_datagram(data, source, now)`; then look at `take_events()`.
    3. Call `handle_timeout(now)` when `next_timeout()` is reached. Too early is harmless.
    4. It is of use while `state` is "standing". Once it is "over", `refusal` says why, None after `release`.

    `stream`: the way to the server is one, so nothing is repeated. Each transaction answers a challenge once
    for 401 and once for 438. Nobody follows a redirection (300) here: that may need another connection.
    """

    def __init__(
        self,
        server: Endpoint,
        credentials: LongTermCredentials | None,
        spec: AllocationSpec = AllocationSpec(),  # noqa: B008 (it is frozen)
        *,
        stream: bool = False,
        rto_s: float = 0.5,
    ) -> None:
        """ValueError: a user name or password that cannot be one."""
        self.server = server
        self.spec = spec
        self.state: AllocationState = "asking"
        self.relayed: tuple[Endpoint, ...] = ()
        self.mapped: Endpoint | None = None
        self.lifetime_s = 0.0
        self.reservation: bytes | None = None
        self.refusal: TurnRefusal | None = None
        self.family_refusal: tuple[int, int, str] | None = None
        self.challenged_at: float | None = None
        self.answered = False
        self.due = True
        self.peers = Peers(stream=stream, dont_fragment=spec.dont_fragment)
        self._authentication = None if credentials is None else LongTermAuthentication(*credentials)
        self._stream = stream
        self._rto_s = rto_s
        self._running: dict[stun.Transaction, Callable[[stun.Transaction, float], None]] = {}
        self._outbox: list[bytes] = []
        self._events: list[AllocationEvent] = []
        self._families: set[Family] = set()
        self._sent_at = self._renew_at = self._ends_at = 0.0
        self._first = self._start(requests.allocate(spec, padded=not stream), self._allocated)

    # --- driving

    @property
    def doubt(self) -> str:
        """Why the last answer to the first request was not believed; "" if none came."""
        return self._first.problem

    @property
    def done(self) -> bool:
        """Is `state` final?"""
        return self.state == "over"

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Endpoint]]:
        """(datagram, the server) that are due."""
        self.due = self.peers.wanting = False
        if self.state == "standing":
            self._ask(now)
        out = [(data, self.server) for data in self._outbox]
        self._outbox.clear()
        for transaction in self._running:
            out += transaction.datagrams_to_send(now)
        if out:
            self._sent_at = now
        return out

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; None when it is over."""
        times = [at for each in self._running if (at := each.next_timeout()) is not None]
        if self.state == "standing":
            times += (self._renew_at, self._ends_at)
            peers = self.peers.next_timeout()
            if peers is not None and len(self._running) < _MOST_UNDER_WAY:
                times.append(peers)
            if not self._stream:
                times.append(self._sent_at + _KEEPALIVE_S)
        return min(times, default=None)

    def handle_timeout(self, now: float) -> None:
        """Repeat, renew, give up: whatever is due."""
        for each in list(self._running):
            each.handle_timeout(now)
        self._settle(now)
        if self.state != "standing":
            return
        if now >= self._ends_at:
            self._finish("lost", self.refusal)
            return
        if now >= self._renew_at:
            self._renew_at = self._ends_at  # unless the answer says otherwise
            self._start(requests.refresh(self.spec.lifetime_s), self._renewed)
        if not self._stream and now >= self._sent_at + _KEEPALIVE_S:
            self._outbox.append(stun.binding_indication())
        self.peers.handle_timeout(now)

    def receive_datagram(self, data: bytes, source: Endpoint, now: float) -> bool:
        """Take what is no peer's data; False: it does not belong to this allocation."""
        if source != self.server or self.state == "over":
            return False
        for each in self._running:
            if each.receive_datagram(data, source, now):
                self.answered = True
                if self.challenged_at is None and each.challenged:
                    self.challenged_at = now
                self._settle(now)
                return True
        return self._take_indication(data)

    def take_events(self) -> list[AllocationEvent]:
        """What happened since."""
        events, self._events = self._events, []
        return events

    def abandon(self, problem: str) -> None:
        """End it: the way to the server is broken."""
        self._finish("abandon", TurnRefusal("allocate", "abandoned", None, problem))

    def release(self, now: float) -> None:
        """Give it back (RFC 8656 8.1), also where the server may have granted it by now."""
        if self.state == "standing" or (self.state == "asking" and self.challenged_at is not None):
            self._running.clear()
            self._go("release")
            self._start(requests.refresh(0), lambda _transaction, _now: self._finish("released", None), rc=3)
        elif self.state == "asking":
            self._finish("abandon", None)

    # --- peers

    def wrap(self, data: bytes, peer: Endpoint, now: float) -> bytes | None:
        """The message that takes a datagram to a peer. None: it waits for a permission and leaves with a
        later `datagrams_to_send`; or it never will: it is larger than LARGEST, there is no relayed address of
        the peer's family, or `peers.refusal` says why."""
        if self.state != "standing" or len(data) > LARGEST or peer.family not in self._families:
            return None
        message = self.peers.wrap(data, peer, now)
        self._sent_at = now
        self.due = self.due or self.peers.wanting
        return message

    def unwrap(self, data: bytes) -> tuple[Endpoint, bytes] | None:
        """(peer, what it sent); None: this is something else."""
        try:
            if is_channel_data(data):
                channel, content = decode_channel_data(data)
                peer = self.peers.peer_of(channel)
                return None if peer is None else (peer, content)
            if data[:2] != b"\x00\x17":
                return None
            message = stun.decode(data)
            found, peers = message.get(c.DATA), message.peers
        except ProtocolError:
            return None
        return (peers[0], found) if found is not None and len(peers) == 1 else None

    def permit(self, host: str, now: float) -> Permission | None:
        """Let this address in, from now on; look at the permission's `state`. None: there are too many."""
        self.due = True
        return self.peers.permit(host, now, kept=True)

    def connect(self, peer: Endpoint) -> None:
        """Have the relay connect to a peer (RFC 6062 4.3): an event tells how it went."""
        self._start(requests.connect(peer), partial(self._connected, peer))

    def connection_bind(self, connection_id: int) -> stun.Transaction:
        """What takes over a peer's connection, over a new one to the server that begins with it and carries
        the peer's bytes afterwards (RFC 6062 4.3, 4.4)."""
        return self._transaction(requests.connection_bind(connection_id))

    # --- answers

    def _allocated(self, transaction: stun.Transaction, now: float) -> None:
        refused, response = refusal("allocate", transaction), transaction.response
        if refused is None and response is not None:
            try:
                self._read_grant(response, now)
                self._go("granted")
                return
            except ProtocolError as error:
                refused = TurnRefusal("allocate", "failed", None, str(error))
        self._finish("refused", refused)

    def _read_grant(self, response: stun.Message, now: float) -> None:
        """RFC 8656 7.3."""
        lifetime_s, relayed, wanted = response.lifetime_s, response.relayed, self.spec.family
        if not relayed and not self.spec.tcp:
            raise ProtocolError("the server's answer has no relayed address")
        if len({each.family for each in relayed}) != len(relayed):
            raise ProtocolError("the server's answer has two relayed addresses of one family")
        if wanted is not None and wanted not in {each.family for each in relayed}:
            raise ProtocolError(f"the server gave no IPv{wanted} address, for which it was asked")
        if any(each.port == 0 for each in relayed):
            raise ProtocolError("the server's answer has a relayed address with port 0")
        if not lifetime_s:
            raise ProtocolError("the server's answer has no lifetime")
        self.mapped, self.reservation = response.mapped, response.reservation_token
        self.family_refusal = response.address_error or response.old_address_error
        self.relayed, self._families = relayed, {each.family for each in relayed}
        self._lasts(lifetime_s, now)

    def _lasts(self, lifetime_s: int, now: float) -> None:
        self.lifetime_s = lasts_s = float(min(lifetime_s, MAX_LIFETIME_S))
        self._ends_at = now + max(lasts_s, 2 * _SHORTEST_S)
        self._renew_at = now + max(lasts_s - RENEW_BEFORE_S, lasts_s / 2, _SHORTEST_S)

    def _renewed(self, transaction: stun.Transaction, now: float) -> None:
        """RFC 8656 8.3. What is no final refusal is tried again as long as the allocation lasts."""
        refused, response = refusal("refresh", transaction), transaction.response
        try:
            lifetime_s = None if response is None or refused is not None else response.lifetime_s
        except ProtocolError as error:
            refused, lifetime_s = TurnRefusal("refresh", "failed", None, str(error)), None
        if lifetime_s:
            self.refusal = None
            self._lasts(lifetime_s, now)
        elif refused is not None and refused.code == ALLOCATION_MISMATCH:
            self._finish("lost", refused)
        else:
            self.refusal = refused or TurnRefusal(
                "refresh", "failed", None, "it was renewed for no time at all"
            )
            self._renew_at = now + _SHORTEST_S

    def _answered(self, grant: Grant, transaction: stun.Transaction, now: float) -> None:
        refused = refusal(grant.kind, transaction)
        if refused is not None and refused.code == ALLOCATION_MISMATCH:
            self._finish("lost", refused)
            return
        grant.answered(refused, now)
        if isinstance(grant, Permission):
            waiting, grant.waiting = grant.waiting, []
            for data, peer in waiting if refused is None else ():
                message = self.peers.wrap(data, peer, now)
                self._outbox += [] if message is None else [message]

    def _connected(self, peer: Endpoint, transaction: stun.Transaction, now: float) -> None:
        """RFC 6062 4.3."""
        refused, response = refusal("connect", transaction), transaction.response
        if refused is None and response is not None:
            try:
                if (number := response.connection_id) is not None:
                    self._events.append(PeerConnected(peer, number, offered=False))
                    return
                refused = TurnRefusal("connect", "failed", None, "the server's answer has no connection id")
            except ProtocolError as error:
                refused = TurnRefusal("connect", "failed", None, str(error))
        if refused is not None:
            self._events.append(NotConnected(peer, refused))

    def _take_indication(self, data: bytes) -> bool:
        try:
            message = stun.decode(data)
            if message.kind != "indication" or len(peers := message.peers) != 1:
                return False
            if message.method == c.DATA_METHOD and (error := message.icmp) is not None:
                self._events.append(PeerError(peers[0], *error))
            elif message.method == c.CONNECTION_ATTEMPT and (number := message.connection_id) is not None:
                self._events.append(PeerConnected(peers[0], number, offered=True))
            else:
                return False
        except ProtocolError:
            return False
        return True

    # --- transactions

    def _ask(self, now: float) -> None:
        """Begin what the peers need, some at a time."""
        for grant in self.peers.wanted(now):
            if len(self._running) >= _MOST_UNDER_WAY:
                return
            grant.asked = True
            self._start(grant.request(), partial(self._answered, grant))

    def _transaction(self, request: bytes, rc: int = 7) -> stun.Transaction:
        return stun.Transaction(
            request,
            self.server,
            rto_s=self._rto_s,
            rc=rc,
            reliable=self._stream,
            check_source=True,
            authentication=self._authentication,
        )

    def _start(
        self, request: bytes, then: Callable[[stun.Transaction, float], None], *, rc: int = 7
    ) -> stun.Transaction:
        transaction = self._transaction(request, rc)
        self._running[transaction] = then
        self.due = True
        return transaction

    def _settle(self, now: float) -> None:
        for transaction in [each for each in self._running if each.done]:
            then = self._running.pop(transaction, None)
            if then is not None:
                then(transaction, now)
        self.due = True

    def _finish(self, event: _Event, why: TurnRefusal | None) -> None:
        self._go(event)
        if self.state == "over":
            self._running.clear()
            self._outbox.clear()
            self.refusal = why

    def _go(self, event: _Event) -> None:
        self.state = _NEXT.get((self.state, event), self.state)
