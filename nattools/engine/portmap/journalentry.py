"""One mapping in the journal, and what of two of them is the same. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nattools.model.portmapping import MappingProtocol
from nattools.probes.portmap import Granted, MappingRequest, TableEntry

_ENDS_BY_ITSELF = ("pcp", "nat-pmp")


class Timestamp(msgspec.Struct, frozen=True, omit_defaults=True):
    """A moment. `unix_s` is the wall clock's, which can be set; `up_s` counts from the machine's
    start `boot` and only goes on ("": the system has no such count)."""

    unix_s: float
    up_s: float = 0.0
    boot: str = ""

    def since(self, earlier: Timestamp) -> float:
        """The seconds that have passed: by the machine's own count as long as it has not been restarted."""
        if self.boot and self.boot == earlier.boot:
            return self.up_s - earlier.up_s
        return self.unix_s - earlier.unix_s


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping that was asked for. `gateway` and `interface` say of whom, `made` when; `router` is that
    gateway's hardware address, for many routers have the same address ("": the system does not tell).
    `stays`: it is meant to outlive its maker. `granted` None: the answer was not seen. `asked`: external
    ports that were asked for by UPnP, each when nothing of anybody else's was there; `asked_since`: one was
    after the last answer."""

    id: str
    owner: str
    stays: bool
    made: Timestamp
    interface: str
    gateway: str
    protocol: MappingProtocol
    wanted: MappingRequest
    granted: Granted | None = None
    granted_at: Timestamp | None = None
    router: str = ""
    asked: tuple[int, ...] = ()
    asked_since: bool = False

    @property
    def own_ports(self) -> tuple[int, ...]:
        """External ports from which what leads to the inside is this mapping."""
        return self.asked if self.granted is None else (*self.asked, self.granted.external_port)

    @property
    def may_have_moved(self) -> bool:
        """May the router have made a further one: was it asked again after its last answer, or has it given
        another port than it was asked for?"""
        elsewhere = self.granted is not None and self.asked[:1] not in ((), (self.granted.external_port,))
        return self.asked_since or elsewhere

    def seems_over(self, now: Timestamp) -> bool:
        """Has its lifetime ended, as far as is known? Of an unanswered UPnP question nobody knows: the
        router may have made a permanent mapping."""
        if self.granted is None:
            lifetime_s = self.wanted.lifetime_s if self.protocol in _ENDS_BY_ITSELF else None
        else:
            lifetime_s = self.granted.lifetime_s
        return lifetime_s is not None and now.since(self.last_asked) >= lifetime_s

    @property
    def last_asked(self) -> Timestamp:
        """When it was last answered, or else first asked for."""
        return self.granted_at or self.made

    def outlived(self, now: Timestamp, epoch_s: int | None, age_s: float) -> bool:
        """Has the router, which has given this epoch in the last `age_s`, kept its table since (RFC 6886
        3.6)?"""
        if epoch_s is None or self.granted is None or self.granted.epoch_s is None:
            return True
        passed_s = max(0.0, now.since(self.last_asked) - age_s)
        return epoch_s + 2 >= self.granted.epoch_s + passed_s * 7 / 8


def is_same(entry: JournalEntry, granted: Granted | None, other: JournalEntry) -> bool:
    """Is another entry about the same mapping of the same router, by whatever protocol? NAT-PMP has one for
    each inside (RFC 6886 3.3), whatever port that had when it was asked for before."""
    if entry.id == other.id or granted is None or other.granted is None:
        return False
    if entry.protocol == other.protocol == "nat-pmp":
        return shares_inside(entry, other)
    one, two = granted, other.granted
    same = (one.transport, one.internal, one.external_port) == (
        two.transport,
        two.internal,
        two.external_port,
    )
    return same and same_router(entry, other)


def superseding(entry: JournalEntry, entries: Iterable[JournalEntry]) -> JournalEntry | None:
    """The last one of those by which NAT-PMP was asked for the same inside again: the router has only what
    came of that (RFC 6886 3.3)."""

    def asked_again(other: JournalEntry) -> bool:
        same = entry.protocol == other.protocol == "nat-pmp" and shares_inside(entry, other)
        return same and other.last_asked.since(entry.last_asked) > 0

    return next(filter(asked_again, reversed([*entries])), None)


def shares_inside(entry: JournalEntry, other: JournalEntry) -> bool:
    """Are two entries of the same inside on the same router?"""
    one, two = entry.wanted, other.wanted
    same = (one.transport, one.internal) == (two.transport, two.internal)
    return same and same_router(entry, other) and entry.id != other.id


def same_router(entry: JournalEntry, other: JournalEntry) -> bool:
    """Are two entries of the same router, as far as is known?"""
    known = {entry.router, other.router} - {""}
    return entry.gateway == other.gateway and len(known) < 2


def is_of(entry: JournalEntry, row: TableEntry) -> bool:
    """Is a row of the router's table the mapping that an entry is about?"""
    return entry.wanted.transport == row.transport and entry.wanted.internal == row.internal
