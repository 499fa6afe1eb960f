"""A port mapping asked for beside a punch, and taken away when the connection is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nattools.engine.portmap.journal import AnyJournal
from nattools.engine.portmap.session import PortmapSession
from nattools.engine.punch.timeline import Timeline
from nattools.engine.reaching import Run
from nattools.model.endpoint import Endpoint
from nattools.probes.portmap import Granted, MappingRequest, new_nonce

LIFETIME_S = 7200
"""A path that is in use stays open by its traffic; this is for when everything else fails."""
DESCRIPTION = "nattools punch"


class RouterMapping:
    """`look` first; `ask_all` for the sockets; `part` at the end, whatever happens."""

    def __init__(self, run: Run, journal: AnyJournal, timeline: Timeline) -> None:
        self._session = PortmapSession(run, journal)
        self._timeline = timeline
        self._run = run
        self._looked = asyncio.Event()
        self._settled = False

    @property
    def settled(self) -> bool:
        """Is nothing more to be expected of the router?"""
        return self._settled

    async def look(self) -> None:
        """What do the routers offer?"""
        try:
            await self._session.look()
            await self._session.sweep()
        finally:
            self._looked.set()
        found = sorted({each.offer.protocol for each in self._session.found.mappers})
        self._settled = not found
        if found:
            self._timeline.note("mappings", f"the router makes port mappings: {', '.join(found)}")

    async def ask_all(self, sockets: list[Endpoint], take: Callable[[Endpoint, Endpoint], None]) -> None:
        """Ask for each socket once it is known whom to ask; `take(internal, outside)` is told what comes of
        it."""
        await self._looked.wait()
        for internal in sockets:
            outside = await self.ask(internal)
            if outside is not None:
                take(internal, outside)
        self._settled = True

    async def ask(self, internal: Endpoint) -> Endpoint | None:
        """Where the router says that a socket is reached now; None if it says nothing of use. For IPv6 that
        is the socket's own address, with the firewall open."""
        for mapper in self._session.mappers(internal.family):
            wanted = MappingRequest(
                transport="udp",
                internal=internal,
                nonce=new_nonce(),
                lifetime_s=LIFETIME_S,
                description=DESCRIPTION,
            )
            result = await self._session.make(mapper, wanted)
            if not isinstance(result, Granted):
                continue
            outside = self._outside(result)
            if outside is not None:
                text = f"{mapper.offer.protocol} opened {outside} for {internal}"
                self._timeline.note("mappings", text, ok=True)
                return outside
        return None

    def _outside(self, granted: Granted) -> Endpoint | None:
        """What the router calls its outside is of no use where it is private itself."""
        outside = granted.external
        if outside is None or not self._run.network.is_public(outside.host):
            return None
        return outside

    async def part(self) -> None:
        """Remove what was made; bounded in time."""
        await self._session.part()
