"""Looking at one internet gateway: its description, and what it says of itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from nattools.errors import ProtocolError
from nattools.model.portmapping import Refusal
from nattools.probes.portmap import web
from nattools.probes.portmap.igdclient import IgdMapper, call, read
from nattools.probes.portmap.pinholes import PinholeMapper
from nattools.probes.portmap.place import Place
from nattools.probes.portmap.terms import Mapper, Offer, Refused
from nattools.protocols import igd
from nattools.protocols.lan import LanUrl

_MAX_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Found:
    """A gateway. `rank` 0: it is online with a public address, or lets pinholes be made; larger is worse."""

    offer: Offer
    mapper: Mapper
    rank: int
    udn: str
    url: LanUrl


@dataclass(frozen=True, slots=True)
class Sight:
    """Where a gateway was looked for, and what was odd already."""

    place: Place
    url: LanUrl
    quirks: tuple[str, ...] = ()

    def nothing(self, outcome: web.Outcome, detail: str) -> Offer:
        """There is no gateway to be used, and why."""
        return Offer(
            protocol="upnp-igd",
            family=self.place.family,
            interface=self.place.interface,
            local=self.place.host,
            server=str(self.url),
            outcome=outcome,
            quirks=self.quirks,
            detail=detail,
        )

    def offer(
        self,
        description: igd.Description,
        service: igd.Service,
        *,
        external: str | None = None,
        connected: bool | None = None,
        refused: Refused | None = None,
        refusal: Refusal | None = None,
    ) -> Offer:
        """There is one."""
        legacy = " (DSL Forum)" if service.legacy else ""
        return Offer(
            protocol="upnp-igd",
            family=self.place.family,
            interface=self.place.interface,
            local=self.place.host,
            server=str(self.url),
            outcome="answered",
            version=f"IGD:{description.igd_version or '?'}, {service.kind}:{service.version}{legacy}",
            name=f"{description.manufacturer} {description.model}".strip() or description.friendly_name,
            external=external,
            connected=connected,
            refusal=refusal if refused is None else refused.refusal,
            quirks=(*self.quirks, *description.problems),
            detail="" if refused is None else refused.detail,
        )


async def examine(sight: Sight) -> Found | Offer:
    """Read the description there and ask the gateway how it is; an Offer that is not "answered": why not."""
    response = await web.get(sight.place, sight.url)
    if isinstance(response, web.WebFailure):
        return sight.nothing(response.failure, response.detail)
    if response.status != 200:
        return sight.nothing("malformed", f"{sight.url}: HTTP status {response.status}")
    try:
        description = igd.parse_description(response.body, sight.url, sight.place.neighbourhood)
    except ProtocolError as error:
        return sight.nothing("malformed", str(error))
    if sight.place.family == 6:
        return await _firewall(sight, description)
    return await _connections(sight, description)


async def _connections(sight: Sight, description: igd.Description) -> Found | Offer:
    """Which of its connections is up, with which address? The best one counts."""
    services = description.connections[:_MAX_CONNECTIONS]
    if not services:
        problem = f": {description.problems[-1]}" if description.problems else ""
        return sight.nothing("malformed", f"it offers no port mappings{problem}")
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_connection(sight, description, each)) for each in services]
    return min((task.result() for task in asked), key=lambda found: found.rank)


async def _connection(sight: Sight, description: igd.Description, service: igd.Service) -> Found:
    place = sight.place
    async with asyncio.TaskGroup() as tasks:
        status_task = tasks.create_task(call(place, service, igd.get_status()))
        address_task = tasks.create_task(call(place, service, igd.get_external_address()))
    status = read(status_task.result(), igd.read_status)
    address = read(address_task.result(), igd.read_external_address)
    refused = next((each for each in (address, status) if isinstance(each, Refused)), None)
    connected = None if isinstance(status, Refused) else status.connected
    external = None if isinstance(address, Refused) else address
    offer = sight.offer(description, service, external=external, connected=connected, refused=refused)
    uptime_s = None if isinstance(status, Refused) else status.uptime_s
    mapper = IgdMapper(place, offer, service, uptime_s)
    return Found(offer, mapper, _rank(place, connected, external), description.udn, sight.url)


def _rank(place: Place, connected: bool | None, external: str | None) -> int:
    if connected is False:
        return 3
    if external is None:
        return 2
    return 0 if place.network.is_public(external) else 1


async def _firewall(sight: Sight, description: igd.Description) -> Found | Offer:
    service = description.firewall
    if service is None:
        return sight.nothing("malformed", "it offers no IPv6 pinholes")
    answer = await call(sight.place, service, igd.get_firewall_status())
    status = read(answer, igd.read_firewall_status)
    if isinstance(status, Refused):
        offer = sight.offer(description, service, refused=status)
    else:
        closed = _closed(status)
        offer = sight.offer(description, service, connected=closed is None, refusal=closed)
    rank = 0 if offer.connected else 2
    return Found(offer, PinholeMapper(sight.place, offer, service), rank, description.udn, sight.url)


def _closed(status: igd.FirewallStatus) -> Refusal | None:
    if status.enabled and status.pinholes_allowed:
        return None
    return igd.refusal(703 if status.enabled else 702, "WANIPv6FirewallControl")
