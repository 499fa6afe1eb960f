"""A router's table held against its answers: the table is believed."""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from nattools.engine.portmap.readback import as_listed, leads_to
from nattools.engine.portmap.recording import record_attempt
from nattools.model.portmapping import listed_lifetime
from nattools.probes.portmap import Granted, Listing, Mapper, MappingRequest, Refused, TableEntry
from nattools.probes.portmap.mapper import as_granted, is_named, suggesting
from nattools.probes.probe import Recorder

MOVED = "the router made another port than the one that it was asked for"
_LATER_S = (0.5, 1.5)
"""When a table is looked at again that does not show yet what was granted: some routers do what they are told
after they have answered."""


_BACK_S = 3.0
"""After what time a router is asked again whose UPnP has ended, and may be started again."""


class AskMapping(Protocol):
    """Ask the router for a mapping, which the journal has beforehand; `told`: it goes on record too."""

    async def __call__(self, wanted: MappingRequest, *, told: bool = True) -> Granted | Refused: ...


class RouterTable(msgspec.Struct, frozen=True):
    """The table of one router, which only UPnP shows."""

    mapper: Mapper
    recorder: Recorder

    async def settle(self, wanted: MappingRequest, granted: Granted, ask: AskMapping) -> Granted:
        """What the table says of a mapping that the router has granted. There are routers that end those
        with a lifetime at once: then it is made without. If the table does not show that either, it tells
        nothing, and the lifetime is asked for again; or it is at another port, by another name."""
        listed = as_listed(granted, await self.read_back(wanted, granted, later_s=_LATER_S))
        if listed.listed is False and granted.lifetime_s:
            listed = await self._settle_lifetime(wanted, listed, ask)
        return listed if listed.listed is not False else await self._find_moved(wanted, listed, ask)

    async def _settle_lifetime(self, wanted: MappingRequest, granted: Granted, ask: AskMapping) -> Granted:
        for_ever = msgspec.structs.replace(suggesting(wanted, granted), lifetime_s=0)
        permanent = await ask(for_ever)
        if isinstance(permanent, Refused):
            return granted
        found = as_listed(permanent, await self.read_back(for_ever, permanent))
        if found.listed is not False:
            return found
        again = await ask(wanted)
        if isinstance(again, Refused):
            return found
        return as_listed(again, await self.read_back(wanted, again))

    async def _find_moved(self, wanted: MappingRequest, granted: Granted, ask: AskMapping) -> Granted:
        """A router that makes another port than it is asked for, and calls it by a name of its own: which of
        the rows to this inside is ours shows when it is asked for one more. The row that was not there before
        is ours, and so is one that is as far from what it was asked for."""
        before = await self._ports_to(wanted)
        if not before:
            return granted
        from nattools.probes.portmap.igdattempt import ports_to_try

        asked = (granted.external_port, *wanted.own_ports, *before)
        other = next(port for port in ports_to_try(wanted) if port not in asked)
        second = await ask(msgspec.structs.replace(wanted, external_port=other, exact=False), told=False)
        if isinstance(second, Refused):
            return granted
        now = await self._ports_to(wanted)
        new = [row for port, row in now.items() if port not in before]
        if len(new) != 1:
            await self.mapper.delete(wanted, second)
            return granted
        distances = (new[0].external_port - each for each in (other, second.external_port))
        places = [granted.external_port + distance for distance in distances if distance]
        first = next((now[port] for port in places if port in now), None)
        began = asyncio.get_running_loop().time()
        if first is None:  # the new one has taken its place, or is the only one
            record_attempt(self.recorder, "make", "upnp-igd", wanted, second, began)
            return as_listed(second, self._moved(wanted, new[0], began))
        await self.mapper.delete(wanted, as_granted(new[0]))
        return as_listed(granted, self._moved(wanted, first, began))

    def _moved(self, wanted: MappingRequest, row: TableEntry, began: float) -> TableEntry:
        """Where it is."""
        found = msgspec.structs.replace(row, quirks=(MOVED,))
        record_attempt(self.recorder, "read back", "upnp-igd", wanted, found, began)
        return found

    async def _ports_to(self, wanted: MappingRequest) -> dict[int, TableEntry]:
        """The rows of whatever name to this inside, by their external ports."""
        table = await self.mapper.listing() or Listing()
        rows = (row for row in table.entries if row.transport == wanted.transport)
        return {row.external_port: row for row in rows if leads_to(row, wanted.internal)}

    async def read_back(
        self, wanted: MappingRequest, granted: Granted, *, later_s: tuple[float, ...] = ()
    ) -> TableEntry | Refused | None:
        """What the router has now for this inside, at the port that was granted or else at another one; None:
        it has no table to read. `later_s`: after what pauses it is looked at again if there is nothing."""
        if self.mapper.offer.protocol != "upnp-igd":
            return None
        began = asyncio.get_running_loop().time()
        result = await self.look(wanted, granted)
        for pause_s in later_s:
            if not _may_come(granted, result):
                break
            await asyncio.sleep(pause_s)
            result = await self.look(wanted, granted)
        if later_s and isinstance(result, Refused) and result.closed:
            await asyncio.sleep(_BACK_S)
            result = await self.look(wanted, granted)
        if isinstance(result, TableEntry) and not result.tells_lifetime:
            result = msgspec.structs.replace(result, lifetime_s=granted.lifetime_s)
        if result is not None:
            record_attempt(self.recorder, "read back", "upnp-igd", wanted, result, began)
        return result

    async def look(self, wanted: MappingRequest, granted: Granted) -> TableEntry | Refused | None:
        """The same by UPnP, once, and not on record."""
        result = await self.mapper.read_back(wanted, granted)
        if isinstance(result, TableEntry) and not leads_to(result, wanted.internal):
            from nattools.probes.portmap.igdtable import no_such_entry

            result = no_such_entry(f"port {granted.external_port} leads to {result.internal}")
        elif isinstance(result, TableEntry) and result.quirks and not _has_our_name(result, wanted):
            result = await self._named_elsewhere(wanted, result)
        if isinstance(result, Refused) and result.denied:
            rows, _ = await self.rows_of(wanted)
            here = next((row for row in rows if row.external_port == granted.external_port), None)
            if here is not None:
                result = here
            else:
                unknown = [row for row in rows if row.external_port not in wanted.own_ports]
                elsewhere = unknown or ([] if wanted.exact else rows)
                result = msgspec.structs.replace(elsewhere[-1], quirks=(MOVED,)) if elsewhere else result
        return result

    async def _named_elsewhere(self, wanted: MappingRequest, nameless: TableEntry) -> TableEntry:
        """Of a row that only the list shows, and by another name: the one that the list has by ours, if there
        is one. Some routers list each mapping for both transports."""
        rows, _ = await self.rows_of(wanted)
        named = [row for row in rows if _has_our_name(row, wanted)]
        return msgspec.structs.replace(named[-1], quirks=(MOVED,)) if named else nameless

    async def rows_of(self, wanted: MappingRequest) -> tuple[list[TableEntry], Listing]:
        """Rows of ours for this inside, at whatever external port; and the whole list."""
        table = await self.mapper.listing() or Listing()

        def is_ours(row: TableEntry) -> bool:
            return _has_our_name(row, wanted) or row.external_port in wanted.own_ports

        found = [
            row
            for row in table.entries
            if row.transport == wanted.transport and leads_to(row, wanted.internal) and is_ours(row)
        ]
        return found, table

    async def remove(
        self, wanted: MappingRequest, made: Granted | None = None, *, certain: bool = True
    ) -> Refused | None:
        """Remove a mapping of this machine that no entry is about. Not `certain`: it may be that there is
        none."""
        began = asyncio.get_running_loop().time()
        result = await self.mapper.delete(wanted, made)
        known = made if certain else None
        record_attempt(
            self.recorder, "delete", self.mapper.offer.protocol, wanted, result, began, known=known
        )
        return result


def _may_come(granted: Granted, seen: TableEntry | Refused | None) -> bool:
    """May what was granted be there a moment later: does the table not have it, or still what it had?"""
    if isinstance(seen, TableEntry):
        listed_s = listed_lifetime(granted.lifetime_s, seen.lifetime_s)
        return granted.renewed and seen.tells_lifetime and listed_s != granted.lifetime_s
    return seen is not None and seen.denied


def _has_our_name(row: TableEntry, wanted: MappingRequest) -> bool:
    """A row without any name has not."""
    return bool(row.description) and is_named(row, wanted)
