"""Requests to a router and their results, the same for all three protocols."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol

import msgspec

from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.mappingseen import MapOffer
from nattools.model.portmapping import MAPPING_NAME, MappingProtocol, Refusal
from nattools.probes.portmap.gateway import GatewayContext
from nattools.protocols import pcp

FailureKind = Literal["refused", "timeout", "unreachable", "malformed", "not asked"]
"""The router refused, did not answer, could not be reached, sent an invalid answer, or was not asked."""
RouterState = Literal["same", "restarted", "silent"]
_ABSENT = (714, 730)
"""UPnP's NoSuchEntryInArray and PortMappingNotFound."""
RESTARTED = "the router has restarted since the last answer"
"""A quirk of an answer after which the client's other mappings are gone."""


class MappingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping to ask for. It holds all that is needed to remove the mapping again, even if the answer
    never came: store it before asking.

    `internal` is this machine's own address and port. `external_port` None leaves the choice to the router;
    with `exact` any other port counts as a refusal. A `lifetime_s` of 0 means permanent (UPnP only).
    `nonce` is PCP's proof that a later request comes from the same client (RFC 6887 11.2): 12 random bytes.
    `own_ports` are external ports that were asked for when nothing stood in the way: what leads here from one
    of them is ours, whatever the router calls it.
    """

    transport: Transport
    internal: Endpoint
    nonce: bytes = msgspec.field(default_factory=pcp.new_nonce)
    external_port: int | None = None
    exact: bool = False
    lifetime_s: int = 7200
    description: str = MAPPING_NAME
    own_ports: tuple[int, ...] = ()

    @property
    def suggested_port(self) -> int:
        """The external port to ask for: the wanted one, else the internal one; 0 (any) where many routers
        would refuse that, since it is below 1024."""
        if self.external_port is not None:
            return self.external_port
        return self.internal.port if self.internal.port >= 1024 else 0

    @property
    def family(self) -> Family:
        """4: a port mapping. 6: a pinhole."""
        return self.internal.family


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping that the router says it has made; only a test from outside proves it.

    `external_host` is None where the router does not know its address. `lifetime_s` None: until it is
    deleted. `unique_id` is a UPnP pinhole's. `listed`: the router's table has it (None: that is not known);
    `proven`: a test from outside has shown it, whatever the table says. `named`: what the table calls it
    (None: that is not known). `maybe_twice`: the router was asked
    in another way before, and failed; it may have made a second one then. `renewed`: its table had it before,
    and may show that for a moment more. `quirks` say what is odd about the
    answer, for people.
    """

    protocol: MappingProtocol
    transport: Transport
    internal: Endpoint
    external_host: str | None
    external_port: int
    lifetime_s: int | None
    epoch_s: int | None = None
    unique_id: int | None = None
    listed: bool | None = None
    proven: bool = False
    named: str | None = None
    maybe_twice: bool = False
    renewed: bool = False
    quirks: tuple[str, ...] = ()

    @property
    def doubtful(self) -> bool:
        """Does the router itself say something else: no such row in its table, or a lifetime of 0? Only a
        look from outside can settle it then."""
        return self.listed is False or self.lifetime_s == 0

    @property
    def external(self) -> Endpoint | None:
        """Where others reach it; None as long as the address is not known."""
        return None if self.external_host is None else Endpoint(self.external_host, self.external_port)


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """No mapping, no list, no deletion. `refusal` is None unless the router gave a code. `unsettled`: another
    question about the same was not answered before, or not undone, so that there may be a mapping.
    `replaced`: the mapping is gone, for another program has made its own in its place. `left_s`: for so long
    the router says that it lives on. `closed`: nobody listens there any more."""

    protocol: MappingProtocol
    failure: FailureKind
    refusal: Refusal | None = None
    detail: str = ""
    unsettled: bool = False
    replaced: bool = False
    left_s: int | None = None
    closed: bool = False

    @property
    def code(self) -> int | None:
        """The router's error code, if it gave one of the protocol's own."""
        return None if self.refusal is None or self.refusal.http else self.refusal.code

    @property
    def certain(self) -> bool:
        """Is it certain that nothing was made?"""
        return self.failure in ("refused", "not asked", "unreachable") and not self.unsettled

    @property
    def absent(self) -> bool:
        """Is it certain that there is no such mapping? Anything else leaves that open."""
        return self.failure == "refused" and self.denied

    @property
    def denied(self) -> bool:
        """Does the router show no such mapping where it was asked for alone?"""
        return self.protocol == "upnp-igd" and self.code in _ABSENT


class TableEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping in the router's table, whoever made it. `external_host` None: the table has no address.
    `lifetime_s` None: until it is deleted, unless the router tells no lifetimes. `quirks` are what was odd
    about how it was found."""

    transport: Transport
    internal: Endpoint
    external_port: int
    lifetime_s: int | None
    tells_lifetime: bool = True
    external_host: str | None = None
    description: str = ""
    enabled: bool = True
    quirks: tuple[str, ...] = ()


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A router's table as far as it could be read. `incomplete` says as a clause why rows may be missing,
    and `refusal` is the router's, if it refused; "": that is all of it. What is not in an incomplete one may
    be there all the same."""

    entries: tuple[TableEntry, ...] = ()
    incomplete: str = ""
    refusal: Refusal | None = None


def is_named(entry: TableEntry, wanted: MappingRequest) -> bool:
    """Has it the name that was asked for? Some routers shorten it or keep none, write it in capitals, or
    write words of their own before it."""
    named = entry.description.casefold()
    return wanted.description.casefold().startswith(named) or MAPPING_NAME in named.split()


def as_entry(granted: Granted) -> TableEntry:
    """A mapping as the router's table would have it."""
    return TableEntry(
        transport=granted.transport,
        internal=granted.internal,
        external_port=granted.external_port,
        lifetime_s=granted.lifetime_s,
        external_host=granted.external_host,
    )


def as_granted(row: TableEntry) -> Granted:
    """A row of the router's table as the mapping that it is."""
    return Granted(
        protocol="upnp-igd",
        transport=row.transport,
        internal=row.internal,
        external_host=row.external_host,
        external_port=row.external_port,
        lifetime_s=row.lifetime_s,
        named=row.description,
    )


def suggesting(wanted: MappingRequest, granted: Granted) -> MappingRequest:
    """The request once more, with the external port that was granted: a renewal."""
    return msgspec.structs.replace(wanted, external_port=granted.external_port, exact=False)


def new_offer(
    gateway: GatewayContext,
    protocol: MappingProtocol,
    server: str,
    outcome: Literal["answered"] | FailureKind,
    **known: Any,
) -> MapOffer:
    """An offer of the router that `gateway` leads to; `known` are further fields."""
    return MapOffer(
        probe="map-discovery",
        protocol=protocol,
        family=gateway.family,
        interface=gateway.interface,
        local=gateway.local,
        server=server,
        outcome=outcome,
        **known,
    )


class Mapper(Protocol):
    """A router that makes mappings by one protocol. No method raises for a network failure."""

    offer: MapOffer
    gateway: GatewayContext

    async def make(
        self, wanted: MappingRequest, asking: Callable[[int], None] = lambda port: None
    ) -> Granted | Refused:
        """Make the mapping; or renew it, if it is there already. By UPnP, `asking` hears of each external
        port before it is asked for: nothing stands in its way then, so that what leads here from there later
        is ours."""

    async def delete(self, wanted: MappingRequest, granted: Granted | None = None) -> Refused | None:
        """Remove what was made, or may have been made if no answer came; None: it is gone."""

    async def listing(self) -> Listing | None:
        """The router's table; None: the protocol has no way to read it."""

    async def read_back(
        self, wanted: MappingRequest, granted: Granted, *, unlisted: bool = False
    ) -> TableEntry | Refused | None:
        """What the router has now at that external port, whosever it is: compare `internal`. A refusal that
        is `absent`: nothing, as far as the router shows its table; any other: that cannot be known. By PCP
        and NAT-PMP a mapping can only be renewed; None: that would do harm. `unlisted`: its list, read just
        now, has not shown it."""

    async def check(self) -> RouterState:
        """Has the router lost its mappings since the last answer?"""

    @property
    def tells_restarts(self) -> bool:
        """Would it show in that answer?"""


def asking_from(mapper: Mapper, host: str) -> Mapper:
    """The same mapper, asking from another address of this machine: routers map to the address that asks."""
    if mapper.gateway.local == host:
        return mapper
    other = copy.copy(mapper)
    other.gateway = msgspec.structs.replace(mapper.gateway, local=host)
    return other


async def remove_mapping(
    mappers: Iterable[Mapper],
    wanted: MappingRequest,
    protocol: MappingProtocol,
    granted: Granted | None = None,
) -> Refused | None:
    """Remove a mapping by the protocol that made it; where that is refused, by any other that can find it;
    None: it is gone. `granted` None: the answer was never seen."""
    ordered = sorted(mappers, key=lambda each: each.offer.protocol != protocol)
    refused: Refused | None = None
    for mapper in ordered:
        if mapper.offer.family != wanted.family:
            continue
        if mapper.offer.protocol == protocol:
            refused = await mapper.delete(wanted, granted)
            if refused is None:
                return None
        elif mapper.offer.protocol == "upnp-igd" and await _remove_shown(mapper, wanted):
            return None
    return refused or Refused(protocol=protocol, failure="unreachable", detail="no router can be asked")


async def _remove_shown(mapper: Mapper, wanted: MappingRequest) -> bool:
    """Remove by UPnP what another protocol has made; is it gone for certain? It is only what UPnP's table
    shows, under whatever name the router gave it; pinholes have no table."""
    table = await mapper.listing()
    if table is None:
        return await mapper.delete(wanted) is None
    inside = (wanted.transport, wanted.internal)
    rows = [each for each in table.entries if (each.transport, each.internal) == inside]
    made = [as_granted(row) for row in rows]
    return bool(made) and all([await mapper.delete(wanted, each) is None for each in made])
