"""The router requests of one run. Each is noted in the journal before it is sent and recorded with its
answer; what is not meant to stay is removed at the end, whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import msgspec

from nattools.engine.measurement import MeasurementRun
from nattools.engine.measureoptions import Event
from nattools.engine.portmap.gatewaychoice import chosen_gateways, hardware_of, without_guesses
from nattools.engine.portmap.heldmapping import HeldMapping, note_again, note_grant, note_question
from nattools.engine.portmap.journal import Journal
from nattools.engine.portmap.journalentry import JournalEntry, is_of, is_same, shares_inside
from nattools.engine.portmap.readback import is_closed_pinhole, runs_on
from nattools.engine.portmap.recording import (
    Action,
    record_attempt,
    record_entry,
    record_offer,
    record_table,
)
from nattools.engine.portmap.routertable import MOVED, RouterTable
from nattools.model.endpoint import Family
from nattools.model.observation import Gap
from nattools.model.portmapping import MappingProtocol
from nattools.net.addresses import FAR_AWAY
from nattools.probes.portmap import (
    GatewayContext,
    Granted,
    Listing,
    Mapper,
    MappingRequest,
    Refused,
    policy,
    remove_mapping,
)
from nattools.probes.portmap.discover import Discovery, discover
from nattools.probes.portmap.mapper import as_granted, suggesting

logger = logging.getLogger(__name__)


class PortmapSession(msgspec.Struct):
    """`gateways` are the routers of the interface that is measured; `discovery` is what they offer, after
    `discover`, which began at `asked_at` on the loop's clock. `host`: the own address that mappings are to
    lead to; `named`: the router to ask, if the user names one."""

    run: MeasurementRun
    journal: Journal
    host: str | None = None
    named: str | None = None
    gateways: tuple[GatewayContext, ...] = ()
    discovery: Discovery = msgspec.field(default_factory=Discovery)
    held: list[HeldMapping] = msgspec.field(default_factory=list)
    removed: list[JournalEntry] = msgspec.field(default_factory=list)
    elsewhere: dict[str, list[Mapper]] = msgspec.field(default_factory=dict)
    moving: set[str] = msgspec.field(default_factory=set)
    asked_at: float = 0.0

    async def discover(self) -> None:
        """Ask the routers what they offer."""
        run = self.run
        began = self.asked_at = asyncio.get_running_loop().time()
        self.gateways = self.gateways or chosen_gateways(run.network, run.options, self.named, self.host)
        self.discovery = await discover(self.gateways)
        self.gateways = without_guesses(self.gateways, self.discovery)
        for offer in self.discovery.offers:
            way = run.network.way(FAR_AWAY[offer.family], source=offer.local)
            record_offer(run.recorder, offer, began, None if way is None else way.interface)

    def gateway(self, family: Family) -> GatewayContext | None:
        """Where mappings of a family are asked for."""
        return next((each for each in self.gateways if each.family == family), None)

    def mappers(self, family: Family, protocol: MappingProtocol | None = None) -> list[Mapper]:
        """The mappers that can be asked, the preferred one first."""
        return [
            each
            for each in policy.to_be_asked(self.discovery.mappers)
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
            self.forget(held)
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
        if held.mapper.offer.server in self.moving:
            wanted = held.wanted  # it does not make what it is asked for: the same again leads to the same
        before, passed_s = held.granted, asyncio.get_running_loop().time() - held.at
        held.remade = None
        note_again(self.journal, held)
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

    async def has_lost(self, held: HeldMapping) -> bool:
        """Does the router not show any more what its table has had?"""
        began, wanted = asyncio.get_running_loop().time(), self._knowing(held.entry, held.wanted)
        if held.granted is None or not held.granted.listed:
            return False
        found = await RouterTable(held.mapper, self.run.recorder).look(wanted, held.granted)
        lost = isinstance(found, Refused) and (found.denied or is_closed_pinhole(held.granted, found))
        if lost:
            record_attempt(self.run.recorder, "read back", "upnp-igd", wanted, found, began)
        return lost

    async def _leave(self, held: HeldMapping, before: Granted | None) -> None:
        """Remove the mapping at the port that a renewal has moved away from. By the other protocols one
        inside has one mapping."""
        now = held.granted
        if before is None or now is None or now.protocol != "upnp-igd":
            return
        if before.external_port != now.external_port and before.unique_id is None:
            old = self._hold(held.mapper, suggesting(held.wanted, before), stays=False)
            old.granted = before
            self.journal.granted(old.entry, before)
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
        table = RouterTable(held.mapper, self.run.recorder)

        async def ask(wanted: MappingRequest, *, told: bool = True) -> Granted | Refused:
            return await self._ask_once(held, wanted, "make" if told else None)

        result = await table.settle(self._knowing(held.entry, wanted), result, ask)
        if wanted.exact and result.external_port != wanted.external_port:
            return await self._give_back(held, result)
        note_grant(self.journal, held, result)
        held.granted, held.at = result, asyncio.get_running_loop().time()
        self._succeed(held.entry, result)
        if self._may_have_second(held, result, renewed=action == "renew"):
            await self._remove_second(held, result, renewed=action == "renew")
        return result

    async def _ask_once(
        self, held: HeldMapping, wanted: MappingRequest, action: Action | None
    ) -> Granted | Refused:
        """`action`: as what it goes on record; None: it does not."""
        began = asyncio.get_running_loop().time()
        with self._told(f"asking the router for a {wanted.transport} mapping", wanted, held.mapper):
            known = self._lasting(held.entry, self._knowing(held.entry, wanted))
            asking = partial(note_question, self.journal, held, known.own_ports)
            result = await held.mapper.make(known, asking)
        if action is not None:
            record_attempt(self.run.recorder, action, held.mapper.offer.protocol, wanted, result, began)
        return result

    async def _give_back(self, held: HeldMapping, granted: Granted) -> Refused:
        """Delete what is at another port than the only one wanted."""
        left = await self._delete(msgspec.structs.replace(held, granted=granted))
        return Refused(protocol=granted.protocol, failure="refused", detail=MOVED, unsettled=left is not None)

    def _may_have_second(self, held: HeldMapping, granted: Granted, *, renewed: bool) -> bool:
        """May the router have made one more: has a question failed before the one that was granted, or does
        it choose ports without telling? A renewal may have changed nothing in a row that does not show what
        was asked for: where its port is not the first one asked for, there may be a further one instead."""
        server = held.mapper.offer.server
        if MOVED in granted.quirks:
            self.moving.add(server)
        if granted.maybe_twice or server in self.moving:
            return True
        shown_s, asked_s = granted.lifetime_s, held.wanted.lifetime_s
        unchanged = renewed and granted.protocol == "upnp-igd" and (shown_s is None or shown_s < asked_s)
        return unchanged and any(
            each.may_have_moved for each in self.journal.entries() if each.id == held.entry.id
        )

    async def _remove_second(self, held: HeldMapping, granted: Granted, *, renewed: bool) -> None:
        """Remove a second mapping if the router's table shows one. What a renewal has made beside the one
        that it was for shows a router that chooses ports."""
        mapper, wanted = held.mapper, self._knowing(held.entry, held.wanted)
        router = RouterTable(mapper, self.run.recorder)
        rows, table = await router.rows_of(wanted)
        further = [each for each in rows if each.external_port not in wanted.own_ports]
        for row in further:
            await router.remove(wanted, as_granted(row))
        if further and renewed:
            self.moving.add(mapper.offer.server)
        if table.incomplete or not any(row.external_port == granted.external_port for row in rows):
            self.record_gap(
                f"Is there a second UPnP mapping to {wanted.transport} {wanted.internal}?",
                "the router failed when it was asked for any port, and its list does not show everything",
                "the router's own list of port mappings",
            )

    def _knowing(self, entry: JournalEntry, wanted: MappingRequest) -> MappingRequest:
        """The request with the external ports from which a mapping of ours leads to the same inside."""
        entries = [
            each for each in self.journal.entries() if each.id == entry.id or shares_inside(entry, each)
        ]
        known = (port for each in entries if each.protocol == "upnp-igd" for port in each.own_ports)
        return msgspec.structs.replace(wanted, own_ports=tuple(dict.fromkeys(known)))

    def _lasting(self, entry: JournalEntry, wanted: MappingRequest) -> MappingRequest:
        """By NAT-PMP an inside has one mapping: it is not to end before one would that was made to stay."""
        if entry.protocol != "nat-pmp" or entry.stays:
            return wanted
        left_s = self.journal.stays_for(entry)
        return msgspec.structs.replace(wanted, lifetime_s=max(wanted.lifetime_s, left_s))

    def note_proof(self, held: HeldMapping) -> None:
        """A test from outside has shown it."""
        if held.granted is not None:
            held.granted = msgspec.structs.replace(held.granted, proven=True)
            self.journal.granted(held.entry, held.granted)

    async def remove(self, held: HeldMapping) -> Refused | None:
        """Take a mapping away; None: it is gone. One that the router has never shown, and calls absent now,
        nobody can find again: it is forgotten too."""
        result = await self._delete(held)
        if result is None or result.replaced or result.absent:
            self.forget(held)
        if result is None:
            self.removed.append(msgspec.structs.replace(held.entry, granted=held.granted))
        return result

    async def _delete(self, held: HeldMapping) -> Refused | None:
        began = asyncio.get_running_loop().time()
        protocol = held.mapper.offer.protocol
        # by UPnP it is known by its inside alone, which may have another mapping
        shared = any(shares_inside(held.entry, each) for each in self.journal.entries())
        router = held.mapper.gateway.address
        known_here = [each for each in self.discovery.mappers if each.gateway.address == router]
        others = [] if shared else [each for each in known_here if each is not held.mapper]
        # a renewal that is under way may have made another one
        cut_off = not shared and any(e.asked_since for e in self.journal.entries() if e.id == held.entry.id)
        may_have_moved = held.entry.may_have_moved or cut_off
        with self._told(f"removing a {held.wanted.transport} mapping", held.wanted, held.mapper):
            wanted = self._knowing(held.entry, held.wanted)
            known = held.granted
            result = await remove_mapping([held.mapper, *others], wanted, protocol, known)
            if result is None and known is not None and may_have_moved:
                # what a renewal that nobody saw end has moved: the one that was known is gone
                result = await held.mapper.delete(wanted)
                known = known if result is None else None
        plainly = result is not None and result.failure == "refused" and result.left_s is None
        if plainly and self._went_with_another(held):
            result = None
        record_attempt(self.run.recorder, "delete", protocol, held.wanted, result, began, known=known)
        return result

    def _went_with_another(self, held: HeldMapping) -> bool:
        """Was it the same mapping as one that has been removed, asked for once by each of two protocols?"""
        return any(is_same(held.entry, held.granted, each) for each in self.removed)

    async def list_table(self, mapper: Mapper) -> Listing | None:
        """A router's table; its rows go on record, and whether that is all of them. None: it has none."""
        self.run.emit(Event("started", "map list", "reading the router's list of mappings"))
        table = await mapper.listing()
        self.run.emit(Event("finished", "map list"))
        if table is None:
            return None
        protocol, entries = mapper.offer.protocol, self.journal.entries()
        for row in table.entries:
            ours = any(is_of(entry, row) for entry in entries)
            record_entry(self.run.recorder, protocol, row, ours=ours)
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
        old = msgspec.structs.replace(held)
        held.entry, held.mapper, held.granted = successor.entry, successor.mapper, successor.granted
        held.at = successor.at
        self.held[self.held.index(successor)] = old

    def _hold(self, mapper: Mapper, wanted: MappingRequest, *, stays: bool) -> HeldMapping:
        offer = mapper.offer
        gateway = self.gateway(wanted.family)
        address = (offer.host if offer.other else gateway.address if gateway is not None else None) or ""
        entry = self.journal.add(
            wanted,
            offer.protocol,
            interface=offer.interface or "",
            gateway=address,
            router=hardware_of(self.run.network, mapper.gateway.interface, address),
            stays=stays,
        )
        held = HeldMapping(entry, mapper, wanted)
        self.held.append(held)
        return held

    def _succeed(self, entry: JournalEntry, granted: Granted) -> None:
        """It is the same mapping as one that was made before to stay: one entry is enough; where only that
        one stays, it is what the router has made of it now."""
        for other in self.journal.others(entry, granted):
            if other.stays and other.protocol == entry.protocol != "pcp":
                if entry.stays:
                    self.journal.gone(other)
                elif entry.protocol == "nat-pmp":
                    self.journal.granted(other, granted)

    def forget(self, held: HeldMapping) -> None:
        """Forget a mapping that is gone."""
        self.journal.gone(held.entry)
        if held in self.held:
            self.held.remove(held)
