"""Port mappings by UPnP, on one internet gateway."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar

import msgspec

from nattools.model.endpoint import parse_address
from nattools.model.portmapping import MAPPING_NAME, READ_BACK_WITHIN_S
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.igdcall import call, is_broken
from nattools.probes.portmap.igdtable import list_rows, look_up, row_at
from nattools.probes.portmap.mapper import (
    Granted,
    Listing,
    MappingRequest,
    Offer,
    Refused,
    RouterState,
    TableEntry,
)
from nattools.protocols import igd
from nattools.protocols.igd import ErrorCode
from nattools.protocols.retransmission import EpochClock
from nattools.wording.refusals import upnp_refusal

T = TypeVar("T")

_MAX_TRIES = 6
_SHORT_LEASE_S = 3600
_LOWEST_PORT = 1024
_VALUES = (ErrorCode.INVALID_ARGS, ErrorCode.INVALID_VALUE, ErrorCode.OUT_OF_RANGE)
# Another external port may do where these are said
_TAKEN = (ErrorCode.CONFLICT, ErrorCode.NO_PORT_MAPS, ErrorCode.OTHER_MECHANISM, ErrorCode.ACTION_FAILED)


STILL_THERE = "the router says that the mapping is gone, but its table still has it"


class IgdMapper:
    """`mapper.Mapper` by UPnP: IPv4 port mappings by a WAN...Connection service. `others` are the router's
    further ones, which are asked where the first one turns out to be broken."""

    def __init__(
        self,
        gateway: GatewayContext,
        offer: Offer,
        service: igd.Service,
        uptime_s: int | None = None,
        others: tuple[igd.Service, ...] = (),
    ) -> None:
        self.offer = offer
        self.service = service
        self._others = others
        self.gateway = gateway
        self._uptime = EpochClock()
        self._learn(uptime_s)
        self._external = offer.external

    async def make(self, wanted: MappingRequest) -> Granted | Refused:
        """Ask until the router is content (`_Attempt`), by one service after the other."""
        refused = await self._make_by(self.service, wanted)
        for other in self._others:
            if not isinstance(refused, Refused) or not is_broken(refused):
                break
            result = await self._make_by(other, wanted)
            if isinstance(result, Granted):
                self.service = other
                return result
        return refused

    async def _make_by(self, service: igd.Service, wanted: MappingRequest) -> Granted | Refused:
        """A port that is taken is another's, so the next one is tried unless `exact`. Where the answer makes
        no sense or does not come, the table has the last word."""
        attempt = _Attempt(wanted, plain=service.version < 2 or wanted.exact)
        refused = Refused(protocol="upnp-igd", failure="malformed", detail="no attempt was made")
        for _ in range(_MAX_TRIES):
            row = await row_at(self.gateway, service, wanted.transport, attempt.port)
            there = isinstance(row, TableEntry) and _same(row, wanted)
            if there or isinstance(row, Refused):
                answer = await call(self.gateway, service, attempt.action())
                if not isinstance(answer, Refused):
                    return await self._granted(wanted, attempt, answer or attempt.port)
                refused = answer
                before = row if isinstance(row, TableEntry) else None
                if await self._made_after_all(service, wanted, attempt, refused, before):
                    return await self._granted(wanted, attempt, attempt.port)
            else:
                # routers overwrite a mapping of the same machine without a word, whichever program made it
                refused = _conflict(row)
            # a mapping of ours that is there already is not to get a second port
            if not attempt.adapt(refused, elsewhere=not there):
                break
        return await self._settled(service, wanted, attempt, refused)

    async def _made_after_all(
        self,
        service: igd.Service,
        wanted: MappingRequest,
        attempt: _Attempt,
        refused: Refused,
        before: TableEntry | None,
    ) -> bool:
        """Has a router made what it said no to, or nothing? Its table is believed, not its answer. What was
        there `before`, by whatever protocol, may have been made over: then the row is another one now."""
        row = await row_at(self.gateway, service, wanted.transport, attempt.port)
        there = isinstance(row, TableEntry) and _same(row, wanted)
        if isinstance(row, TableEntry) and there and (before is None or _made_over(before, row)):
            attempt.quirks.append(_all_the_same(refused))
            return True
        if not there:
            attempt.failed.append(attempt.port)
        attempt.unsettled = attempt.unsettled or not refused.certain
        return False

    async def _settled(
        self, service: igd.Service, wanted: MappingRequest, attempt: _Attempt, refused: Refused
    ) -> Granted | Refused:
        """Some routers show a row in the list alone: only if it is not there either nothing was made."""
        if refused.failure == "unreachable" and not attempt.unsettled:
            return refused
        if not attempt.failed:
            return msgspec.structs.replace(refused, unsettled=attempt.unsettled)
        table = await list_rows(self.gateway, service)
        ports = [each.external_port for each in table.entries if _is_at(each, wanted, attempt.failed)]
        for port in ports[1:]:
            await self._delete_port(wanted, port, _same)
        if ports:
            attempt.quirks.append(_all_the_same(refused))
            return await self._granted(wanted, attempt, ports[0])
        # a web server that answers every call with a page of its own has passed none on
        unread = bool(table.incomplete) and not (table.refusal is not None and table.refusal.http)
        return msgspec.structs.replace(refused, unsettled=attempt.unsettled or unread)

    async def delete(self, wanted: MappingRequest, granted: Granted | None = None) -> Refused | None:
        """Only what leads to this mapping's own inside is removed. If the answer was never seen, the router's
        table tells what came of the question, and the port that was asked for is tried in any case: no list
        proves that there is nothing."""
        if granted is not None:
            return await self._delete_port(wanted, granted.external_port, _leads_to)
        there = [each for each in (await self.listing()).entries if each.transport == wanted.transport]
        ports = [each.external_port for each in there if _same(each, wanted)]
        listed = {each.external_port for each in there}
        for port in islice(_ports(wanted), _MAX_TRIES):
            if port not in listed and (port == wanted.suggested_port or await self._has(wanted, port)):
                ports.append(port)
        refusals = [await self._delete_port(wanted, port, _same) for port in ports]
        return next((each for each in refusals if each is not None), None)

    async def _has(self, wanted: MappingRequest, port: int) -> bool:
        row = await row_at(self.gateway, self.service, wanted.transport, port)
        return isinstance(row, TableEntry) and _same(row, wanted)

    async def listing(self) -> Listing:
        """Row after row (`igdtable`)."""
        return await list_rows(self.gateway, self.service)

    async def read_back(self, wanted: MappingRequest, granted: Granted) -> TableEntry | Refused:
        """Its row by itself, or else in the list."""
        return await look_up(self.gateway, self.service, wanted.transport, granted.external_port)

    async def check(self) -> RouterState:
        """The connection's uptime goes back when the router restarts (GetStatusInfo)."""
        status = await self._call(igd.GET_STATUS)
        if isinstance(status, Refused):
            return "silent"
        return "same" if self._learn(status.uptime_s) else "restarted"

    def _learn(self, uptime_s: int | None) -> bool:
        return uptime_s is None or self._uptime.update(uptime_s, asyncio.get_running_loop().time())

    async def _granted(self, wanted: MappingRequest, attempt: _Attempt, port: int) -> Granted:
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
            quirks=quirks,
        )

    async def _address(self) -> str | None:
        if self._external is None:
            address = await self._call(igd.GET_EXTERNAL_ADDRESS)
            self._external = None if isinstance(address, Refused) else self.gateway.outside(address)
        return self._external

    async def _delete_port(
        self,
        wanted: MappingRequest,
        external_port: int,
        is_ours: Callable[[TableEntry, MappingRequest], bool],
    ) -> Refused | None:
        row = await row_at(self.gateway, self.service, wanted.transport, external_port)
        if isinstance(row, TableEntry) and not is_ours(row, wanted):
            return None
        # asked for in any case where the router shows none: some never show any
        refused = await self._call(igd.delete_port_mapping(wanted.transport, external_port))
        if refused is None or refused.absent:
            row = await row_at(self.gateway, self.service, wanted.transport, external_port)
            there = isinstance(row, TableEntry) and is_ours(row, wanted)
            return Refused(protocol="upnp-igd", failure="malformed", detail=STILL_THERE) if there else None
        left = await look_up(self.gateway, self.service, wanted.transport, external_port)
        return None if isinstance(left, Refused) and left.absent else refused

    async def _call(self, action: igd.Call[T]) -> T | Refused:
        return await call(self.gateway, self.service, action)


class _Attempt:
    """What to ask for next, given what the router said to the last question."""

    def __init__(self, wanted: MappingRequest, *, plain: bool) -> None:
        self._wanted = wanted
        self._ports = _ports(wanted)
        self._plain = plain
        self._description = wanted.description
        self.port = next(self._ports)
        self.lease_s = min(wanted.lifetime_s, igd.actions.MAX_LEASE_S)
        self.quirks: list[str] = []
        self.failed: list[int] = []
        self.unsettled = False
        self._leases_tried = {self.lease_s}

    def action(self) -> igd.Call[int | None]:
        """AddPortMapping, or AddAnyPortMapping unless `plain`."""
        return igd.add_port_mapping(
            transport=self._wanted.transport,
            external_port=self.port,
            internal_host=self._wanted.internal.host,
            internal_port=self._wanted.internal.port,
            description=self._description,
            lease_s=self.lease_s,
            any_port=not self._plain,
        )

    def adapt(self, refused: Refused, *, elsewhere: bool) -> bool:
        """Change what is asked for; False: nothing is left to try. `elsewhere`: another port will do."""
        code = refused.code
        if not self._plain and (is_broken(refused) or code == ErrorCode.NO_PORT_MAPS):
            # which says nothing about AddPortMapping; 728 is also said where the port is not allowed at all
            self._plain = True
            return True
        if code == ErrorCode.ONLY_PERMANENT_LEASES:
            return self._lease(0, "the router makes permanent mappings only")
        if code == ErrorCode.TOO_LONG and self._description != MAPPING_NAME:
            self._description = MAPPING_NAME
            return True
        if code == ErrorCode.SAME_PORTS_REQUIRED and not self._wanted.exact:
            return self._same_port()
        if _may_mean_lease(refused) and self._other_lease(refused):
            return True
        if code in _TAKEN and elsewhere and not self._wanted.exact:
            self.port = next(self._ports)
            return True
        return False

    def _other_lease(self, refused: Refused) -> bool:
        """Many routers that make permanent mappings alone, or none, do not say so by 725."""
        name = "no valid answer" if refused.refusal is None else str(refused.refusal.code)
        if self.lease_s:
            return self._lease(0, f"the router refused a mapping with a lifetime ({name})")
        return self._lease(_SHORT_LEASE_S, f"the router refused a permanent mapping ({name})")

    def _lease(self, lease_s: int, quirk: str) -> bool:
        if lease_s in self._leases_tried:
            return False
        self._leases_tried.add(lease_s)
        self.lease_s = lease_s
        self.quirks.append(quirk)
        return True

    def _same_port(self) -> bool:
        if self.port == self._wanted.internal.port:
            return False
        self.port = self._wanted.internal.port
        self.quirks.append("the router wants the external port to equal the internal one")
        return True


def _ports(wanted: MappingRequest) -> Iterator[int]:
    """External ports to try: the wanted one, the internal one, then others; never 0, which means all ports,
    and not below 1024 unless asked for. They are the same ones whenever the request is read again: a mapping
    whose answer was never seen can be looked for."""
    if wanted.suggested_port:
        yield wanted.suggested_port
    draw = random.Random(wanted.nonce)
    while True:
        yield draw.randint(_LOWEST_PORT, 65535)


def _may_mean_lease(refused: Refused) -> bool:
    """Might it be the lifetime that the router does not like? No standard has negative codes."""
    return is_broken(refused) or refused.code in _VALUES or (refused.code or 0) < 0


def _same(entry: TableEntry, wanted: MappingRequest) -> bool:
    """Is it the mapping that was asked for, made before?"""
    return _leads_to(entry, wanted) and _is_named(entry, wanted)


def _made_over(before: TableEntry, now: TableEntry) -> bool:
    """Is the row of a port another one now than it was `before`, a moment ago? A lifetime that runs down as
    time does is the same one; a row that has not changed is whose it was."""
    if (before.description, before.enabled) != (now.description, now.enabled):
        return True
    if before.lifetime_s is None or now.lifetime_s is None:
        return before.lifetime_s != now.lifetime_s
    return not 0 <= before.lifetime_s - now.lifetime_s <= READ_BACK_WITHIN_S


def _is_at(entry: TableEntry, wanted: MappingRequest, ports: list[int]) -> bool:
    """Is it our mapping at one of these ports?"""
    return entry.transport == wanted.transport and entry.external_port in ports and _same(entry, wanted)


def _all_the_same(refused: Refused) -> str:
    said = f"no valid answer ({refused.failure})" if refused.code is None else f"error {refused.code}"
    return f"{said}, but it is in the table"


def _leads_to(entry: TableEntry, wanted: MappingRequest) -> bool:
    """Does it lead to that inside? Some routers name the machine instead of giving its address: then the
    port and the description have to do."""
    if entry.internal.port != wanted.internal.port:
        return False
    return entry.internal == wanted.internal or (
        not _is_address(entry.internal.host) and bool(entry.description) and _is_named(entry, wanted)
    )


def _is_named(entry: TableEntry, wanted: MappingRequest) -> bool:
    """Has it the name that was asked for? Some routers shorten it or keep none, or have it too short."""
    return wanted.description.startswith(entry.description) or entry.description == MAPPING_NAME


def _is_address(host: str) -> bool:
    try:
        parse_address(host)
    except ValueError:
        return False
    return True


def _conflict(owner: TableEntry) -> Refused:
    return Refused(
        protocol="upnp-igd",
        failure="refused",
        refusal=upnp_refusal(ErrorCode.CONFLICT),
        detail=f"the port leads to {owner.internal} ({owner.description or 'no description'})",
    )
