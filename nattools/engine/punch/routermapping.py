"""A port mapping made beside a punch, and removed when the connection is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nattools.engine.measurement import MeasurementRun
from nattools.engine.portmap.journal import Journal
from nattools.engine.portmap.session import PortmapSession
from nattools.engine.punch.timeline import Timeline
from nattools.model.endpoint import Endpoint
from nattools.model.statement import statement
from nattools.probes.portmap import Granted, MappingRequest, new_nonce

LIFETIME_S = 7200
"""A path in use stays open by its traffic; this is the limit if removing it fails."""
DESCRIPTION = "nattools punch"


class RouterMapping:
    """`discover` first; `ask_all` for the sockets; `release` at the end, whatever happens."""

    def __init__(self, run: MeasurementRun, journal: Journal, timeline: Timeline) -> None:
        self._session = PortmapSession(run, journal)
        self._timeline = timeline
        self._run = run
        self._discovered = asyncio.Event()
        self._settled = False

    @property
    def settled(self) -> bool:
        """Is nothing more to be expected of the router?"""
        return self._settled

    async def discover(self) -> None:
        """What do the routers offer?"""
        try:
            await self._session.discover()
            await self._session.remove_stale()
        finally:
            self._discovered.set()
        found = sorted({each.offer.protocol for each in self._session.discovery.mappers})
        self._settled = not found
        if found:
            self._timeline.note("mappings", statement("router-protocols", protocols=tuple(found)))

    async def ask_all(self, sockets: list[Endpoint], take: Callable[[Endpoint, Endpoint], None]) -> None:
        """Ask for each socket once it is known whom to ask; `take(internal, outside)` is told what comes of
        it."""
        await self._discovered.wait()
        for internal in sockets:
            outside = await self.ask(internal)
            if outside is not None:
                take(internal, outside)
        self._settled = True

    async def ask(self, internal: Endpoint) -> Endpoint | None:
        """Where the router says that a socket is reached now; None if it says nothing of use. For IPv6 that
        is the socket's own address, with the firewall open."""
        wanted = MappingRequest(
            transport="udp",
            internal=internal,
            nonce=new_nonce(),
            lifetime_s=LIFETIME_S,
            description=DESCRIPTION,
        )
        mappers = self._session.mappers(internal.family)
        held = await self._session.make_by_any(mappers, wanted, usable=self._is_public)
        if held is None or held.granted is None:
            return None
        outside = held.granted.external
        protocol = held.mapper.offer.protocol
        mapped = statement("router-mapped", protocol=protocol, internal=str(internal), external=str(outside))
        self._timeline.note("mappings", mapped, ok=True)
        return outside

    def _is_public(self, granted: Granted) -> bool:
        """What the router calls its external address is of no use where that is private."""
        return granted.external is not None and self._run.network.is_public(granted.external.host)

    async def release(self) -> None:
        """Remove what was made; bounded in time."""
        await self._session.release()
