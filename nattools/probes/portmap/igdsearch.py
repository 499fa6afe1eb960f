"""Finding internet gateways by SSDP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.portmapping import Refusal
from nattools.net.base import IcmpError, UdpSocket
from nattools.net.eventloop import TimedEvent
from nattools.probes.portmap import httpclient
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.igdcall import call
from nattools.probes.portmap.igdmapper import IgdMapper
from nattools.probes.portmap.mapper import Mapper, Offer, Refused, new_offer
from nattools.probes.portmap.pinholemapper import PinholeMapper
from nattools.protocols import igd, ssdp
from nattools.protocols.igd import ErrorCode
from nattools.protocols.lan import LanUrl
from nattools.wording.refusals import upnp_refusal

SILENCE_S = 1.9
"""How long to listen if nothing answers at all: the last search asks for an answer within a second."""
SPREAD_S = 1.7
"""How long to listen if the router is known to be awake: answers are spread over MX = 1 s."""
GRACE_S = 0.15
"""How long to wait for other gateways once one has been found that will do, if that is not the router which
the default route leads to."""
_MAX_DESCRIPTIONS = 6
# (delay, target, to the router alone?): the unicast one first, which also opens a host firewall for answers.
# ssdp:all comes later: it makes a router busy with a dozen answers, while its description is to be read.
_SEARCHES = (
    (0.0, ssdp.IGD1, True),
    (0.05, ssdp.IGD1, False),
    (0.3, ssdp.ALL, True),
    (0.3, ssdp.ALL, False),
    (0.35, ssdp.IGD2, False),
    (0.8, ssdp.IGD1, True),
    (0.8, ssdp.IGD1, False),
    (0.85, ssdp.ALL, False),
)

KnownDescriptions = Callable[[], Awaitable[tuple[LanUrl, ...]]]


class GatewaySearch:
    """One search on one interface: `run` it once, then see what it has `found`, and what `failed` where there
    seemed to be a gateway. `satisfied` is set when one has been found that will do, and at the end."""

    def __init__(self, gateway: GatewayContext) -> None:
        self.gateway = gateway
        self.found: list[FoundGateway] = []
        self.failed: list[Offer] = []
        self.sent = 0
        self.rtt_s: float | None = None
        self.problem = ""
        self._finder = ssdp.Finder(gateway.lan)
        self._looked: set[LanUrl] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._changed = TimedEvent()
        self._began: float | None = None
        self._patience_s = SILENCE_S
        self._satisfied_at: float | None = None
        self._grace_s = GRACE_S
        self._late_s = 0.0
        self.satisfied = asyncio.Event()

    @property
    def ranked(self) -> list[FoundGateway]:
        """Each gateway once, the best first."""
        best: dict[str, FoundGateway] = {}
        for each in sorted(self.found, key=lambda found: found.rank):
            best.setdefault(each.udn or str(each.url), each)
        return list(best.values())

    def hurry(self, took_s: float) -> None:
        """The router has answered something else, which took so long: silence counts sooner."""
        self._patience_s = SPREAD_S + took_s
        self._changed.set()

    async def run(self, hints: KnownDescriptions | None = None) -> None:
        """Search until there is a gateway that will do, or time is up. `hints` gives descriptions to look at
        in any case, as those that the router has for the other family."""
        self._began = asyncio.get_running_loop().time()
        try:
            socket = await self.gateway.open_udp()
        except CannotRun as error:
            self.problem = str(error)
            self.satisfied.set()
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                socket.on_icmp = self._on_icmp
                socket.on_datagram = lambda data, source: self._on_datagram(tasks, data, source)
                helpers = [tasks.create_task(self._send(socket))]
                if hints is not None:
                    helpers.append(tasks.create_task(self._follow(tasks, hints)))
                await self._wait()
                socket.on_datagram = None
                for task in (*helpers, *self._running):
                    task.cancel()
        finally:
            self.satisfied.set()
            socket.close()

    async def _send(self, socket: UdpSocket) -> None:
        loop = asyncio.get_running_loop()
        for delay_s, target, unicast in _SEARCHES:
            at = (self._began or 0.0) + delay_s
            await asyncio.sleep(max(0.0, at - loop.time()))
            # on a busy machine a search goes out late, and its answers come as much later
            self._late_s = max(self._late_s, loop.time() - at)
            if target == ssdp.ALL and self._running:
                continue
            data = ssdp.search(target, group=ssdp.GROUPS[self.gateway.family][0])
            for host in (self.gateway.address,) if unicast else self._groups():
                socket.send(data, Endpoint(host, ssdp.PORT), ttl=None if unicast else ssdp.TTL)
                self.sent += 1

    def _groups(self) -> tuple[str, ...]:
        if self.gateway.family == 4:
            return ssdp.GROUPS[4]
        return tuple(f"{group}%{self.gateway.interface}" for group in ssdp.GROUPS[6])

    async def _follow(self, tasks: asyncio.TaskGroup, hints: KnownDescriptions) -> None:
        for url in await hints():
            self._look(tasks, (url,), ())

    def _on_datagram(self, tasks: asyncio.TaskGroup, data: bytes, source: Endpoint) -> None:
        device = self._finder.receive_datagram(data, source)
        if self.rtt_s is None and self._finder.devices:
            self.rtt_s = asyncio.get_running_loop().time() - (self._began or 0.0)
        if device is None or not device.is_gateway:
            return
        if device.urls:
            self._look(tasks, device.urls, _quirks(device))
        else:
            # it says that it is a gateway, and names no place that may be looked at
            named, why = str(device.source), device.problem
            self.failed.append(new_offer(self.gateway, "upnp-igd", named, "malformed", detail=why))

    def nothing(self) -> Offer:
        """Nobody answered."""
        asked = f"{ssdp.GROUPS[self.gateway.family][0]} port {ssdp.PORT}"
        return new_offer(self.gateway, "upnp-igd", asked, "timeout", sent=self.sent, detail=self.problem)

    def _on_icmp(self, error: IcmpError) -> None:
        if error.kind == "port-unreachable" and not self.problem:
            self.problem = f"UDP port {ssdp.PORT} of the router is closed"

    def _look(self, tasks: asyncio.TaskGroup, urls: tuple[LanUrl, ...], quirks: tuple[str, ...]) -> None:
        fresh = tuple(url for url in urls if url not in self._looked)
        if not fresh or len(self._looked) >= _MAX_DESCRIPTIONS:
            return
        self._looked.update(fresh)
        task = tasks.create_task(self._examine(fresh, quirks))
        self._running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._changed.set()

    async def _examine(self, urls: tuple[LanUrl, ...], quirks: tuple[str, ...]) -> None:
        """The first of these URLs that has a description counts."""
        for url in urls:
            found = await examine(DescriptionSite(self.gateway, url, quirks))
            if isinstance(found, FoundGateway):
                self.found.append(found)
                if found.rank == 0 and self.gateway.lan.is_gateway(found.url.host):
                    self._grace_s = 0.0
                if found.rank == 0 and self._satisfied_at is None:
                    self._satisfied_at = asyncio.get_running_loop().time()
                    self.satisfied.set()
                return
            self.failed.append(found)

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < self._until():
            self._changed.clear()
            await self._changed.wait(max(0.0, self._until() - loop.time()))

    def _until(self) -> float:
        """When to stop: soon after a gateway that will do; not before what is being read, a description and
        then the status, has had its time."""
        if self._satisfied_at is not None:
            return self._satisfied_at + self._grace_s
        reading_s = 2 * httpclient.REQUEST_S if self._running else 0.0
        return (self._began or 0.0) + self._patience_s + self._late_s + reading_s


def _quirks(device: ssdp.Device) -> tuple[str, ...]:
    found = [device.problem] if device.problem else []
    if device.source.port != ssdp.PORT:
        found.append(f"the answer came from port {device.source.port}")
    return tuple(found)


_MAX_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class FoundGateway:
    """A gateway. `rank` 0: it is online with a public address, or lets pinholes be made; larger is worse."""

    offer: Offer
    mapper: Mapper
    rank: int
    udn: str
    url: LanUrl


@dataclass(frozen=True, slots=True)
class DescriptionSite:
    """Where a gateway was looked for, and what was odd already."""

    gateway: GatewayContext
    url: LanUrl
    quirks: tuple[str, ...] = ()

    def nothing(self, outcome: httpclient.Outcome, detail: str) -> Offer:
        """There is no gateway to be used, and why."""
        quirks = self.quirks
        return new_offer(self.gateway, "upnp-igd", str(self.url), outcome, quirks=quirks, detail=detail)

    def offer(self, description: igd.Description, service: igd.Service, **known: Any) -> Offer:
        """There is one."""
        legacy = " (DSL Forum)" if service.legacy else ""
        return new_offer(
            self.gateway,
            "upnp-igd",
            str(self.url),
            "answered",
            version=f"IGD:{description.igd_version or '?'}, {service.kind}:{service.version}{legacy}",
            name=f"{description.manufacturer} {description.model}".strip() or description.friendly_name,
            quirks=(*self.quirks, *description.problems),
            **known,
        )


async def examine(site: DescriptionSite) -> FoundGateway | Offer:
    """Read the description there and ask for the status; an Offer that is not "answered" says why not."""
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


async def _connections(site: DescriptionSite, description: igd.Description) -> FoundGateway | Offer:
    """Which of its connections is up, with which address? The best one counts."""
    services = description.connections[:_MAX_CONNECTIONS]
    if not services:
        problem = f": {description.problems[-1]}" if description.problems else ""
        return site.nothing("malformed", f"it offers no port mappings{problem}")
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_connection(site, description, each)) for each in services]
    return min((task.result() for task in asked), key=lambda found: found.rank)


async def _connection(
    site: DescriptionSite, description: igd.Description, service: igd.Service
) -> FoundGateway:
    gateway = site.gateway
    async with asyncio.TaskGroup() as tasks:
        status_task = tasks.create_task(call(gateway, service, igd.GET_STATUS))
        address_task = tasks.create_task(call(gateway, service, igd.GET_EXTERNAL_ADDRESS))
    status, address = status_task.result(), address_task.result()
    refused = next((each for each in (address, status) if isinstance(each, Refused)), None)
    connected = None if isinstance(status, Refused) else status.connected
    external = None if isinstance(address, Refused) else gateway.outside(address)
    known = {"external": external, "connected": connected, **_why(refused)}
    offer = site.offer(description, service, **known)
    uptime_s = None if isinstance(status, Refused) else status.uptime_s
    mapper = IgdMapper(gateway, offer, service, uptime_s)
    return FoundGateway(offer, mapper, _rank(gateway, connected, external), description.udn, site.url)


def _rank(gateway: GatewayContext, connected: bool | None, external: str | None) -> int:
    if connected is False:
        return 3
    if external is None:
        return 2
    return 0 if gateway.network.is_public(external) else 1


async def _firewall(site: DescriptionSite, description: igd.Description) -> FoundGateway | Offer:
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
