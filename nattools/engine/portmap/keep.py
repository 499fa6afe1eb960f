"""`nattools map keep`: mappings held open for as long as it runs.

Each is renewed after half of its lifetime (RFC 6887 11.2.1). A router that restarts forgets its mappings: it
says so by multicast when it is back (RFC 6886 3.2.1, RFC 6887 14.1.2, SSDP's NOTIFY), its epoch goes back
when it is asked, or it falls silent for a while; after any of these all of them are made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from nattools.engine.measureoptions import Emit, MapOptions, MeasureOptions
from nattools.engine.portmap.commands import (
    check_host,
    make_checked,
    run_map_command,
    verified,
)
from nattools.engine.portmap.heldmapping import HeldMapping
from nattools.engine.portmap.journal import Journal
from nattools.engine.portmap.routersession import PortmapSession
from nattools.model.endpoint import Endpoint, Transport
from nattools.model.portmapping import MappingProtocol
from nattools.model.report import Report
from nattools.net.base import Network, UdpSocket
from nattools.net.eventloop import TimedEvent
from nattools.probes.portmap import Granted, Mapper, owns_address, policy
from nattools.probes.portmap.announcements import listen_for_restarts
from nattools.probes.portmap.mapper import RESTARTED, suggesting
from nattools.protocols.pcp import renewal_delay_s

POLL_S = 3.0
"""How often a router is asked whether it has restarted: one small datagram, or one request by UPnP."""
SILENT_POLL_S = 1.0
PERMANENT_S = 7200
"""A permanent mapping is checked as often as one of this lifetime would be renewed."""
AGAIN_S = 4.0
"""How often a lost mapping is asked for again."""
LOOK_S = 60.0
"""How often a router's table is looked at: other programs, and people, remove mappings too."""
MOVED_S = 10.0
"""When an own address has been gone for so long, and ever again after that, mappings are made to the one that
this machine has instead: in another network, or when a temporary one has ended."""
SLEPT_S = 5.0
"""A shorter sleep of this machine is none."""
SETTLED_S = 300.0
"""A router repeats its announcement for minutes (RFC 6886 3.2.1); after so long it is a new one."""

Cause = Literal["restarted", "silent", "address gone", "refused", "runs on", "removed"]
"""The router seems to have restarted, or has been silent for a while; this machine had lost its address; the
router did not renew the mapping, as `heldmapping.Remade` says; or its table had it no more."""
Happening = Literal["made", "changed", "lost", "restored"]


@dataclass(frozen=True, slots=True)
class MappingChange:
    """What happened to a mapping. `external` None: it is not there. `why` it was made anew, if that is
    known."""

    happening: Happening
    transport: Transport
    internal: Endpoint
    external: Endpoint | None
    protocol: MappingProtocol
    lifetime_s: int | None
    verified: bool | None
    why: Cause | None = None


Tell = Callable[[MappingChange], Awaitable[None]]


@dataclass(slots=True)
class KeptMapping:
    """A mapping that is kept. `at` is when it was last made or renewed, on the loop's clock; `touched` is set
    then. `there` False: it is lost. `removals`: how often the router's table had it no more."""

    held: HeldMapping
    granted: Granted
    verified: bool | None
    at: float
    there: bool = True
    removals: int = 0
    touched: TimedEvent = field(default_factory=TimedEvent)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def lifetime_s(self) -> float:
        """How long it lives from `at` on. There are tables that call each mapping permanent."""
        return self.granted.lifetime_s or min(PERMANENT_S, self.held.wanted.lifetime_s or PERMANENT_S)

    def change(self, happening: Happening, why: Cause | None = None) -> MappingChange:
        """As it is told."""
        granted = self.granted
        external = granted.external or Endpoint("", granted.external_port)
        return MappingChange(
            happening,
            granted.transport,
            granted.internal,
            external if self.there else None,
            granted.protocol,
            granted.lifetime_s,
            self.verified,
            why,
        )


async def keep(
    network: Network,
    options: MeasureOptions,
    emit: Emit,
    journal: Journal,
    map_options: MapOptions,
    tell: Tell,
    stop: asyncio.Event,
) -> Report:
    """Make the mappings and hold them until `stop` is set or the time given is over; then remove them.
    `tell` hears of each change. It ends at once if no mapping can be made."""

    async def do(session: PortmapSession) -> None:
        keeper = _Keeper(session, map_options, tell)
        await keeper.make()
        if keeper.kept:
            await keeper.hold(stop)

    check_host(network, map_options)
    return await run_map_command("keep", do, network, options, emit, journal, map_options)


class _Keeper:
    def __init__(self, session: PortmapSession, map_options: MapOptions, tell: Tell) -> None:
        self.kept: list[KeptMapping] = []
        self._session = session
        self._map_options = map_options
        self._tell = tell
        self._hint = TimedEvent()
        self._sockets: list[UdpSocket] = []
        self._now = asyncio.get_running_loop().time
        self._restored_at = float("-inf")
        self._awake, self._awake_at = session.journal.now(), self._now()

    async def make(self) -> None:
        """All that is wanted; what cannot be had is in the record."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    make_checked(self._session, self._map_options, port, transport, stays=False)
                )
                for port in self._map_options.ports
                for transport in self._map_options.transports
            ]
        self.kept = [
            KeptMapping(held, held.granted, is_open, self._now())
            for task in tasks
            for held, is_open in task.result()
            if held.granted is not None
        ]
        for kept in self.kept:
            await self._tell(kept.change("made"))

    async def hold(self, stop: asyncio.Event) -> None:
        """Until `stop` is set."""
        await self._listen()
        try:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(self._renew(kept)) for kept in self.kept]
                workers.append(group.create_task(self._watch()))
                await stop.wait()
                for worker in workers:
                    worker.cancel()
        finally:
            self._stop_listening()

    async def _listen(self) -> None:
        """Hear what the routers that are asked announce, and nobody else."""
        self._stop_listening()
        self._sockets = await listen_for_restarts(self._session.gateways, self._hint.set)

    def _stop_listening(self) -> None:
        for socket in self._sockets:
            socket.close()
        self._sockets = []

    # --- renewing

    async def _renew(self, kept: KeptMapping) -> None:
        """Each attempt comes later in the mapping's life (RFC 6887 11.2.1), until it is over."""
        attempt = 0
        while True:
            delay_s = renewal_delay_s(kept.lifetime_s, attempt)
            until = kept.at + (kept.lifetime_s if delay_s is None else delay_s)
            if not kept.there:
                until = self._now() + AGAIN_S
            kept.touched.clear()
            if await kept.touched.wait(max(0.0, until - self._now())):
                attempt = 0
            elif kept.there and delay_s is None:
                await self._lost(kept)
            elif await self._again(kept):
                attempt = 0
            else:
                attempt += 1

    async def _again(self, kept: KeptMapping, *, gone: Cause | None = None) -> bool:
        """Renew it by the protocol that made it, else by any other that can. `gone`: why the router may have
        forgotten it."""
        async with kept.asking:
            granted = await self._by_any(kept, gone)
        if granted is not None:
            await self._take(kept, granted, gone=gone)
            return True
        if gone:
            await self._lost(kept)
        return False

    async def _by_any(self, kept: KeptMapping, gone: Cause | None) -> Granted | None:
        session = self._session
        wanted = suggesting(kept.held.wanted, kept.granted)
        if gone == "removed" and kept.removals > 1 and not kept.held.wanted.exact:
            # what is asked for again and again at one port may be what removes another mapping of ours
            beside = 1024 + (kept.granted.external_port + kept.removals) % (65536 - 1024)
            wanted = msgspec.structs.replace(wanted, external_port=beside)
        result = await session.renew(kept.held, wanted)
        if isinstance(result, Granted):
            return result
        own = kept.held.mapper
        others = session.mappers(wanted.family, self._map_options.protocol)
        others = [
            each
            for each in others
            if each.offer.protocol != own.offer.protocol and policy.may_ask(each.offer.protocol, [result])
        ]
        successor = await session.make_by_any(others, wanted)
        if successor is None:
            return None
        session.replace(kept.held, successor)
        return kept.held.granted

    async def _take(self, kept: KeptMapping, granted: Granted, *, gone: Cause | None) -> None:
        """A mapping was made again. Others are gone if the router has restarted meanwhile."""
        before, why = kept.granted, kept.held.remade
        was_there = kept.there and not gone and why is None
        kept.granted, kept.there, kept.at = granted, True, self._now()
        kept.touched.set()
        moved = (before.external_host, before.external_port) != (granted.external_host, granted.external_port)
        if moved or not was_there:
            kept.verified = await verified(self._session, granted)
            happening: Happening = "changed" if moved else "restored"
            await self._tell(kept.change(happening, gone or why))
        if RESTARTED in granted.quirks and not gone:
            self._hint.set()

    async def _lost(self, kept: KeptMapping) -> None:
        if kept.there:
            kept.there, kept.verified = False, None
            await self._tell(kept.change("lost"))

    # --- watching the router

    async def _watch(self) -> None:
        away: Cause | None = None
        looked_at = had_at = self._now()
        while True:
            hinted = await self._hint.wait(SILENT_POLL_S if away else POLL_S)
            self._hint.clear()
            slept = self._has_slept()
            if not all(map(self._has_address, self.kept)):
                away = "address gone"
                if self._now() - had_at > MOVED_S:
                    away = None if await self._move() else away
                    had_at = self._now()
                continue
            had_at = self._now()
            # a router tells several times that it is there: the first time counts, then its clock does
            hinted = hinted and self._now() - self._restored_at > SETTLED_S
            # what a clock would show that goes on needs no telling: routers announce other things, too
            trusted = hinted and not all(kept.held.mapper.tells_restarts for kept in self.kept)
            said = set() if trusted or slept else await self._ask_all()
            if "silent" in said:
                away = away or "silent"
            elif hinted or away or slept or "restarted" in said:
                restarted = trusted or "restarted" in said
                away = None if await self._restore("restarted" if restarted else away) else "silent"
            elif self._now() - looked_at > LOOK_S:
                await self._look()
                looked_at = self._now()

    def _has_slept(self) -> bool:
        """Has this machine slept since this was last asked? The loop's clock does not count that, and
        routers' clocks have gone on."""
        now, at = self._session.journal.now(), self._now()
        slept_s = now.since(self._awake) - (at - self._awake_at)
        self._awake, self._awake_at = now, at
        return slept_s >= SLEPT_S

    async def _look(self) -> None:
        """Make anew what the router has no more."""
        for kept in self.kept:
            if kept.there and not kept.asking.locked() and await self._session.has_lost(kept.held):
                kept.removals += 1
                if not await self._again(kept, gone="removed"):
                    kept.touched.set()

    def _has_address(self, kept: KeptMapping) -> bool:
        """Has this machine the address still that the mapping leads to?"""
        return owns_address(self._session.run.network, kept.granted.internal.host)

    async def _move(self) -> bool:
        """Let what leads to an address that this machine has no more lead to the one that it has, unless the
        user has named one, or the router; was all of it made?"""
        session, before = self._session, self._session.gateways
        gone = [kept for kept in self.kept if not self._has_address(kept)]
        for kept in gone:
            await self._lost(kept)
        if session.host is not None or session.named is not None:
            return False
        session.gateways = ()
        await session.discover()
        made = [await self._make_here(kept) for kept in gone]
        if any(made):
            await self._listen()
        else:
            session.gateways = before
        return all(made)

    async def _make_here(self, kept: KeptMapping) -> bool:
        """Make it anew for this machine's address; the old one is removed at the end, if it can be."""
        session, old = self._session, kept.held.wanted
        gateway = session.gateway(old.family)
        if gateway is None or gateway.local == old.internal.host:
            return False
        wanted = msgspec.structs.replace(old, internal=Endpoint(gateway.local, old.internal.port))
        async with kept.asking:
            mappers = session.mappers(wanted.family, self._map_options.protocol)
            made = await session.make_by_any(mappers, wanted)
            if made is None or made.granted is None:
                return False
            session.replace(kept.held, made)
            kept.held.wanted = wanted
        await self._take(kept, made.granted, gone="address gone")
        return True

    async def _ask_all(self) -> set[str]:
        """What the routers in use say when asked whether they have restarted."""
        mappers: dict[int, Mapper] = {id(kept.held.mapper): kept.held.mapper for kept in self.kept}
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(mapper.check()) for mapper in mappers.values()]
        return {task.result() for task in tasks}

    async def _restore(self, why: Cause | None) -> bool:
        """Make everything anew, by what the router offers now; was all of it made?"""
        session = self._session
        await session.discover()
        for kept in self.kept:
            offer = kept.held.mapper.offer
            fresh = session.mappers(offer.family, offer.protocol)
            if fresh:
                kept.held.mapper = fresh[0]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._again(kept, gone=why)) for kept in self.kept]
        self._restored_at = self._now()
        return all(task.result() for task in tasks)
