"""Finding internet gateways by SSDP. What reads their descriptions is imported with the first answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.mappingseen import MapOffer
from nattools.net.base import IcmpError, UdpSocket
from nattools.net.eventloop import TimedEvent
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.mapper import new_offer
from nattools.protocols import ssdp
from nattools.protocols.routerurls import LanUrl

if TYPE_CHECKING:
    from nattools.probes.portmap.igdsite import FoundGateway

SILENCE_S = 1.9
"""How long to listen if nothing answers at all: the last search asks for an answer within a second."""
SPREAD_S = 1.7
"""How long to listen if the router is known to be awake: answers are spread over MX = 1 s."""
GRACE_S = 0.15
"""How long to wait for other gateways once one has been found that will do and the router which the default
route leads to has had its say, or has none."""
_MAX_DESCRIPTIONS = 6
# (delay, target, to the router alone?): the unicast one first, which also opens a host firewall for answers.
# ssdp:all comes later: it makes a router busy with a dozen answers, while its description is to be read. Some
# routers answer to one name of theirs alone, so the others come last.
_SEARCHES = (
    (0.0, ssdp.IGD1, True),
    (0.05, ssdp.IGD1, False),
    (0.3, ssdp.ALL, True),
    (0.3, ssdp.ALL, False),
    (0.35, ssdp.IGD2, False),
    (0.35, ssdp.ROOT, True),
    (0.8, ssdp.IGD1, True),
    (0.8, ssdp.IGD1, False),
    (0.85, ssdp.ALL, False),
    (0.85, ssdp.ROOT, False),
    (0.85, ssdp.IP_CONNECTION, True),
    (0.85, ssdp.PPP_CONNECTION, True),
)

KnownDescriptions = Callable[[], Awaitable[tuple[LanUrl, ...]]]


class GatewaySearch:
    """One search on one interface: `run` it once, then see what it has `found`, and what `failed` where there
    seemed to be a gateway. `satisfied` is set when one has been found that will do, and at the end."""

    def __init__(self, gateway: GatewayContext) -> None:
        self.gateway = gateway
        self.found: list[FoundGateway] = []
        self.failed: list[MapOffer] = []
        self.sent = 0
        self.rtt_s: float | None = None
        self.problem = ""
        self._finder = ssdp.Finder(gateway.lan)
        self._looked: dict[LanUrl, tuple[bool, bool]] = {}
        self._running: dict[asyncio.Task[None], bool] = {}
        self._deaf = False
        self._changed = TimedEvent()
        self._began: float | None = None
        self._patience_s = SILENCE_S
        self._satisfied_at: float | None = None
        self._grace_s: float | None = None
        self._late_s = 0.0
        self._hinting: GatewaySearch | None = None
        self.satisfied = asyncio.Event()

    @property
    def ranked(self) -> list[FoundGateway]:
        """Each gateway once, the best first: the router of the default route, unless it is offline, however
        good others claim to be."""
        best: dict[str, FoundGateway] = {}
        for each in sorted(self.found, key=self._order):
            best.setdefault(each.udn or str(each.url), each)
        return list(best.values())

    def _order(self, found: FoundGateway) -> tuple[bool, bool, int]:
        from nattools.probes.portmap.igdsite import OFFLINE

        return found.rank >= OFFLINE, not self._is_ours(found.url), found.rank

    def _is_ours(self, url: LanUrl) -> bool:
        return self.gateway.forwards(url.host)

    def hurry(self, took_s: float) -> None:
        """The router has answered something else, which took so long: silence counts sooner."""
        self._patience_s = SPREAD_S + took_s
        self._changed.set()

    @property
    def is_reading(self) -> bool:
        """Is a description being read, or has one been read that will do?"""
        return bool(self._running) or self._satisfied_at is not None

    async def run(
        self, hints: KnownDescriptions | None = None, *, hinting: GatewaySearch | None = None
    ) -> None:
        """Search until there is a gateway that will do, or time is up. `hints` gives descriptions to look at
        in any case, as those that the router has for the other family: as long as that search, `hinting`, is
        reading one, it is waited for."""
        self._hinting = hinting
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
            if target not in (ssdp.IGD1, ssdp.IGD2) and self._running:
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
            self._look(tasks, url, (), True)
        self._hinting = None
        self._changed.set()

    def _on_datagram(self, tasks: asyncio.TaskGroup, data: bytes, source: Endpoint) -> None:
        device = self._finder.receive_datagram(data, source)
        if self.rtt_s is None and self._finder.devices:
            self.rtt_s = asyncio.get_running_loop().time() - (self._began or 0.0)
        if device is None or not device.is_gateway:
            return
        if device.url is not None:
            self._look(tasks, device.url, _quirks(device), device.says_so)
        else:
            # it says that it is a gateway, and names no place that may be looked at
            named, why = str(device.source), device.problem
            self.failed.append(new_offer(self.gateway, "upnp-igd", named, "malformed", detail=why))

    def nothing(self) -> MapOffer:
        """Nobody answered."""
        asked = f"{ssdp.GROUPS[self.gateway.family][0]} port {ssdp.PORT}"
        return new_offer(self.gateway, "upnp-igd", asked, "timeout", sent=self.sent, detail=self.problem)

    def _on_icmp(self, error: IcmpError) -> None:
        if error.kind == "port-unreachable" and not self.problem:
            self.problem = f"UDP port {ssdp.PORT} of the router is closed"
            self._deaf = True
            self._changed.set()

    def _look(self, tasks: asyncio.TaskGroup, url: LanUrl, quirks: tuple[str, ...], is_gateway: bool) -> None:
        """Read a description there, unless that is done. However many others there are, the router's own are
        read; and however many devices it has, those that call themselves gateways (`is_gateway`)."""
        kind = ours, _ = self._is_ours(url), is_gateway
        if url in self._looked or list(self._looked.values()).count(kind) >= _MAX_DESCRIPTIONS:
            return
        self._looked[url] = kind
        task = tasks.create_task(self._examine(url, quirks))
        self._running[task] = ours
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if self._running.pop(task):
            self._grace_s = GRACE_S if self._grace_s is None else self._grace_s
        self._changed.set()

    async def _examine(self, url: LanUrl, quirks: tuple[str, ...]) -> None:
        from nattools.probes.portmap.igdsite import DescriptionSite, FoundGateway, examine

        found = await examine(DescriptionSite(self.gateway, url, quirks))
        if not isinstance(found, FoundGateway):
            self.failed.append(found)
            return
        self.found.append(found)
        if found.rank > 0:
            return
        if self._is_ours(url):
            self._grace_s = 0.0
        if self._satisfied_at is None:
            self._satisfied_at = asyncio.get_running_loop().time()
            self.satisfied.set()

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < self._until():
            self._changed.clear()
            await self._changed.wait(max(0.0, self._until() - loop.time()))

    def _until(self) -> float:
        """When to stop: soon after a gateway that will do, once the router itself has been looked at or is
        known not to answer; not before what is being read, a description and then the status, has had its
        time."""
        settled = self._grace_s is not None or (self._deaf and True not in self._running.values())
        if self._satisfied_at is not None and settled:
            return self._satisfied_at + (GRACE_S if self._grace_s is None else self._grace_s)
        reading = (
            self._running if self._satisfied_at is None else [t for t, ours in self._running.items() if ours]
        )
        until = (self._began or 0.0) + self._patience_s + self._late_s
        hinted = self._satisfied_at is None and self._hinting is not None and self._hinting.is_reading
        if not reading and not hinted:
            return until
        from nattools.probes.portmap.httpclient import REQUEST_S

        return until + 2 * REQUEST_S


def _quirks(device: ssdp.Device) -> tuple[str, ...]:
    found = [device.problem] if device.problem else []
    if device.source.port != ssdp.PORT:
        found.append(f"the answer came from port {device.source.port}")
    return tuple(found)
