"""Which protocols does the router offer? All three are asked side by side, on every gateway."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from nattools.model.endpoint import Endpoint
from nattools.model.mappingseen import MapOffer
from nattools.model.portmapping import MappingProtocol
from nattools.net.eventloop import TimeLimit
from nattools.probes.portmap.gateway import GatewayContext
from nattools.probes.portmap.igdsearch import GatewaySearch, KnownDescriptions
from nattools.probes.portmap.mapper import Mapper, new_offer
from nattools.probes.portmap.policy import preference
from nattools.probes.portmap.routerrequest import RouterRequest
from nattools.probes.portmap.udpmapper import NatPmpMapper, NatPmpRequest, PcpMapper, PcpRequest
from nattools.protocols import natpmp
from nattools.protocols.routerurls import LanUrl

AWAKE_S = 1.0
"""How long to wait for the others once the router has answered one protocol: requests at 0, 0.25, 0.75 s."""
FAMILY_GAP_S = 0.25
"""Some routers break when asked over IPv4 and IPv6 at once, so IPv6 waits until IPv4 is done: at most this
long if nothing answers, else at most AWAKE_S."""


class Discovery(msgspec.Struct):
    """What was found: all `offers`, those that came to nothing included, and the `mappers` that can be asked,
    in `policy`'s order."""

    offers: list[MapOffer] = msgspec.field(default_factory=list)
    mappers: list[Mapper] = msgspec.field(default_factory=list)
    duration_s: float = 0.0

    def mapper(self, protocol: str, family: int = 4) -> Mapper | None:
        """The first of that protocol and family."""
        return next(
            (m for m in self.mappers if (m.offer.protocol, m.offer.family) == (protocol, family)), None
        )


class _GatewayProbe:
    """The probing of one gateway."""

    def __init__(self, gateway: GatewayContext) -> None:
        self.gateway = gateway
        self.search = GatewaySearch(gateway)
        self.requests: list[tuple[RouterRequest[Any], type[PcpMapper | NatPmpMapper]]] = [
            (PcpRequest(gateway), PcpMapper)
        ]
        if gateway.family == 4:
            self.requests.append((NatPmpRequest(gateway), NatPmpMapper))
        self.offers: list[MapOffer] = []
        self.mappers: list[Mapper] = []
        self.answered = asyncio.Event()
        self.searched = asyncio.Event()
        self._datagrams = asyncio.Event()
        self._began = 0.0

    async def run(
        self, hints: KnownDescriptions | None = None, *, hinting: GatewaySearch | None = None
    ) -> None:
        self._began = asyncio.get_running_loop().time()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._upnp(hints, hinting))
                await self._port_5351()
        finally:
            self.answered.set()
            self.searched.set()

    async def descriptions(self) -> tuple[LanUrl, ...]:
        """Where the router's descriptions are, once it is known."""
        await self.searched.wait()
        return tuple(each.url for each in self.search.found)

    async def settled(self, seconds: float) -> None:
        """Wait until every protocol has answered or is given up, but no longer than this."""
        async with TimeLimit(seconds):
            await self._datagrams.wait()
            await self.search.satisfied.wait()

    def _hurry(self) -> None:
        """Something answered: wait less for the rest, but as long again as this took. A router that is slow,
        or seems so because this machine is busy, is given its time."""
        self.answered.set()
        now = asyncio.get_running_loop().time()
        took_s = now - self._began
        until = max(self._began + AWAKE_S, now + max(0.1, took_s))
        self.search.hurry(took_s)
        for request, _ in self.requests:
            request.hurry(until)

    async def _port_5351(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for request, mapper in self.requests:
                tasks.create_task(self._ask(request, mapper))
        self._datagrams.set()

    async def _ask(self, request: RouterRequest[Any], mapper: type[PcpMapper | NatPmpMapper]) -> None:
        offer = await request.offer()
        self.offers.append(offer)
        if offer.outcome in ("answered", "refused"):
            self._hurry()
        if offer.outcome == "answered":
            self.mappers.append(mapper(self.gateway, offer))

    async def _upnp(self, hints: KnownDescriptions | None, hinting: GatewaySearch | None) -> None:
        await self.search.run(hints, hinting=hinting)
        self.searched.set()
        ranked = self.search.ranked
        for each in ranked:
            each.mapper.offer = msgspec.structs.replace(
                each.offer, rtt_s=self.search.rtt_s, sent=self.search.sent
            )
            self.offers.append(each.mapper.offer)
            self.mappers.append(each.mapper)
        if ranked:
            self._hurry()
        elif self.search.failed:
            self.offers += self.search.failed
        else:
            self.offers.append(self.search.nothing())


async def discover(gateway_contexts: tuple[GatewayContext, ...]) -> Discovery:
    """Ask every gateway; takes at most about 2.5 s where nothing answers, and much less where all do."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    probes = [_GatewayProbe(gateway) for gateway in gateway_contexts]
    async with asyncio.TaskGroup() as tasks:
        for each in probes:
            first = next((o for o in probes if _before(o.gateway, each.gateway)), None)
            tasks.create_task(_in_turn(each, first))
    discovery = Discovery(duration_s=loop.time() - began)
    for each in probes:
        discovery.offers += each.offers
        discovery.mappers += each.mappers
    discovery.mappers.sort(key=preference)
    return discovery


def _before(one: GatewayContext, other: GatewayContext) -> bool:
    return one.interface == other.interface and (one.family, other.family) == (4, 6)


async def _in_turn(each: _GatewayProbe, first: _GatewayProbe | None) -> None:
    if first is None:
        await each.run()
        return
    await first.settled(FAMILY_GAP_S)
    if first.answered.is_set():
        await first.settled(AWAKE_S - FAMILY_GAP_S)

    async def elsewhere() -> tuple[LanUrl, ...]:
        """The same descriptions at the router's address of this family."""
        return tuple(LanUrl(each.gateway.address, url.port, url.target) for url in await first.descriptions())

    await each.run(elsewhere, hinting=first.search)


def mapper_unheard(gateway: GatewayContext, protocol: MappingProtocol) -> Mapper | None:
    """Who asks a router by a protocol by which it has not answered so far; None: by UPnP nobody can, without
    its description."""
    server = Endpoint(gateway.address, natpmp.PORT)
    offer = new_offer(gateway, protocol, str(server), "timeout")
    match protocol:
        case "nat-pmp":
            return NatPmpMapper(gateway, offer)
        case "pcp":
            return PcpMapper(gateway, offer)
        case _:
            return None
