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
from nattools.engine.portmap.journal import Journal, JournalEntry
from nattools.engine.portmap.readback import as_listed, leads_to, runs_on
from nattools.engine.portmap.recording import (
    Action,
    record_attempt,
    record_entry,
    record_offer,
    record_table,
)
from nattools.model.endpoint import Family, family_of
from nattools.model.observation import Gap, MapEntry
from nattools.model.portmapping import MappingProtocol
from nattools.net.addresses import FAR_AWAY
from nattools.net.base import Network
from nattools.net.eventloop import TimeLimit
from nattools.probes.portmap import (
    Discovery,
    GatewayContext,
    Granted,
    Listing,
    Mapper,
    MappingRequest,
    Refused,
    TableEntry,
    asking_from,
    discover,
    gateway_contexts,
    named_gateway,
    policy,
    remove_mapping,
)
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
    _others: dict[str, list[Mapper]] = field(default_factory=dict)

    async def discover(self) -> None:
        """Ask the routers what they offer."""
        run = self.run
        began = asyncio.get_running_loop().time()
        self.gateways = self.gateways or self._chosen_gateways()
        self.discovery = await discover(self.gateways)
        self._drop_guesses()
        for offer in self.discovery.offers:
            way = run.network.way(FAR_AWAY[offer.family], source=offer.local)
            record_offer(run.recorder, offer, began, None if way is None else way.interface)

    def _chosen_gateways(self) -> tuple[GatewayContext, ...]:
        """The one named; those of the interface asked for, or else of the one that the preferred route leads
        to; and what was guessed before that."""
        run = self.run
        if self.named is not None:
            return (named_gateway(run.network, self.named),)
        interface, families = run.options.interface, run.options.families
        all_gateways = gateway_contexts(run.network, families=families, interface=interface)
        if self.host is not None:
            return _of_host(run.network, all_gateways, self.host)
        chosen: list[GatewayContext] = []
        for family in families:
            of_family = [each for each in all_gateways if each.family == family]
            known = next((place for place, each in enumerate(of_family) if not each.guessed), len(of_family))
            chosen += of_family[: known + 1]
        return tuple(chosen)

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

    async def make(self, mapper: Mapper, wanted: MappingRequest, *, stays: bool = False) -> Granted | Refused:
        """Ask for a mapping."""
        held = self._hold(mapper, wanted, stays=stays)
        result = await self._ask(held, wanted, "make")
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

    async def _ask(self, held: HeldMapping, wanted: MappingRequest, action: Action) -> Granted | Refused:
        result = await self._ask_once(held, wanted, action)
        if isinstance(result, Refused):
            return result
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

    async def remove(self, held: HeldMapping) -> Refused | None:
        """Take a mapping away; None: it is gone."""
        result = await self._delete(held)
        if result is None:
            self._forget(held)
        return result

    async def _delete(self, held: HeldMapping) -> Refused | None:
        began = asyncio.get_running_loop().time()
        protocol = held.mapper.offer.protocol
        # by UPnP it is known by its inside alone, which may have another mapping
        shared = any(shares_inside(held.note, each) for each in self.journal.notes())
        others = [] if shared else [each for each in self.discovery.mappers if each is not held.mapper]
        with self._told(f"removing a {held.wanted.transport} mapping", held.wanted, held.mapper):
            result = await remove_mapping([held.mapper, *others], held.wanted, protocol, held.granted)
        known = held.granted
        record_attempt(self.run.recorder, "delete", protocol, held.wanted, result, began, known=known)
        return result

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

    def saw(self, note: JournalEntry) -> bool:
        """Is a mapping of the journal in a router's table that was listed, or told already?"""
        rows = [each for each in self.run.recorder.observations if isinstance(each, MapEntry)]
        same = [
            row
            for row in rows
            if (row.transport, row.internal) == (note.wanted.transport, str(note.wanted.internal))
        ]
        # a router's table of IPv4 mappings has those of all protocols; of pinholes there is none
        return any(row.protocol == note.protocol or row.family == 4 for row in same)

    async def show_noted(self, note: JournalEntry, *, in_force: bool) -> None:
        """Put a mapping of the journal on record that no table has shown: as the router has it, if it shows
        it when asked for it alone; as it is noted, if that cannot be known and it should be there now. What
        the router denies to have is not shown."""
        mapper = await self._mapper_for(note) if note.protocol == "upnp-igd" else None
        found: TableEntry | Refused | None = None
        if mapper is not None and note.granted is not None:
            found = await mapper.read_back(note.wanted, note.granted)
        if isinstance(found, TableEntry) and is_of(note, found):
            record_entry(self.run.recorder, note.protocol, found, ours=True)
        elif in_force and not _contradicts(found, note.granted):
            self.record_noted(note)

    def record_noted(self, note: JournalEntry) -> None:
        """Put a mapping of the journal on record as it is noted there."""
        granted = note.granted
        entry = TableEntry(
            transport=note.wanted.transport,
            internal=note.wanted.internal,
            external_port=granted.external_port if granted else note.wanted.external_port or 0,
            external_host=granted.external_host if granted else None,
            lifetime_s=granted.lifetime_s if granted else note.wanted.lifetime_s,
            description=note.wanted.description,
        )
        record_entry(self.run.recorder, note.protocol, entry, ours=True)

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
        return self._same_inside(held.note)

    def _same_inside(self, note: JournalEntry) -> list[JournalEntry]:
        notes = self.journal.notes()
        return [each for each in notes if shares_inside(note, each) and self.journal.is_in_use(each)]

    async def remove_stale(self) -> None:
        """Remove what a process has left behind that was killed, from the routers that are here."""
        for note in self.journal.left_behind():
            # not as long as what has the same inside is wanted: the router may take the one for the other
            if not self._same_inside(note):
                await self.remove_noted(note)

    async def remove_noted(self, note: JournalEntry) -> Refused | None:
        """Remove a mapping by the journal alone; "not asked" if its router is not here."""
        mapper = await self._mapper_for(note)
        if mapper is None:
            self.record_gap(
                f"Is the {note.protocol} mapping of {note.wanted.transport} {note.wanted.internal} gone?",
                f"its router, {note.gateway} on {note.interface}, cannot be reached from here",
                "nattools map delete --mine in that network, or the end of its lifetime",
            )
            return Refused(protocol=note.protocol, failure="not asked", detail="its router is not here")
        return await self.remove(HeldMapping(note, mapper, note.wanted, note.granted))

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

    async def _mapper_for(self, note: JournalEntry) -> Mapper | None:
        """Who can be asked about a mapping of the journal: its router, if it is on a network here."""
        gateway = self.gateway(note.wanted.family)
        if gateway is not None and gateway.address == note.gateway:
            mappers = self.discovery.mappers
        else:
            mappers = await self._elsewhere(note)
        wanted = (note.wanted.family, note.protocol)
        found = next((each for each in mappers if (each.offer.family, each.offer.protocol) == wanted), None)
        host = note.wanted.internal.host
        if found is None or _owns(self.run.network, found.gateway.interface, host):
            return found and asking_from(found, host)
        # an address that this machine had: by UPnP alone can its mappings be named
        return found if note.protocol == "upnp-igd" else None

    async def _elsewhere(self, note: JournalEntry) -> list[Mapper]:
        """What a router offers that is here and is not the one in use: another interface's, or one that was
        named. Only a neighbour is asked: who has that address elsewhere is somebody else."""
        if note.gateway not in self._others:
            way = self.run.network.way(note.gateway) if note.gateway else None
            is_here = way is not None and way.gateway is None and way.interface == note.interface
            found = await discover((named_gateway(self.run.network, note.gateway),)) if is_here else None
            self._others[note.gateway] = [] if found is None else found.mappers
        return self._others[note.gateway]


def _of_host(
    network: Network, all_gateways: tuple[GatewayContext, ...], host: str
) -> tuple[GatewayContext, ...]:
    """The router of the interface that has this own address, to be asked from it."""
    family = family_of(host)
    found = [each for each in all_gateways if each.family == family and _owns(network, each.interface, host)]
    return tuple(dataclasses.replace(each, local=host) for each in found[:1])


def _owns(network: Network, interface: str, host: str) -> bool:
    """Has an interface of this machine that address?"""
    own = (each.addresses for each in network.interfaces() if each.name == interface)
    return any(address.partition("%")[0] == host for addresses in own for address in addresses)


def _contradicts(found: TableEntry | Refused | None, granted: Granted | None) -> bool:
    """Does the router say now that it has no such mapping? One that never showed it says nothing by that."""
    if isinstance(found, Refused):
        return found.denied and not (granted is not None and granted.listed is False)
    return found is not None


def shares_inside(note: JournalEntry, other: JournalEntry) -> bool:
    """Are two notes of the same inside on the same router?"""
    one, two = note.wanted, other.wanted
    same = (one.transport, one.internal, note.gateway) == (two.transport, two.internal, other.gateway)
    return same and note.id != other.id


def is_of(note: JournalEntry, entry: TableEntry) -> bool:
    """Is a row of the router's table the mapping that a note is about?"""
    return note.wanted.transport == entry.transport and note.wanted.internal == entry.internal


def families_of(mappers: Iterable[Mapper]) -> list[Family]:
    """The address families that they serve, IPv4 first: some routers break when asked over both at once."""
    return sorted({mapper.offer.family for mapper in mappers})
