"""The table of port mappings of an internet gateway, which routers show in two ways: one row by its external
port (GetSpecificPortMappingEntry), and row after row (GetGenericPortMappingEntry). Either may be wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from nattools.model.endpoint import Endpoint, Transport
from nattools.model.portmapping import Refusal
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.igdcall import call
from nattools.probes.portmap.mapper import Listing, Refused, TableEntry
from nattools.protocols import igd
from nattools.protocols.igd import ErrorCode
from nattools.wording.refusals import upnp_refusal

_MAX_ENTRIES = 512
_LIST_S = 10.0
_MAX_MISSING = 4
"""When so many rows on end are missing or cannot be read, the list has ended: some routers number their rows
with gaps."""
# These end a list at once: 713 by the standard, the other is what some routers say instead
_ENDS = (ErrorCode.ARRAY_INDEX_INVALID, ErrorCode.INVALID_ARGS)
UNLISTED = "the router does not show it by its port, only in the list of all"
SAME_FOR_ALL = "the router shows the same mapping whatever port it is asked for"
STILL_THERE = "the router says that the mapping is gone, but its table still has it"
_LOWEST, _BEYOND = 1024, 65536
_AWAY = 21011
"""From a port to one that has nothing to do with it."""


def no_such_entry(detail: str = "") -> Refused:
    """There is no such mapping."""
    refusal = upnp_refusal(ErrorCode.NO_SUCH_ENTRY)
    return Refused(protocol="upnp-igd", failure="refused", refusal=refusal, detail=detail)


def nobodys(row: TableEntry) -> Refused:
    """It leads to the same inside from a port that was not asked for, by another name: some routers make
    another port than they are asked for, and some give mappings names of their own."""
    detail = f"port {row.external_port} leads there ({row.description[:40]}), which may be another program's"
    return Refused(protocol="upnp-igd", failure="not asked", detail=detail)


def may_be_elsewhere(table: Listing) -> Refused:
    """It is not at the port that was asked for, and the list does not show everything."""
    detail = f"it may have another port, and the router's list is incomplete: {table.incomplete}"
    return Refused(protocol="upnp-igd", failure="malformed", refusal=table.refusal, detail=detail)


def still_there(row: TableEntry) -> Refused:
    """The answer to its deletion was no refusal."""
    return Refused(protocol="upnp-igd", failure="malformed", detail=STILL_THERE, left_s=row.lifetime_s)


def replaced(row: TableEntry) -> Refused:
    """Another program's mapping is there now."""
    return Refused(
        protocol="upnp-igd",
        failure="not asked",
        detail=f"another program ({row.description[:40]}) has made its own in its place",
        replaced=True,
    )


def conflict(owner: TableEntry) -> Refused:
    """The port is another's."""
    return Refused(
        protocol="upnp-igd",
        failure="refused",
        refusal=upnp_refusal(ErrorCode.CONFLICT),
        detail=f"the port leads to {owner.internal} ({owner.description or 'no description'})",
    )


async def row_at(
    gateway: GatewayContext, service: igd.Service, transport: Transport, external_port: int
) -> TableEntry | Refused:
    """The row of an external port, whosever it is. Quick, and not to be relied on where it finds nothing:
    some routers never find any (`look_up` asks on)."""
    row = await call(gateway, service, igd.get_specific_entry(transport, external_port))
    if isinstance(row, Refused):
        return row
    if row.is_blank:  # what some routers say of a mapping that is not there
        return no_such_entry()
    return _entry(row)


async def row_or_listed(
    gateway: GatewayContext,
    service: igd.Service,
    transport: Transport,
    external_port: int,
    believed: Callable[[TableEntry], bool],
) -> TableEntry | Refused:
    """The row of an external port by itself; one that is not `believed` is held against the list, and against
    what is shown for another port: some routers show the same row whatever is asked for."""
    row = await row_at(gateway, service, transport, external_port)
    if isinstance(row, Refused) or believed(row):
        return row
    found, table = await _listed(gateway, service, transport, external_port)
    if found is not None:
        return found
    if any(_is_alike(row, each) for each in table.entries) and not table.incomplete:
        return no_such_entry(SAME_FOR_ALL)
    return await _unless_for_all(gateway, service, row)


async def row_of_inside(
    gateway: GatewayContext,
    service: igd.Service,
    transport: Transport,
    external_port: int,
    is_inside: Callable[[TableEntry], bool],
) -> TableEntry | Refused:
    """`look_up`, unless what it finds leads elsewhere and is shown for another port too. Then only the list
    can tell; one that has not even the row that is shown tells nothing."""
    row = await look_up(gateway, service, transport, external_port)
    if isinstance(row, Refused) or row.quirks or is_inside(row):
        return row
    again = await _unless_for_all(gateway, service, row)
    if isinstance(again, TableEntry):
        return again
    found, table = await _listed(gateway, service, transport, external_port)
    if found is not None:
        return found
    if table.incomplete or not any(_is_alike(row, each) for each in table.entries):
        return Refused(protocol="upnp-igd", failure="malformed", detail=SAME_FOR_ALL)
    return no_such_entry(SAME_FOR_ALL)


async def row_of_port_alone(
    gateway: GatewayContext, service: igd.Service, row: TableEntry
) -> TableEntry | Refused:
    """A row that says something else than the router's answer did: it, unless the same is shown for another
    port too; then what the list has at that port."""
    again = await _unless_for_all(gateway, service, row)
    if isinstance(again, TableEntry):
        return again
    found, _ = await _listed(gateway, service, row.transport, row.external_port)
    return again if found is None else found


async def _unless_for_all(
    gateway: GatewayContext, service: igd.Service, row: TableEntry
) -> TableEntry | Refused:
    """The row of a port, asked for again if there is one for another port too; no entry, if that is the same.
    Which one a router shows for all ports changes when that is removed."""
    elsewhere = _LOWEST + (row.external_port + _AWAY) % (_BEYOND - _LOWEST)
    other = await row_at(gateway, service, row.transport, elsewhere)
    if isinstance(other, Refused):
        return row
    now = row if _is_alike(row, other) else await row_at(gateway, service, row.transport, row.external_port)
    if isinstance(now, TableEntry) and _is_alike(now, other):
        return no_such_entry(SAME_FOR_ALL)
    return now


def _is_alike(one: TableEntry, other: TableEntry) -> bool:
    return (one.internal, one.description) == (other.internal, other.description)


async def _listed(
    gateway: GatewayContext, service: igd.Service, transport: Transport, external_port: int
) -> tuple[TableEntry | None, Listing]:
    """The row of an external port in the list, and the list as far as it was read for that."""

    def is_it(entry: TableEntry) -> bool:
        return (entry.transport, entry.external_port) == (transport, external_port)

    table = await list_rows(gateway, service, until=is_it)
    return next(filter(is_it, table.entries), None), table


async def look_up(
    gateway: GatewayContext, service: igd.Service, transport: Transport, external_port: int
) -> TableEntry | Refused:
    """The row of an external port, by itself or else in the list. A refusal that is `absent`: both say that
    there is none; any other: that cannot be known."""
    row = await row_at(gateway, service, transport, external_port)
    if isinstance(row, TableEntry):
        return row
    found, table = await _listed(gateway, service, transport, external_port)
    if found is not None:
        return msgspec.structs.replace(found, quirks=(UNLISTED,))
    if table.incomplete:
        detail = f"the router does not show it, and its list is incomplete: {table.incomplete}"
        refusal = row.refusal if row.denied else None
        return Refused(
            protocol="upnp-igd", failure="malformed", refusal=refusal, detail=detail, closed=row.closed
        )
    return row if row.absent else no_such_entry()


async def list_rows(
    gateway: GatewayContext,
    service: igd.Service,
    *,
    until: Callable[[TableEntry], bool] = lambda entry: False,
) -> Listing:
    """The whole table, or as much as there is up to the row that is looked for: at most 512 rows and 10 s of
    it."""
    reader = _TableReader()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LIST_S
    for index in range(_MAX_ENTRIES):
        if loop.time() >= deadline:
            return reader.listing(f"the router took {_LIST_S:g} s for {index} rows")
        ended = reader.take(index, await call(gateway, service, igd.get_generic_entry(index)))
        if ended is not None:
            return ended
        if any(map(until, reader.entries[-2:])):
            return reader.listing("only read up to a row that was looked for")
    return reader.listing(f"it goes on after {_MAX_ENTRIES} rows")


async def list_all(gateway: GatewayContext, services: Iterable[igd.Service]) -> Listing:
    """The table of a router whose services may have one each, or share one: that of the first service, and
    what the others have besides. Of these only what they show counts: it may be that they have none."""
    whole: Listing | None = None
    for service in services:
        if whole is None:
            whole = await list_rows(gateway, service)
        else:
            known = whole.entries
            more = await list_rows(gateway, service, until=partial(_is_among, known=known))
            new = () if any(_is_among(row, known) for row in more.entries) else more.entries
            whole = msgspec.structs.replace(whole, entries=(*known, *new))
    return whole or Listing()


def _is_among(row: TableEntry, known: tuple[TableEntry, ...]) -> bool:
    """Is it one of these, whatever is left of its lifetime?"""
    which = (row.transport, row.external_port, row.internal)
    return any(which == (each.transport, each.external_port, each.internal) for each in known)


class _TableReader:
    """Rows in the order of their numbers, and what each of them means for the list."""

    def __init__(self) -> None:
        self.entries: list[TableEntry] = []
        self._seen: set[tuple[str, Transport, int]] = set()
        self._missing = 0
        self._unread = ""

    def listing(self, incomplete: str = "", refusal: Refusal | None = None) -> Listing:
        """As far as it was read."""
        why = incomplete or self._unread
        return Listing(entries=tuple(self.entries), incomplete=why, refusal=refusal)

    def take(self, index: int, rows: tuple[igd.PortMappingEntry, ...] | Refused) -> Listing | None:
        """None: go on. A row without any is of another protocol than ours, which is passed over."""
        if isinstance(rows, Refused):
            return self._take_refusal(index, rows)
        if rows and rows[0].is_blank:
            return self._miss()
        self._missing = 0
        which = {(row.remote_host, row.transport, row.external_port) for row in rows}
        if not self._seen.isdisjoint(which):
            return self.listing(f"row {index} is one that was there before")
        self._seen |= which
        self.entries += map(_entry, rows)
        return None

    def _take_refusal(self, index: int, refused: Refused) -> Listing | None:
        if refused.code in _ENDS:
            return self.listing() if index else self._miss()  # some routers count from 1
        if refused.absent:
            return self._miss()
        if refused.failure != "malformed":
            return self.listing(_why(index, refused), refused.refusal)
        self._unread = self._unread or _why(index, refused)
        return self._miss()

    def _miss(self) -> Listing | None:
        self._missing += 1
        return None if self._missing < _MAX_MISSING else self.listing()


def _why(index: int, refused: Refused) -> str:
    """Why a row is missing."""
    if refused.refusal is not None:
        return f"the router refused row {index} ({refused.refusal.code} {refused.refusal.name})"
    how = {"timeout": "was not answered in time", "malformed": "cannot be read"}
    return f"row {index} {how.get(refused.failure, 'could not be asked for')}"


def _entry(row: igd.PortMappingEntry) -> TableEntry:
    return TableEntry(
        transport=row.transport,
        internal=Endpoint(row.internal_host, row.internal_port),
        external_port=row.external_port,
        lifetime_s=row.lease_s or None,
        tells_lifetime=row.lease_s is not None,
        description=row.description,
        enabled=row.enabled,
    )
