"""The mailbox's rooms. Pure: who may enter, what is passed on to whom, and when a room is closed.

It keeps no message: what cannot be delivered now is dropped, and the peers, who know when the other comes,
send it again. So a room costs the same however much is said in it, and a restart loses nothing but the rooms.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

from nattools.chance import chance
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols.mailbox import messages as m
from nattools.server.limits import RateLimit, Slot, Slots, TokenBucket

_REMEMBERED: Final = 4096
_TRIES: Final = 4
_FREE: Final = 4
"""A code's number is one of at least so many times as many as are taken: guesses at numbers find few."""
_FAILED_WEIGHT: Final = 16
"""For so many rooms counts one in which the codes differed lately: somebody may be guessing."""
_CROWD: Final = 4
"""A full mailbox takes a room from a network that opened so many, and none from one that opened fewer."""
_STRANGER_COST: Final = 3.0
"""Entries that it takes to join one who waits: who guesses at codes has a third of the tries."""


@dataclass(frozen=True, slots=True)
class MailboxLimits:
    """Rooms in all, and those that a source has opened; a source's entries into rooms; a connection's
    messages; lifetimes in seconds: of a room in which one waits, of any room, of one that nobody is connected
    to, and of the memory of a code used. After `speaks_within_s` one who said nothing to the other may lose
    its seat to a third."""

    rooms: int = 4096
    rooms_per_source: int = 128
    entry_rate: float = 0.5
    entry_burst: float = 30.0
    total_entry_rate: float = 200.0
    total_entry_burst: float = 4000.0
    message_rate: float = 50.0
    message_burst: float = 300.0
    waiting_s: float = 3600.0
    lifetime_s: float = 12 * 3600.0
    vacant_s: float = 120.0
    used_up_s: float = 600.0
    speaks_within_s: float = 3.0


class OutgoingText(NamedTuple):
    """Send this text on that connection; `last`: then close it."""

    connection: int
    text: bytes
    last: bool = False


class _Member:
    __slots__ = ("connection", "relayed", "secret", "with_other_at")

    def __init__(self, secret: bytes, connection: int) -> None:
        self.secret = secret
        self.connection: int | None = connection
        self.relayed = False
        self.with_other_at = inf


class _Room:
    __slots__ = ("members", "nameplate", "opened_at", "slot", "vacant_at")

    def __init__(self, nameplate: int, now: float) -> None:
        self.nameplate = nameplate
        self.members: list[_Member] = []
        self.opened_at = now
        self.vacant_at: float | None = None
        self.slot: Slot | None = None

    def other(self, member: _Member) -> _Member | None:
        return next((each for each in self.members if each is not member), None)

    def expires_at(self, limits: MailboxLimits) -> float:
        life = limits.lifetime_s if len(self.members) == 2 else limits.waiting_s
        end = self.opened_at + life
        return end if self.vacant_at is None else min(end, self.vacant_at + limits.vacant_s)


class _Use(NamedTuple):
    """Until when a code stays used up, and whether the two who met under it had the same."""

    until: float
    failed: bool


class _Connection:
    __slots__ = ("bucket", "member", "room", "source")

    def __init__(self, source: Endpoint, bucket: TokenBucket) -> None:
        self.source = source
        self.bucket = bucket
        self.room: _Room | None = None
        self.member: _Member | None = None


class Mailbox:
    """All rooms of a server.

    Driving contract: `connect` gives each new connection a number; `receive` takes each text on it and
    `disconnect` tells of its end, after which its number means nothing. Send what these return, in order.
    Call `sweep` now and then, at least every `sweep_s` seconds. `offer` gives each of two who meet a relay.
    """

    sweep_s: Final = 10.0

    def __init__(
        self,
        limits: MailboxLimits | None = None,
        *,
        draw: random.Random | None = None,
        offer: Callable[[], m.RelayOffer | None] = lambda: None,
    ) -> None:
        self._limits = limits or MailboxLimits()
        self._draw = draw or chance()
        self._offer = offer
        self._rooms: dict[int, _Room] = {}
        self._connections: dict[int, _Connection] = {}
        self._numbers = 0
        self._used_up: dict[int, _Use] = {}
        self._slots = Slots(per_source=self._limits.rooms_per_source, total=self._limits.rooms)
        self._evicted: list[_Room] = []
        self._entries = RateLimit(
            rate=self._limits.entry_rate,
            burst=self._limits.entry_burst,
            total_rate=self._limits.total_entry_rate,
            total_burst=self._limits.total_entry_burst,
        )

    @property
    def rooms(self) -> int:
        """How many are open."""
        return len(self._rooms)

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    @property
    def empty(self) -> bool:
        """Is there nothing that could outlive its time?"""
        return not (self._rooms or self._connections or self._used_up)

    def is_seated(self, number: int) -> bool:
        """Has this connection joined a room?"""
        connection = self._connections.get(number)
        return connection is not None and connection.room is not None

    def connect(self, source: Endpoint) -> int:
        """A new connection's number."""
        self._numbers += 1
        bucket = TokenBucket(self._limits.message_rate, self._limits.message_burst)
        self._connections[self._numbers] = _Connection(source, bucket)
        return self._numbers

    def receive(self, number: int, text: bytes, now: float) -> list[OutgoingText]:
        """What to send because of this text; an empty one only counts."""
        connection = self._connections.get(number)
        if connection is None:
            return []
        if not connection.bucket.take(now):
            return self._dismiss(number, "rate", now)
        if not text:
            return []
        try:
            message = m.decode_to_mailbox(text)
        except ProtocolError:
            return self._dismiss(number, "protocol", now)
        if isinstance(message, m.Join):
            return self._join(number, connection, message, now)
        if connection.room is None or connection.member is None:
            return self._dismiss(number, "protocol", now)
        if isinstance(message, m.PeerMessage):
            return self._relay(connection.room, connection.member, message)
        return self._leave(connection.room, connection.member, message.reason, now)

    def disconnect(self, number: int, now: float) -> list[OutgoingText]:
        """This connection is gone."""
        connection = self._connections.pop(number, None)
        if connection is None or connection.room is None or connection.member is None:
            return []
        room, member = connection.room, connection.member
        member.connection = None
        if all(each.connection is None for each in room.members):
            room.vacant_at = now
        other = room.other(member)
        return [] if other is None else _to(other, m.Peer(False))

    def sweep(self, now: float) -> list[OutgoingText]:
        """Close what has outlived its time."""
        over = [room for room in self._rooms.values() if room.expires_at(self._limits) <= now]
        for nameplate in [key for key, use in self._used_up.items() if use.until <= now]:
            del self._used_up[nameplate]
        return [each for room in over for each in self._close(room, "expired", now)]

    def _join(self, number: int, connection: _Connection, message: m.Join, now: float) -> list[OutgoingText]:
        if connection.room is not None:
            return self._dismiss(number, "protocol", now)
        if message.version != m.VERSION:
            return self._dismiss(number, "version", now)
        if not self._entries.take(connection.source, now, self._cost(message)):
            return self._dismiss(number, "rate", now)
        room = self._find(message.nameplate, connection.source, now)
        if not isinstance(room, _Room):
            return self._dismiss(number, room, now)
        replaced = self._seat(room, message.member, number, now)
        if replaced is None:
            return [*self._close_evicted(now), *self._dismiss(number, "taken", now)]
        return [*self._close_evicted(now), *replaced, *self._welcome(room, connection, number, message, now)]

    def _welcome(
        self, room: _Room, connection: _Connection, number: int, message: m.Join, now: float
    ) -> list[OutgoingText]:
        connection.room = room
        connection.member = next(each for each in room.members if each.secret == message.member)
        room.vacant_at = None
        other = room.other(connection.member)
        present = other is not None and other.connection is not None
        if other is not None and present:
            connection.member.with_other_at = other.with_other_at = now
        relay = self._offer() if present else None
        greeting = OutgoingText(number, m.encode(m.Joined(room.nameplate, present, relay)))
        return [greeting, *(_to(other, m.Peer(True, self._offer())) if other is not None and present else ())]

    def _cost(self, message: m.Join) -> float:
        """Entries that this one counts for."""
        room = self._rooms.get(message.nameplate or 0)
        known = room is None or any(each.secret == message.member for each in room.members)
        return 1.0 if known else _STRANGER_COST

    def _find(self, nameplate: int | None, source: Endpoint, now: float) -> _Room | m.Closing:
        """The room of this nameplate, opened if there is none."""
        if nameplate is not None:
            if nameplate in self._rooms:
                return self._rooms[nameplate]
            use = self._used_up.get(nameplate)
            if use is not None and use.until > now:
                return "used-up"
        room = _Room(self._free_nameplate() if nameplate is None else nameplate, now)
        room.slot = self._slots.enter(source, lambda: self._evicted.append(room), crowd=_CROWD)
        if room.slot is None:
            return "full"
        self._rooms[room.nameplate] = room
        return room

    def _close_evicted(self, now: float) -> list[OutgoingText]:
        """Rooms that lost their slot to the one that was opened just now."""
        evicted, self._evicted = self._evicted, []
        return [out for room in evicted for out in self._close(room, "expired", now)]

    def _seat(self, room: _Room, secret: bytes, number: int, now: float) -> list[OutgoingText] | None:
        """Give a member its slot, its old connection losing it; None: there is none free. The slot of one
        who waited alone and is gone is free: it never met anybody. So is that of one who met another and
        has nothing to say to it: peers speak at once."""
        for member in room.members:
            if member.secret == secret:
                replaced = self._replace(member)
                member.connection = number
                return replaced
        if len(room.members) == 1 and room.members[0].connection is None:
            room.members.clear()
        gone = self._unseat_silent(room, now) if len(room.members) == 2 else []
        if len(room.members) == 2:
            return None
        room.members.append(_Member(secret, number))
        return gone

    def _unseat_silent(self, room: _Room, now: float) -> list[OutgoingText]:
        since = now - self._limits.speaks_within_s
        for member in room.members:
            if not member.relayed and member.with_other_at <= since:
                room.members.remove(member)
                number = member.connection
                return [] if number is None else self._end(number, "taken")
        return []

    def _relay(self, room: _Room, member: _Member, message: m.PeerMessage) -> list[OutgoingText]:
        other = room.other(member)
        if other is None:
            return []
        member.relayed = True
        if room.slot is not None:
            room.slot.use()
        return _to(other, message)

    def _replace(self, member: _Member) -> list[OutgoingText]:
        number = member.connection
        if number is None:
            return []
        return self._end(number, "replaced")

    def _end(self, number: int, reason: m.Closing) -> list[OutgoingText]:
        self._connections.pop(number, None)
        return [OutgoingText(number, m.encode(m.Closed(reason)), last=True)]

    def _leave(self, room: _Room, member: _Member, reason: m.Parting, now: float) -> list[OutgoingText]:
        """One who has said nothing to the other leaves an open room: it came by a wrong number, or to end
        what others have begun."""
        number = member.connection
        if number is not None:
            self._connections.pop(number, None)
        member.connection = None
        goodbye = [] if number is None else [OutgoingText(number, b"", last=True)]
        other = room.other(member)
        if other is not None and not member.relayed:
            room.members.remove(member)
            room.vacant_at = now if other.connection is None else None
            return goodbye + _to(other, m.Peer(False))
        return goodbye + self._close(room, "left" if reason == "done" else reason, now)

    def _dismiss(self, number: int, reason: m.Closing, now: float) -> list[OutgoingText]:
        """End one connection, not its room."""
        return [OutgoingText(number, m.encode(m.Closed(reason)), last=True), *self.disconnect(number, now)]

    def _close(self, room: _Room, reason: m.Closing, now: float) -> list[OutgoingText]:
        """End a room. A code that two have met under had its try. A number that is no code's may be used
        again when its time is over: to come back to it takes no guess."""
        self._rooms.pop(room.nameplate, None)
        if room.slot is not None:
            room.slot.leave()
        if len(room.members) == 2 and (room.nameplate <= m.MAX_NAMEPLATE or reason != "expired"):
            self._use_up(
                room.nameplate, _Use(now + self._limits.used_up_s, reason in ("wrong-code", "failed"))
            )
        numbers = [each.connection for each in room.members if each.connection is not None]
        return [out for number in numbers for out in self._end(number, reason)]

    def _use_up(self, nameplate: int, use: _Use) -> None:
        self._used_up.pop(nameplate, None)
        if len(self._used_up) >= _REMEMBERED:
            del self._used_up[next(iter(self._used_up))]
        self._used_up[nameplate] = use

    def _free_nameplate(self) -> int:
        """A free one, with few digits as long as few are taken and nobody guesses at codes."""
        taken = len(self._rooms) + sum(_FAILED_WEIGHT if use.failed else 1 for use in self._used_up.values())
        for low, high in _ranges():
            if high - low <= _FREE * taken and high <= m.MAX_NAMEPLATE:
                continue
            for _ in range(_TRIES):
                nameplate = self._draw.randrange(low, high)
                if nameplate not in self._rooms and nameplate not in self._used_up:
                    return nameplate
        raise AssertionError("fewer rooms than nameplates")


def _ranges() -> Iterator[tuple[int, int]]:
    low = 1
    while low <= m.MAX_NAMEPLATE:
        yield low, low * 10
        low *= 10


def _to(member: _Member, message: m.FromMailbox) -> list[OutgoingText]:
    return [] if member.connection is None else [OutgoingText(member.connection, m.encode(message))]
