"""A router's table held against its answers: the table is believed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from nattools.engine.portmap.readback import as_listed, leads_to
from nattools.engine.portmap.recording import record_attempt
from nattools.probes.portmap import Granted, Listing, Mapper, MappingRequest, Refused, TableEntry
from nattools.probes.portmap.mapper import is_named, suggesting
from nattools.probes.probe import Recorder

Ask = Callable[[MappingRequest], Awaitable[Granted | Refused]]
MOVED = "the router made another port than the one that it was asked for"


@dataclass(frozen=True, slots=True)
class RouterTable:
    """The table of one router, which only UPnP shows."""

    mapper: Mapper
    recorder: Recorder

    async def settle(self, wanted: MappingRequest, granted: Granted, ask: Ask) -> Granted:
        """What the table says of a mapping that the router has granted. There are routers that end those
        with a lifetime at once: then it is made without. If the table does not show that either, it tells
        nothing, and the lifetime is asked for again."""
        listed = as_listed(granted, await self.read_back(wanted, granted))
        if listed.listed is not False or not granted.lifetime_s:
            return listed
        for_ever = msgspec.structs.replace(suggesting(wanted, granted), lifetime_s=0)
        permanent = await ask(for_ever)
        if isinstance(permanent, Refused):
            return listed
        found = as_listed(permanent, await self.read_back(for_ever, permanent))
        if found.listed is not False:
            return found
        again = await ask(wanted)
        if isinstance(again, Refused):
            return found
        return as_listed(again, await self.read_back(wanted, again))

    async def read_back(self, wanted: MappingRequest, granted: Granted) -> TableEntry | Refused | None:
        """What the router has now for this inside, at the port that was granted or else at another one; None:
        it has no table to read."""
        if self.mapper.offer.protocol != "upnp-igd":
            return None
        began = asyncio.get_running_loop().time()
        result = await self.mapper.read_back(wanted, granted)
        if isinstance(result, TableEntry) and not leads_to(result, wanted.internal):
            from nattools.probes.portmap.igdtable import no_such_entry

            result = no_such_entry(f"port {granted.external_port} leads to {result.internal}")
        if isinstance(result, Refused) and result.denied:
            rows, _ = await self.rows_of(wanted)
            here = next((row for row in rows if row.external_port == granted.external_port), None)
            if here is not None:
                result = here
            else:
                unknown = [row for row in rows if row.external_port not in wanted.own_ports]
                elsewhere = unknown or ([] if wanted.exact else rows)
                result = msgspec.structs.replace(elsewhere[-1], quirks=(MOVED,)) if elsewhere else result
        if result is not None:
            record_attempt(self.recorder, "read back", "upnp-igd", wanted, result, began)
        return result

    async def rows_of(self, wanted: MappingRequest) -> tuple[list[TableEntry], Listing]:
        """Rows of ours for this inside, at whatever external port; and the whole list."""
        table = await self.mapper.listing() or Listing()

        def is_ours(row: TableEntry) -> bool:
            named = bool(row.description) and is_named(row, wanted)
            return named or row.external_port in wanted.own_ports

        found = [
            row
            for row in table.entries
            if row.transport == wanted.transport and leads_to(row, wanted.internal) and is_ours(row)
        ]
        return found, table
