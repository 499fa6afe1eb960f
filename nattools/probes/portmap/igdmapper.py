"""Port mappings by UPnP, on one internet gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import TypeVar

import msgspec

from nattools.model.endpoint import parse_address
from nattools.model.mappingseen import MapOffer
from nattools.model.portmapping import READ_BACK_WITHIN_S
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.igdattempt import IgdAttempt, ports_to_try
from nattools.probes.portmap.igdcall import call, is_broken
from nattools.probes.portmap.igdtable import (
    conflict,
    list_all,
    list_rows,
    look_up,
    may_be_elsewhere,
    nobodys,
    replaced,
    row_at,
    row_of_inside,
    row_of_port_alone,
    row_or_listed,
    still_there,
)
from nattools.probes.portmap.mapper import (
    Granted,
    Listing,
    MappingRequest,
    Refused,
    RouterState,
    TableEntry,
    is_named,
)
from nattools.protocols import igd
from nattools.protocols.retransmission import EpochClock

T = TypeVar("T")

_MAX_TRIES = 6
_MAX_FURTHER = 3
_NOT_UP = range(703, 712)
"""What is the matter with this connection, which says nothing of the others."""
OLDER = "its list has such a mapping, which may be an older one"
_FRESH_S = 60.0
"""So long the router's address is taken for what it was: providers change it in the middle of the night."""
_GONE_AFTER_S = (0.0, 0.5, 1.5)
"""When a table is looked at that has still what was removed: some routers do what they are told later."""


class IgdMapper:
    """`mapper.Mapper` by UPnP: IPv4 port mappings by a WAN...Connection service. `others` are the router's
    further ones, which are asked where the first one turns out to be broken; `idle` are those that are
    offline. Each service may have a table of its own, and which one is the first may change."""

    def __init__(
        self,
        gateway: GatewayContext,
        offer: MapOffer,
        service: igd.Service,
        uptime_s: int | None = None,
        others: tuple[igd.Service, ...] = (),
        idle: tuple[igd.Service, ...] = (),
    ) -> None:
        self.offer = offer
        self.service = service
        self._others = others
        self._known = (service, *others, *idle)
        self.gateway = gateway
        self._uptime = EpochClock()
        self._learn(uptime_s)
        self._external = offer.external
        self._asked_at = asyncio.get_running_loop().time()

    async def make(
        self, wanted: MappingRequest, asking: Callable[[int], None] = lambda port: None
    ) -> Granted | Refused:
        """Ask until the router is content (`IgdAttempt`), by one service after the other."""
        refused = await self._make_by(self.service, wanted, asking)
        for other in self._others:
            if not isinstance(refused, Refused) or not (is_broken(refused) or refused.code in _NOT_UP):
                break
            result = await self._make_by(other, wanted, asking)
            if isinstance(result, Granted):
                self.service = other
                return result
        return refused

    async def _make_by(
        self, service: igd.Service, wanted: MappingRequest, asking: Callable[[int], None]
    ) -> Granted | Refused:
        """A port that is taken is another's, so the next one is tried unless `exact`. Where the answer makes
        no sense or does not come, the table has the last word."""
        # AddAnyPortMapping may choose another port for what is there already
        renews = wanted.external_port in wanted.own_ports
        attempt = IgdAttempt(wanted, plain=service.version < 2 or wanted.exact or renews)
        refused = Refused(protocol="upnp-igd", failure="malformed", detail="no attempt was made")
        for _ in range(_MAX_TRIES):
            row = await row_or_listed(
                self.gateway, service, wanted.transport, attempt.port, partial(_same, wanted=wanted)
            )
            there = isinstance(row, TableEntry) and _same(row, wanted)
            attempt.renewed = there
            if there or isinstance(row, Refused):
                asking(attempt.port)
                # what leads here from there from now on is ours, whatever the router calls it
                own = dict.fromkeys((*wanted.own_ports, attempt.port))
                wanted = msgspec.structs.replace(wanted, own_ports=tuple(own))
                answer = await call(self.gateway, service, attempt.action())
                if not isinstance(answer, Refused):
                    return await self._granted(wanted, attempt, answer or attempt.port)
                refused = answer
                attempt.note_failure(refused)
                before = row if isinstance(row, TableEntry) else None
                if await self._made_after_all(service, wanted, attempt, refused, before):
                    return await self._granted(wanted, attempt, attempt.port)
                anew = before is not None and attempt.may_make_anew(refused, before)
                if (
                    anew
                    and _unless_absent(await self._delete_port(service, wanted, attempt.port, _same)) is None
                ):
                    continue
            else:
                # routers overwrite a mapping of the same machine without a word, whichever program made it
                refused = conflict(row)
            # a mapping of ours that is there already is not to get a second port
            if refused.closed or not attempt.adapt(refused, elsewhere=not there):
                break
        return await self._settled(service, wanted, attempt, refused)

    async def _made_after_all(
        self,
        service: igd.Service,
        wanted: MappingRequest,
        attempt: IgdAttempt,
        refused: Refused,
        before: TableEntry | None,
    ) -> bool:
        """Has a router made what it said no to, or nothing? Its table is believed, not its answer. What was
        there `before`, by whatever protocol, may have been made over: then the row is another one now."""
        row = await row_at(self.gateway, service, wanted.transport, attempt.port)
        if isinstance(row, TableEntry) and _made_now(row, wanted, before):
            row = await row_of_port_alone(self.gateway, service, row)
            if isinstance(row, TableEntry) and _made_now(row, wanted, before):
                attempt.quirks.append(_all_the_same(refused))
                return True
        if isinstance(row, Refused) or not _same(row, wanted):
            attempt.failed.append(attempt.port)
        attempt.unsettled = attempt.unsettled or not refused.certain
        return False

    async def _settled(
        self, service: igd.Service, wanted: MappingRequest, attempt: IgdAttempt, refused: Refused
    ) -> Granted | Refused:
        """Some routers show a row in the list alone: only if it is not there either nothing was made. Whether
        such a row is an older one nobody can know who has not seen it before, unless by what it is. Others
        make another port than the one asked for, and call that a failure."""
        if refused.failure == "unreachable" and not attempt.unsettled:
            return refused
        if not attempt.failed:
            return msgspec.structs.replace(refused, unsettled=attempt.unsettled)
        table = await list_rows(self.gateway, service)
        ours = [row for row in table.entries if row.transport == wanted.transport and _same(row, wanted)]
        there = [row for row in ours if row.external_port in attempt.failed]
        unasked = [row for row in ours if row.description and attempt.has_not_asked_for(row)]
        made = [row for row in there if attempt.may_have_made(row)] + ([] if wanted.exact else unasked)
        for row in (*made[1:], *(unasked if wanted.exact else ())):
            await self._delete_port(service, wanted, row.external_port, _same)
        if made:
            attempt.quirks.append(_all_the_same(refused))
            return await self._granted(wanted, attempt, made[0].external_port)
        if there:
            return msgspec.structs.replace(refused, unsettled=True, detail=OLDER)
        # a web server that answers every call with a page of its own has passed none on
        unread = bool(table.incomplete) and not (table.refusal is not None and table.refusal.http)
        return msgspec.structs.replace(refused, unsettled=attempt.unsettled or unread)

    async def delete(self, wanted: MappingRequest, granted: Granted | None = None) -> Refused | None:
        """Only what leads to this mapping's own inside is removed. If the answer was never seen, the router's
        table tells what came of the question, and the port that was asked for is tried in any case: no list
        proves that there is nothing. Where one service is broken or has none, so the next one is asked."""
        refused = await self._delete_by(self.service, wanted, granted)
        for other in self._further:
            if refused is not None and not (refused.absent or is_broken(refused)):
                break
            if refused is None and granted is not None and not await self._has(other, wanted, granted):
                continue
            again = await self._delete_by(other, wanted, granted)
            if again is None or not (is_broken(again) or (again.absent and refused is None)):
                refused = again
        never_shown = granted is not None and granted.listed is False and not granted.proven
        if never_shown and refused is not None and refused.absent:
            await asyncio.sleep(_GONE_AFTER_S[-1])  # what was asked for a moment ago may come yet
            refused = await self._delete_by(self.service, wanted, granted)
        return refused if never_shown else _unless_absent(refused)

    @property
    def _further(self) -> tuple[igd.Service, ...]:
        """Where else a mapping may be."""
        return tuple(each for each in self._known if each is not self.service)[:_MAX_FURTHER]

    async def _has(self, service: igd.Service, wanted: MappingRequest, granted: Granted) -> bool:
        row = await row_at(self.gateway, service, wanted.transport, granted.external_port)
        return isinstance(row, TableEntry) and _leads_to(row, wanted)

    async def _delete_by(
        self, service: igd.Service, wanted: MappingRequest, granted: Granted | None
    ) -> Refused | None:
        """A refusal that is `absent`: this service has none."""
        if granted is None:
            return await self._delete_unseen(service, wanted)
        left = await self._delete_port(service, wanted, granted.external_port, _leads_to, granted.named)
        if left is not None and left.absent and granted.listed is None:
            # where it is no table has ever told
            return left if await self._delete_unseen(service, wanted) else None
        return left

    async def _delete_unseen(self, service: igd.Service, wanted: MappingRequest) -> Refused | None:
        """What a question may have made whose answer was never seen."""
        table = await list_rows(self.gateway, service)
        there = [each for each in table.entries if each.transport == wanted.transport]
        ours = [each for each in there if _same(each, wanted)]
        listed = {each.external_port for each in there}
        tried = [port for port in islice(ports_to_try(wanted), _MAX_TRIES) if port not in listed]
        rows = [await row_at(self.gateway, service, wanted.transport, port) for port in tried]
        ours += [row for row in rows if isinstance(row, TableEntry) and _same(row, wanted)]
        found = [row.external_port for row in ours]
        unshown = [port for port in tried if port == wanted.suggested_port and port not in found]
        refusals = [await self._delete_port(service, wanted, port, _same) for port in (*found, *unshown)]
        refused = next((each for each in map(_unless_absent, refusals) if each is not None), None)
        # one without a name may be another protocol's
        if refused is not None or any(row.description for row in ours) or not wanted.own_ports:
            return refused
        unknown = [each for each in there if _leads_to(each, wanted) and each not in ours]
        if unknown:
            return nobodys(unknown[0])
        # AddAnyPortMapping makes another port than the one asked for where that is taken
        elsewhere = table.incomplete and service.version >= 2 and not wanted.exact
        return may_be_elsewhere(table) if elsewhere else None

    async def listing(self) -> Listing:
        """Row after row (`igdtable`)."""
        return await list_all(self.gateway, (self.service, *self._further))

    async def read_back(
        self, wanted: MappingRequest, granted: Granted, *, unlisted: bool = False
    ) -> TableEntry | Refused:
        """Its row by itself, or else in the list. One that is `unlisted` is not believed if the same is shown
        for another port too."""
        is_inside = partial(_leads_to, wanted=wanted) if not unlisted else lambda row: False
        return await row_of_inside(
            self.gateway, self.service, wanted.transport, granted.external_port, is_inside
        )

    async def check(self) -> RouterState:
        """The connection's uptime goes back when the router restarts (GetStatusInfo)."""
        status = await self._call(igd.GET_STATUS)
        if isinstance(status, Refused):
            return "silent"
        return "same" if self._learn(status.uptime_s) else "restarted"

    @property
    def tells_restarts(self) -> bool:
        """Does its uptime go on as time does?"""
        return self._uptime.tells

    def _learn(self, uptime_s: int | None) -> bool:
        return uptime_s is None or self._uptime.update(uptime_s, asyncio.get_running_loop().time())

    async def _granted(self, wanted: MappingRequest, attempt: IgdAttempt, port: int) -> Granted:
        quirks = tuple(attempt.quirks)
        if wanted.external_port not in (None, port):
            quirks = (*quirks, f"asked for port {wanted.external_port}, got {port}")
        return Granted(
            protocol="upnp-igd",
            transport=wanted.transport,
            internal=wanted.internal,
            external_host=await self._address(),
            external_port=port,
            lifetime_s=attempt.lease_s or None,
            maybe_twice=attempt.maybe_twice,
            renewed=attempt.renewed,
            quirks=quirks,
        )

    async def _address(self) -> str | None:
        now = asyncio.get_running_loop().time()
        if self._external is None or now - self._asked_at > _FRESH_S:
            address = await self._call(igd.GET_EXTERNAL_ADDRESS)
            if not isinstance(address, Refused):
                self._external, self._asked_at = self.gateway.outside(address) or self._external, now
        return self._external

    async def _delete_port(
        self,
        service: igd.Service,
        wanted: MappingRequest,
        external_port: int,
        is_ours: Callable[[TableEntry, MappingRequest], bool],
        named: str | None = None,
    ) -> Refused | None:
        """`named`: what the table called it when it was made. A refusal that is `absent`: the router neither
        shows one nor removes any."""

        async def look(believed: bool) -> TableEntry | Refused:
            return await row_or_listed(
                self.gateway,
                service,
                wanted.transport,
                external_port,
                lambda row: is_ours(row, wanted) is believed,
            )

        row = await look(True)
        if isinstance(row, TableEntry) and not is_ours(row, wanted):
            return None
        if isinstance(row, TableEntry) and named not in (None, row.description) and not is_named(row, wanted):
            return replaced(row)
        # asked for in any case where the router shows none: some never show any
        refused = await call(self.gateway, service, igd.delete_port_mapping(wanted.transport, external_port))
        if refused is None or refused.absent:
            left = None
            for pause_s in _GONE_AFTER_S if refused is None else (0.0,):
                await asyncio.sleep(pause_s)
                row = await look(False)
                left = row if isinstance(row, TableEntry) and is_ours(row, wanted) else None
                if left is None:
                    break
            return refused if left is None else still_there(left)
        seen = await look_up(self.gateway, service, wanted.transport, external_port)
        return seen if isinstance(seen, Refused) and seen.absent else refused

    async def _call(self, action: igd.Call[T]) -> T | Refused:
        return await call(self.gateway, self.service, action)


def _unless_absent(refused: Refused | None) -> Refused | None:
    """What is not there is gone."""
    return None if refused is not None and refused.absent else refused


def _same(entry: TableEntry, wanted: MappingRequest) -> bool:
    """Is it the mapping that was asked for, made before?"""
    return _leads_to(entry, wanted) and _is_known(entry, wanted)


def _is_known(entry: TableEntry, wanted: MappingRequest) -> bool:
    """By its name, or by its port where the router has given it a name of its own."""
    return is_named(entry, wanted) or entry.external_port in wanted.own_ports


def _made_now(row: TableEntry, wanted: MappingRequest, before: TableEntry | None) -> bool:
    """Is it what was asked for, and not what was there `before`?"""
    return _same(row, wanted) and (before is None or _made_over(before, row))


def _made_over(before: TableEntry, now: TableEntry) -> bool:
    """Is the row of a port another one now than it was `before`, a moment ago? A lifetime that runs down as
    time does is the same one; a row that has not changed is whose it was."""
    if (before.description, before.enabled) != (now.description, now.enabled):
        return True
    if before.lifetime_s is None or now.lifetime_s is None:
        return before.lifetime_s != now.lifetime_s
    return not 0 <= before.lifetime_s - now.lifetime_s <= READ_BACK_WITHIN_S


def _all_the_same(refused: Refused) -> str:
    said = f"no valid answer ({refused.failure})" if refused.code is None else f"error {refused.code}"
    return f"{said}, but it is in the table"


def _leads_to(entry: TableEntry, wanted: MappingRequest) -> bool:
    """Does it lead to that inside? Some routers name the machine instead of giving its address: then the
    port and the description have to do."""
    if entry.internal.port != wanted.internal.port:
        return False
    return entry.internal == wanted.internal or (
        not _is_address(entry.internal.host) and bool(entry.description) and _is_known(entry, wanted)
    )


def _is_address(host: str) -> bool:
    try:
        parse_address(host)
    except ValueError:
        return False
    return True
