"""The router requests of one run. Each is noted in the journal before it is sent and recorded with its
answer; what is not meant to stay is removed at the end, whatever happens."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from nattools.engine.measurement import MeasurementRun
from nattools.engine.options import Event
from nattools.engine.portmap.gatewaychoice import chosen_gateways
from nattools.engine.portmap.journal import Journal, JournalEntry, is_of, is_same, shares_inside
from nattools.engine.portmap.readback import as_listed, leads_to, runs_on
from nattools.engine.portmap.recording import (
    Action,
    record_attempt,
    record_entry,
    record_offer,
    record_table,
)
from nattools.model.endpoint import Family
from nattools.model.observation import Gap
from nattools.model.portmapping import MappingProtocol
from nattools.net.addresses import FAR_AWAY
from nattools.net.eventloop import TimeLimit
from nattools.probes.portmap import (
    GatewayContext,
    Granted,
    Listing,
    Mapper,
    MappingRequest,
    Refused,
    TableEntry,
    policy,
    remove_mapping,
)
from nattools.probes.portmap.discover import Discovery, discover
from nattools.probes.portmap.igdtable import no_such_entry
from nattools.probes.portmap.mapper import suggesting

logger = logging.getLogger(__name__)

Remade = Literal["refused", "runs on"]
"""The router refused to renew it, or said that it had and let the old lifetime run on."""
RELEASE_S = 12.0
"""How long removing everything may take at the end, when somebody waits for that: slow routers need so long
for a change. Most need no time, and one that is gone is given up sooner."""
SHARED = "another nattools process uses it too"


@dataclass(slots=True)
class HeldMapping:
    """A mapping that this session has made and not removed, or may have made. `at`: when it was last granted,
    on the loop's clock. `remade`: why it was deleted and made anew instead of being renewed, the last
    time."""

    note: JournalEntry
    mapper: Mapper
    wanted: MappingRequest
    granted: Granted | None = None
    at: float = 0.0
    remade: Remade | None = None


@dataclass(slots=True)
class PortmapSession:
    """`gateways` are the routers of the interface that is measured; `discovery` is what they offer, after
    `discover`. `host`: the own address that mappings are to lead to; `named`: the router to ask, if the user
    names one."""

    run: MeasurementRun
    journal: Journal
    host: str | None = None
    named: str | None = None
    gateways: tuple[GatewayContext, ...] = ()
    discovery: Discovery = field(default_factory=Discovery)
    held: list[HeldMapping] = field(default_factory=list)
    removed: list[JournalEntry] = field(default_factory=list)
    elsewhere: dict[str, list[Mapper]] = field(default_factory=dict)

    async def discover(self) -> None:
        """Ask the routers what they offer."""
        run = self.run
        began = asyncio.get_running_loop().time()
        self.gateways = self.gateways or chosen_gateways(run.network, run.options, self.named, self.host)
        self.discovery = await discover(self.gateways)
        self._drop_guesses()
        for offer in self.discovery.offers:
            way = run.network.way(FAR_AWAY[offer.family], source=offer.local)
            record_offer(run.recorder, offer, began, None if way is None else way.interface)

    def _drop_guesses(self) -> None:
        """A guess that answered is the router of its family; of one that did not nothing is said."""
        guesses = [each for each in self.gateways if each.guessed]
        found = [each for each in guesses if any(m.gateway == each for m in self.discovery.mappers)]
        dropped = [each for each in guesses if each not in found]
        families = {each.family for each in found}
        dropped += [each for each in self.gateways if not each.guessed and each.family in families]
        self.gateways = tuple(each for each in self.gateways if each not in dropped)
        gone = {(each.interface, each.local) for each in dropped}
        found_here = self.discovery
        found_here.offers = [o for o in found_here.offers if (o.interface, o.local) not in gone]
        found_here.mappers = [m for m in found_here.mappers if m.gateway not in dropped]

    def gateway(self, family: Family) -> GatewayContext | None:
        """Where mappings of a family are asked for."""
        return next((each for each in self.gateways if each.family == family), None)

    def mappers(self, family: Family, protocol: MappingProtocol | None = None) -> list[Mapper]:
        """Those that can be asked, the preferred one first."""
        return [
            each
            for each in self.discovery.mappers
            if each.offer.family == family and protocol in (None, each.offer.protocol)
        ]

    # --- asking

    async def make(
        self,
        mapper: Mapper,
        wanted: MappingRequest,
        *,
        stays: bool = False,
        on_answer: Callable[[], None] = lambda: None,
    ) -> Granted | Refused:
        """Ask for a mapping. `on_answer`: the router has granted it, and its table is looked at next."""
        held = self._hold(mapper, wanted, stays=stays)
        result = await self._ask(held, wanted, "make", on_answer)
        if isinstance(result, Refused) and result.certain:
            self._forget(held)
        return result

    async def make_by_any(
        self,
        mappers: Iterable[Mapper],
        wanted: MappingRequest,
        *,
        stays: bool = False,
        usable: Callable[[Granted], bool] = lambda granted: True,
    ) -> HeldMapping | None:
        """Ask one mapper after the other, as far as `policy.may_ask` allows, until one makes a mapping that
        is `usable`. None: none does."""
        refusals: list[Refused] = []
        doubtful: Mapper | None = None
        asked = list(mappers)
        for mapper in asked:
            protocol = mapper.offer.protocol
            if not policy.may_ask(protocol, refusals):
                logger.debug("not asking by %s: UPnP has called %s forbidden", protocol, wanted.internal)
                continue
            result = await self.make(mapper, wanted, stays=stays)
            if isinstance(result, Refused):
                refusals.append(result)
                continue
            if (not result.doubtful and usable(result)) or (result.doubtful and mapper is asked[-1]):
                return self._held_as(result)
            if result.doubtful:
                # as long as the router may have it, the next protocol would get another port
                await self.remove(self._held_as(result))
                doubtful = doubtful or mapper
        again = None if doubtful is None else await self.make(doubtful, wanted, stays=stays)
        return self._held_as(again) if isinstance(again, Granted) else None

    def _held_as(self, granted: Granted) -> HeldMapping:
        return next(each for each in self.held if each.granted is granted)

    async def renew(self, held: HeldMapping, wanted: MappingRequest) -> Granted | Refused:
        """Ask for a mapping again that is there already, or was. Where the router does not renew it, it is
        deleted and made anew, at once."""
        before, passed_s = held.granted, asyncio.get_running_loop().time() - held.at
        held.remade = None
        result = await self._ask(held, wanted, "renew")
        if isinstance(result, Refused):
            held.remade = "refused" if policy.may_make_anew(result) else None
        elif runs_on(before, passed_s, result):
            held.remade = "runs on"
        if held.remade is None:
            await self._leave(held, before)
            return result
        await self._delete(held)
        return await self._ask(held, wanted, "make")

    async def _leave(self, held: HeldMapping, before: Granted | None) -> None:
        """Remove the mapping at the port that a renewal has moved away from. By the other protocols one
        inside has one mapping."""
        now = held.granted
        if before is None or now is None or now.protocol != "upnp-igd":
            return
        if before.external_port != now.external_port and before.unique_id is None:
            old = self._hold(held.mapper, suggesting(held.wanted, before), stays=False)
            old.granted = before
            self.journal.granted(old.note, before)
            await self.remove(old)

    async def _ask(
        self,
        held: HeldMapping,
        wanted: MappingRequest,
        action: Action,
        on_answer: Callable[[], None] = lambda: None,
    ) -> Granted | Refused:
        result = await self._ask_once(held, wanted, action)
        if isinstance(result, Refused):
            return result
        on_answer()
        result = await self._as_listed(held, wanted, result)
        held.granted, held.at = result, asyncio.get_running_loop().time()
        self.journal.granted(held.note, result)
        self._succeed(held.note, result)
        return result

    async def _ask_once(self, held: HeldMapping, wanted: MappingRequest, action: Action) -> Granted | Refused:
        began = asyncio.get_running_loop().time()
        with self._told(f"asking the router for a {wanted.transport} mapping", wanted, held.mapper):
            result = await held.mapper.make(wanted)
        record_attempt(self.run.recorder, action, held.mapper.offer.protocol, wanted, result, began)
        return result

    async def _as_listed(self, held: HeldMapping, wanted: MappingRequest, granted: Granted) -> Granted:
        """What the router's table says of a mapping that it has granted. There are routers that end those
        with a lifetime at once: then it is made without. If the table does not show that either, it tells
        nothing, and the lifetime is asked for again."""
        listed = as_listed(granted, await self.read_back(held.mapper, wanted, granted))
        if listed.listed is not False or not granted.lifetime_s:
            return listed
        for_ever = msgspec.structs.replace(suggesting(wanted, granted), lifetime_s=0)
        permanent = await self._ask_once(held, for_ever, "make")
        if isinstance(permanent, Refused):
            return listed
        found = as_listed(permanent, await self.read_back(held.mapper, for_ever, permanent))
        if found.listed is not False:
            return found
        again = await self._ask_once(held, wanted, "make")
        if isinstance(again, Refused):
            return found
        return as_listed(again, await self.read_back(held.mapper, wanted, again))

    async def read_back(
        self, mapper: Mapper, wanted: MappingRequest, granted: Granted
    ) -> TableEntry | Refused | None:
        """What the router has in its table now for this inside; None: it has no table to read."""
        if mapper.offer.protocol != "upnp-igd":
            return None
        began = asyncio.get_running_loop().time()
        result = await mapper.read_back(wanted, granted)
        if isinstance(result, TableEntry) and not leads_to(result, wanted.internal):
            result = no_such_entry(f"port {granted.external_port} leads to {result.internal}")
        if result is not None:
            record_attempt(self.run.recorder, "read back", mapper.offer.protocol, wanted, result, began)
        return result

    def note_proof(self, held: HeldMapping) -> None:
        """A test from outside has shown it."""
        if held.granted is not None:
            held.granted = msgspec.structs.replace(held.granted, proven=True)
            self.journal.granted(held.note, held.granted)

    async def remove(self, held: HeldMapping) -> Refused | None:
        """Take a mapping away; None: it is gone."""
        result = await self._delete(held)
        if result is None:
            self._forget(held)
            self.removed.append(msgspec.structs.replace(held.note, granted=held.granted))
        return result

    async def _delete(self, held: HeldMapping) -> Refused | None:
        began = asyncio.get_running_loop().time()
        protocol = held.mapper.offer.protocol
        # by UPnP it is known by its inside alone, which may have another mapping
        shared = any(shares_inside(held.note, each) for each in self.journal.notes())
        others = [] if shared else [each for each in self.discovery.mappers if each is not held.mapper]
        with self._told(f"removing a {held.wanted.transport} mapping", held.wanted, held.mapper):
            result = await remove_mapping([held.mapper, *others], held.wanted, protocol, held.granted)
        if result is not None and result.failure == "refused" and self._went_with_another(held):
            result = None
        known = held.granted
        record_attempt(self.run.recorder, "delete", protocol, held.wanted, result, began, known=known)
        return result

    def _went_with_another(self, held: HeldMapping) -> bool:
        """Was it the same mapping as one that has been removed, asked for once by each of two protocols?"""
        return any(is_same(held.note, held.granted, each) for each in self.removed)

    async def list_table(self, mapper: Mapper) -> Listing | None:
        """A router's table; its rows go on record, and whether that is all of them. None: it has none."""
        self.run.emit(Event("started", "map list", "reading the router's list of mappings"))
        table = await mapper.listing()
        self.run.emit(Event("finished", "map list"))
        if table is None:
            return None
        protocol, notes = mapper.offer.protocol, self.journal.notes()
        for entry in table.entries:
            ours = any(is_of(note, entry) for note in notes)
            record_entry(self.run.recorder, protocol, entry, ours=ours)
        record_table(self.run.recorder, protocol, table)
        return table

    @contextmanager
    def _told(self, doing: str, wanted: MappingRequest, mapper: Mapper) -> Iterator[None]:
        """Say meanwhile what is waited for: slow routers take seconds."""
        name = f"{doing} to {wanted.internal} by {mapper.offer.protocol}"
        self.run.emit(Event("started", name, f"{doing} to port {wanted.internal.port}"))
        try:
            yield
        finally:
            self.run.emit(Event("finished", name))

    def record_gap(self, question: str, reason: str, settle: str) -> None:
        """Note a question that could not be put."""
        self.run.recorder.add(Gap(probe="map", question=question, reason=reason, settle=settle))

    def replace(self, held: HeldMapping, successor: HeldMapping) -> None:
        """Another protocol has made the mapping again, as `successor`: `held` stands for that from now on.
        What it stood for is removed at the end, in case that it is still there."""
        old = dataclasses.replace(held)
        held.note, held.mapper, held.granted = successor.note, successor.mapper, successor.granted
        held.at = successor.at
        self.held[self.held.index(successor)] = old

    def _hold(self, mapper: Mapper, wanted: MappingRequest, *, stays: bool) -> HeldMapping:
        offer = mapper.offer
        gateway = self.gateway(wanted.family)
        note = self.journal.note(
            wanted,
            offer.protocol,
            interface=offer.interface or "",
            gateway=gateway.address if gateway is not None else "",
            stays=stays,
        )
        held = HeldMapping(note, mapper, wanted)
        self.held.append(held)
        return held

    def _succeed(self, note: JournalEntry, granted: Granted) -> None:
        """It is the same mapping as one that was made before to stay: one note is enough."""
        if note.stays:
            for other in self.journal.others(note, granted):
                if other.stays and other.protocol == note.protocol != "pcp":
                    self.journal.gone(other)

    def _forget(self, held: HeldMapping) -> None:
        self.journal.gone(held.note)
        if held in self.held:
            self.held.remove(held)

    # --- cleaning up

    async def release(self) -> None:
        """Remove what is not meant to stay. To be awaited at the end in every case; takes a few seconds at
        the most. What cannot be removed stays in the journal, for the next start."""
        # what was not granted, as far as is known, does not stay either
        ending = [each for each in self.held if not each.note.stays or each.granted is None]
        async with TimeLimit(RELEASE_S), asyncio.TaskGroup() as group:
            for held in ending:
                group.create_task(self._release(held, {each.note.id for each in ending}))

    async def _release(self, held: HeldMapping, ending: set[str]) -> None:
        """Remove it, unless another nattools holds the same: routers have it once. What only this note can
        remove, by another protocol or nonce, stays noted until that one is gone too."""
        others = [each for each in self._in_use_beside(held) if each.id not in ending]
        if not others:
            await self.remove(held)
            return
        now = asyncio.get_running_loop().time()
        left = Refused(protocol=held.note.protocol, failure="not asked", detail=SHARED)
        record_attempt(self.run.recorder, "delete", left.protocol, held.wanted, left, now, known=held.granted)
        if held.note.protocol != "pcp" and any(each.protocol == held.note.protocol for each in others):
            self._forget(held)

    def _in_use_beside(self, held: HeldMapping) -> list[JournalEntry]:
        """Notes of others that are wanted, and that removing this one may hit. A nonce hits its own alone."""
        if held.granted is not None:
            return self.journal.others(held.note, held.granted)
        if held.note.protocol == "pcp":
            return []
        return self.in_use_at_same_inside(held.note)

    def in_use_at_same_inside(self, note: JournalEntry) -> list[JournalEntry]:
        notes = self.journal.notes()
        return [each for each in notes if shares_inside(note, each) and self.journal.is_in_use(each)]

    async def remove_unnoted(
        self, mapper: Mapper, wanted: MappingRequest, granted: Granted | None = None, *, certain: bool = True
    ) -> Refused | None:
        """Remove a mapping of this machine that another program may have made. Not `certain`: it may be that
        there is none."""
        began = asyncio.get_running_loop().time()
        result = await mapper.delete(wanted, granted)
        protocol = mapper.offer.protocol
        known = granted if certain else None
        record_attempt(self.run.recorder, "delete", protocol, wanted, result, began, known=known)
        return result
