"""Port mappings by UPnP, on one internet gateway."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.probes.portmap import httpclient
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.mapper import (
    Granted,
    MappingRequest,
    Offer,
    Refused,
    RouterState,
    TableEntry,
    as_entry,
)
from nattools.protocols import igd
from nattools.protocols.igd import ErrorCode
from nattools.protocols.retransmission import EpochClock
from nattools.wording.refusals import upnp_refusal

T = TypeVar("T")

_MAX_ENTRIES = 512
_LIST_S = 10.0
_MAX_TRIES = 6
_SHORT_LEASE_S = 3600
_LOWEST_PORT = 1024
# Another external port may do where these are said
_TAKEN = (ErrorCode.CONFLICT, ErrorCode.NO_PORT_MAPS, ErrorCode.OTHER_MECHANISM, ErrorCode.ACTION_FAILED)
# These end a list: 713 by the standard, the others are what some routers say instead
_END_OF_LIST = (ErrorCode.ARRAY_INDEX_INVALID, ErrorCode.NO_SUCH_ENTRY, ErrorCode.INVALID_ARGS)
_GONE = (ErrorCode.NO_SUCH_ENTRY, ErrorCode.MAPPING_NOT_FOUND)


async def call(gateway: GatewayContext, service: igd.Service, action: igd.Call[T]) -> T | Refused:
    """Call an action and read its result; a fault becomes a refusal in plain words."""
    response = await httpclient.ask(gateway, service.control, igd.encode_call(service, action))
    if isinstance(response, httpclient.HttpFailure):
        return Refused(protocol="upnp-igd", failure=response.failure, detail=response.detail)
    try:
        answer = igd.parse_answer(response, action.action)
        if isinstance(answer, igd.Answer):
            return action.read(answer)
    except ProtocolError as error:
        return Refused(protocol="upnp-igd", failure="malformed", detail=str(error))
    told = upnp_refusal(
        answer.code,
        pinhole=service.kind == "WANIPv6FirewallControl",
        description=answer.description,
        from_http=answer.from_http,
    )
    return Refused(protocol="upnp-igd", failure="refused", refusal=told, detail=answer.description)


class IgdMapper:
    """`mapper.Mapper` by UPnP: IPv4 port mappings by a WAN...Connection service."""

    def __init__(
        self, gateway: GatewayContext, offer: Offer, service: igd.Service, uptime_s: int | None = None
    ) -> None:
        self.offer = offer
        self.service = service
        self.gateway = gateway
        self._uptime = EpochClock()
        self._learn(uptime_s)
        self._external = offer.external

    async def make(self, wanted: MappingRequest) -> Granted | Refused:
        """Ask until the router is content: error 725 means permanent leases only, 402 may mean that too, or
        the contrary; a port that is taken is another's, so the next one is tried unless `exact`."""
        attempt = _Attempt(wanted)
        refused = Refused(protocol="upnp-igd", failure="malformed", detail="no attempt was made")
        for _ in range(_MAX_TRIES):
            owner = await self._occupant(wanted, attempt.port)
            if owner is None:
                answer = await self._add(wanted, attempt)
                if not isinstance(answer, Refused):
                    return await self._granted(wanted, attempt, answer or attempt.port)
                refused = answer
            else:
                refused = _conflict(owner)
            if not attempt.adapt(refused):
                break
        return refused

    async def delete(self, wanted: MappingRequest, granted: Granted | None = None) -> Refused | None:
        """Only what leads to this mapping's own inside is removed; if the answer was never seen, the router's
        table tells what came of the question."""
        if granted is not None:
            return await self._delete_port(wanted, granted.external_port)
        entries = await self.entries()
        if isinstance(entries, Refused):
            return entries
        for entry in entries:
            if entry.transport == wanted.transport and _same(entry, wanted):
                refused = await self._delete_port(wanted, entry.external_port)
                if refused is not None:
                    return refused
        return None

    async def entries(self) -> list[TableEntry] | Refused:
        """The router's table, at most 512 rows and 10 s of it. A row that cannot be read is skipped, and so
        is one that is missing if the next one is not: some routers number their rows with gaps."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _LIST_S
        found: list[TableEntry] = []
        missing = 0
        for index in range(_MAX_ENTRIES):
            if loop.time() >= until:
                break
            row = await self._call(igd.get_generic_entry(index))
            if isinstance(row, Refused):
                missing += 1
                if row.code == ErrorCode.NO_SUCH_ENTRY and missing == 1:
                    continue
                return found if found or row.code in _END_OF_LIST else row
            missing = 0
            if row is not None:
                if row.is_blank:
                    break
                found.append(_entry(row))
        return found

    async def read_back(self, wanted: MappingRequest, granted: Granted) -> TableEntry | Refused:
        """GetSpecificPortMappingEntry."""
        return await self._row(wanted, granted.external_port)

    async def check(self) -> RouterState:
        """The connection's uptime goes back when the router restarts (GetStatusInfo)."""
        status = await self._call(igd.GET_STATUS)
        if isinstance(status, Refused):
            return "silent"
        return "same" if self._learn(status.uptime_s) else "restarted"

    def _learn(self, uptime_s: int | None) -> bool:
        return uptime_s is None or self._uptime.update(uptime_s, asyncio.get_running_loop().time())

    async def _row(self, wanted: MappingRequest, external_port: int) -> TableEntry | Refused:
        row = await self._call(igd.get_specific_entry(wanted.transport, external_port))
        if isinstance(row, Refused):
            return row
        if row.is_blank:  # what some routers say of a mapping that is not there
            refusal = upnp_refusal(ErrorCode.NO_SUCH_ENTRY)
            return Refused(protocol="upnp-igd", failure="refused", refusal=refusal)
        return _entry(row)

    async def _occupant(self, wanted: MappingRequest, external_port: int) -> TableEntry | None:
        """Who has the port already? Routers overwrite a mapping of the same machine without a word, whichever
        of its programs made it."""
        row = await self._row(wanted, external_port)
        return None if isinstance(row, Refused) or _same(row, wanted) else row

    async def _add(self, wanted: MappingRequest, attempt: _Attempt) -> int | Refused | None:
        any_port = self.service.version >= 2 and not wanted.exact and not attempt.plain
        action = igd.add_port_mapping(
            transport=wanted.transport,
            external_port=attempt.port,
            internal_host=wanted.internal.host,
            internal_port=wanted.internal.port,
            description=wanted.description,
            lease_s=attempt.lease_s,
            any_port=any_port,
        )
        answer = await self._call(action)
        if any_port and isinstance(answer, Refused) and _is_broken(answer):
            attempt.plain = True
            return await self._add(wanted, attempt)
        return answer

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
            self._external = None if isinstance(address, Refused) else address
        return self._external

    async def _delete_port(self, wanted: MappingRequest, external_port: int) -> Refused | None:
        # asked for in any case where the router shows none: some never show any
        row = await self._row(wanted, external_port)
        if isinstance(row, TableEntry) and row.internal != wanted.internal:
            return None
        refused = await self._call(igd.delete_port_mapping(wanted.transport, external_port))
        return refused if refused is not None and refused.code not in _GONE else None

    async def _call(self, action: igd.Call[T]) -> T | Refused:
        return await call(self.gateway, self.service, action)


class _Attempt:
    """What to ask for next, given what the router said to the last question."""

    def __init__(self, wanted: MappingRequest) -> None:
        self._wanted = wanted
        self._ports = _ports(wanted)
        self.port = next(self._ports)
        self.lease_s = min(wanted.lifetime_s, igd.actions.MAX_LEASE_S)
        self.plain = False
        self.quirks: list[str] = []
        self._leases_tried = {self.lease_s}

    def adapt(self, refused: Refused) -> bool:
        """Change what is asked for; False: nothing is left to try."""
        if refused.code == ErrorCode.ONLY_PERMANENT_LEASES:
            return self._lease(0, "the router makes permanent mappings only")
        if refused.code == ErrorCode.INVALID_ARGS:
            if self.lease_s:
                return self._lease(0, "the router refused a mapping with a lifetime (402)")
            return self._lease(_SHORT_LEASE_S, "the router refused a permanent mapping (402)")
        if refused.code is not None and refused.code < 0 and self.lease_s:
            # no standard has such codes; those that use them cannot do leases
            return self._lease(0, f"the router refused a mapping with a lifetime ({refused.code})")
        if refused.code == ErrorCode.SAME_PORTS_REQUIRED and not self._wanted.exact:
            return self._same_port()
        if refused.code == ErrorCode.NO_PORT_MAPS and not self.plain:
            # AddAnyPortMapping says so too where it is not allowed at all: AddPortMapping knows better
            self.plain = True
            return True
        if refused.code in _TAKEN and not self._wanted.exact:
            self.port = next(self._ports)
            return True
        return False

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
    and not below 1024 unless asked for."""
    if wanted.suggested_port:
        yield wanted.suggested_port
    while True:
        yield random.randint(_LOWEST_PORT, 65535)


def _entry(row: igd.PortMappingEntry) -> TableEntry:
    return TableEntry(
        transport=row.transport,
        internal=Endpoint(row.internal_host, row.internal_port),
        external_port=row.external_port,
        lifetime_s=row.lease_s or None,
        description=row.description,
        enabled=row.enabled,
    )


def _is_broken(refused: Refused) -> bool:
    """Does AddAnyPortMapping fail in a way that says nothing about AddPortMapping?"""
    if refused.failure in ("unreachable", "malformed"):
        return True
    return refused.code in (ErrorCode.INVALID_ACTION, ErrorCode.ACTION_FAILED)


def _same(entry: TableEntry, wanted: MappingRequest) -> bool:
    """Is it the mapping that was asked for, made before?"""
    return entry.internal == wanted.internal and entry.description == wanted.description


def _conflict(owner: TableEntry) -> Refused:
    return Refused(
        protocol="upnp-igd",
        failure="refused",
        refusal=upnp_refusal(ErrorCode.CONFLICT),
        detail=f"the port leads to {owner.internal} ({owner.description or 'no description'})",
    )


class PinholeMapper:
    """`mapper.Mapper` by UPnP: IPv6 pinholes by WANIPv6FirewallControl. It must be asked over IPv6, or the
    router refuses (606)."""

    def __init__(self, gateway: GatewayContext, offer: Offer, service: igd.Service) -> None:
        self.offer = offer
        self.service = service
        self.gateway = gateway

    async def make(self, wanted: MappingRequest) -> Granted | Refused:
        """AddPinhole, which renews one that is there. A pinhole has the inside port outside, too."""
        if wanted.exact and wanted.external_port != wanted.internal.port:
            detail = f"a pinhole has the same port on both sides, {wanted.internal.port}"
            return Refused(protocol="upnp-igd", failure="not asked", detail=detail)
        action = igd.add_pinhole(
            transport=wanted.transport,
            internal_host=wanted.internal.host,
            internal_port=wanted.internal.port,
            lease_s=wanted.lifetime_s or igd.actions.MAX_PINHOLE_LEASE_S,
        )
        number = await call(self.gateway, self.service, action)
        if isinstance(number, Refused):
            return number
        return Granted(
            protocol="upnp-igd",
            transport=wanted.transport,
            internal=wanted.internal,
            external_host=wanted.internal.host,
            external_port=wanted.internal.port,
            lifetime_s=int(action.arguments[-1][1]),
            unique_id=number,
        )

    async def delete(self, wanted: MappingRequest, granted: Granted | None = None) -> Refused | None:
        """DeletePinhole. If its number was never seen, asking for the same pinhole again tells it."""
        if granted is None or granted.unique_id is None:
            again = await self.make(msgspec.structs.replace(wanted, lifetime_s=1))
            if isinstance(again, Refused):
                return again
            granted = again
        action = igd.delete_pinhole(granted.unique_id or 0)
        answer = await call(self.gateway, self.service, action)
        if answer is None or answer.code == ErrorCode.NO_SUCH_PINHOLE:
            return None
        # miniupnpd 2.3.1 says 402 of a number that it does not know any more
        there = await self.read_back(wanted, granted)
        gone = isinstance(there, Refused) and there.code in (
            ErrorCode.NO_SUCH_PINHOLE,
            ErrorCode.INVALID_ARGS,
        )
        return None if gone and answer.code == ErrorCode.INVALID_ARGS else answer

    async def entries(self) -> list[TableEntry] | Refused | None:
        """Pinholes have no list."""
        return None

    async def read_back(self, wanted: MappingRequest, granted: Granted) -> TableEntry | Refused:
        """CheckPinholeWorking: it exists if the router knows it, whether or not a packet has passed (709)."""
        action = igd.check_pinhole_working(granted.unique_id or 0)
        working = await call(self.gateway, self.service, action)
        if isinstance(working, Refused) and working.code != ErrorCode.NO_TRAFFIC:
            return working
        return as_entry(granted)

    async def check(self) -> RouterState:
        """The service has no epoch: it answers or it does not."""
        status = await call(self.gateway, self.service, igd.GET_FIREWALL_STATUS)
        return "silent" if isinstance(status, Refused) else "same"
