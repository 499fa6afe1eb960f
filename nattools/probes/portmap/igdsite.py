"""What is at the place of a description: a gateway, its services, and which of its connections is up."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from nattools.errors import ProtocolError
from nattools.model.mappingseen import MapOffer
from nattools.model.portmapping import Refusal
from nattools.probes.portmap import httpclient
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.igdcall import call, is_broken
from nattools.probes.portmap.igdmapper import IgdMapper
from nattools.probes.portmap.mapper import Mapper, Refused, new_offer
from nattools.probes.portmap.pinholemapper import PinholeMapper
from nattools.protocols import igd
from nattools.protocols.igd import ErrorCode
from nattools.protocols.routerurls import LanUrl
from nattools.wording.refusals import upnp_refusal

_AT_ONCE = 4
_MAX_CONNECTIONS = 16
_INSIST_S = 2.0
_MUTE = 2
_DEAD = 3
OFFLINE = 4


class FoundGateway(msgspec.Struct, frozen=True):
    """A gateway. `rank` 0: it is online with a public address, or lets pinholes be made; larger is worse: a
    private address, none, no answer that makes sense, as far as OFFLINE."""

    offer: MapOffer
    mapper: Mapper
    rank: int
    udn: str
    url: LanUrl


class DescriptionSite(msgspec.Struct, frozen=True):
    """Where a gateway was looked for, and what was odd already."""

    gateway: GatewayContext
    url: LanUrl
    quirks: tuple[str, ...] = ()

    def nothing(self, outcome: httpclient.Outcome, detail: str) -> MapOffer:
        """There is no gateway to be used, and why."""
        quirks = self.quirks
        return new_offer(self.gateway, "upnp-igd", str(self.url), outcome, quirks=quirks, detail=detail)

    def offer(self, description: igd.Description, service: igd.Service, **known: Any) -> MapOffer:
        """There is one."""
        legacy = " (DSL Forum)" if service.legacy else ""
        return new_offer(
            self.gateway,
            "upnp-igd",
            str(self.url),
            "answered",
            version=f"IGD:{description.igd_version or '?'}, {service.kind}:{service.version}{legacy}",
            name=f"{description.manufacturer} {description.model}".strip() or description.friendly_name,
            other=not self.gateway.forwards(self.url.host),
            quirks=(*self.quirks, *description.problems),
            **known,
        )


async def examine(site: DescriptionSite) -> FoundGateway | MapOffer:
    """Read the description there and ask for the status; an MapOffer that is not "answered" says why not."""
    response = await httpclient.get(site.gateway, site.url)
    if isinstance(response, httpclient.HttpFailure):
        return site.nothing(response.failure, response.detail)
    if response.status != 200:
        return site.nothing("malformed", f"{site.url}: HTTP status {response.status}")
    try:
        description = igd.parse_description(response.body, site.url, site.gateway.lan)
    except ProtocolError as error:
        return site.nothing("malformed", str(error))
    if site.gateway.family == 6:
        return await _firewall(site, description)
    return await _connections(site, description)


async def _connections(site: DescriptionSite, description: igd.Description) -> FoundGateway | MapOffer:
    """Which of its connections is up, with which address? The best one counts; some routers have many, of
    which the last one is up."""
    services = description.connections[:_MAX_CONNECTIONS]
    if not services:
        problem = f": {description.problems[-1]}" if description.problems else ""
        return site.nothing("malformed", f"it offers no port mappings{problem}")
    found: list[ConnectionStatus] = []
    for first in range(0, len(services), _AT_ONCE):
        async with asyncio.TaskGroup() as tasks:
            asked = [
                tasks.create_task(_connection(site.gateway, each))
                for each in services[first : first + _AT_ONCE]
            ]
        found += [task.result() for task in asked]
        if all(each.rank >= _MUTE for each in found):
            found = [await _asked_alone(site.gateway, each) for each in found]
        if min(each.rank for each in found) < OFFLINE:
            break
    found.sort(key=lambda each: each.rank)
    best, *rest = found
    others = tuple(each.service for each in rest if each.rank < OFFLINE)
    idle = tuple(each.service for each in rest if each.rank >= OFFLINE)
    known = {"external": best.external, "connected": best.connected, **_why(best.refused)}
    offer = site.offer(description, best.service, **known)
    mapper = IgdMapper(site.gateway, offer, best.service, best.uptime_s, others, idle)
    return FoundGateway(offer, mapper, best.rank, description.udn, site.url)


class ConnectionStatus(msgspec.Struct, frozen=True):
    """What a connection service says of itself; `service` is the variant that answered."""

    service: igd.Service
    rank: int
    connected: bool | None
    uptime_s: int | None
    external: str | None
    refused: Refused | None


async def _connection(gateway: GatewayContext, service: igd.Service) -> ConnectionStatus:
    """Ask it, where it is and as what it calls itself, or else in the other ways that there are."""
    first: ConnectionStatus | None = None
    for variant in service.variants:
        status, address = await _ask_both(gateway, variant)
        found = _status_of(gateway, variant, status, address)
        if found.rank != _DEAD:
            return found
        first = first or found
    assert first is not None  # a service is a variant of itself
    return first


async def _asked_alone(gateway: GatewayContext, before: ConnectionStatus) -> ConnectionStatus:
    """Some routers serve one connection at a time and hang up on the others: ask one question after the
    other."""
    if before.rank < _DEAD or before.refused is None or before.refused.refusal is not None:
        return before
    service = before.service
    status = await call(gateway, service, igd.GET_STATUS, insist_s=_INSIST_S)
    address = await call(gateway, service, igd.GET_EXTERNAL_ADDRESS, insist_s=_INSIST_S)
    return _status_of(gateway, service, status, address)


async def _ask_both(
    gateway: GatewayContext, service: igd.Service
) -> tuple[igd.Status | Refused, str | Refused | None]:
    async with asyncio.TaskGroup() as tasks:
        status = tasks.create_task(call(gateway, service, igd.GET_STATUS))
        address = tasks.create_task(call(gateway, service, igd.GET_EXTERNAL_ADDRESS))
    return status.result(), address.result()


def _status_of(
    gateway: GatewayContext,
    service: igd.Service,
    status: igd.Status | Refused,
    address: str | Refused | None,
) -> ConnectionStatus:
    refused = next((each for each in (address, status) if isinstance(each, Refused)), None)
    connected = None if isinstance(status, Refused) else status.connected
    uptime_s = None if isinstance(status, Refused) else status.uptime_s
    external = None if isinstance(address, Refused) else gateway.outside(address)
    rank = _rank(gateway, connected, external)
    if isinstance(status, Refused) and isinstance(address, Refused) and is_broken(address):
        rank = _DEAD
    return ConnectionStatus(service, rank, connected, uptime_s, external, refused)


def _rank(gateway: GatewayContext, connected: bool | None, external: str | None) -> int:
    if connected is False:
        return OFFLINE
    if external is None:
        return _MUTE
    return 0 if gateway.network.is_public(external) else 1


async def _firewall(site: DescriptionSite, description: igd.Description) -> FoundGateway | MapOffer:
    service = description.firewall
    if service is None:
        return site.nothing("malformed", "it offers no IPv6 pinholes")
    status = await call(site.gateway, service, igd.GET_FIREWALL_STATUS)
    if isinstance(status, Refused):
        offer = site.offer(description, service, **_why(status))
    else:
        closed = _closed(status)
        offer = site.offer(description, service, connected=closed is None, refusal=closed)
    rank = 0 if offer.connected else 2
    return FoundGateway(offer, PinholeMapper(site.gateway, offer, service), rank, description.udn, site.url)


def _why(refused: Refused | None) -> dict[str, Any]:
    """What an offer says of a refusal."""
    return {} if refused is None else {"refusal": refused.refusal, "detail": refused.detail}


def _closed(status: igd.FirewallStatus) -> Refusal | None:
    if status.enabled and status.pinholes_allowed:
        return None
    return upnp_refusal(
        ErrorCode.PINHOLES_NOT_ALLOWED if status.enabled else ErrorCode.FIREWALL_DISABLED, pinhole=True
    )
