"""A host of a lab that has something running for the others on its network: services that are announced by
multicast DNS, the beacons of `nattools lan`, and what makes port mappings on a router that stands by."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nattools.errors import ProtocolError
from nattools.lab.scenario import HostSpec
from nattools.model.endpoint import Endpoint, Family, family_of
from nattools.net.base import Network, UdpSocket
from nattools.probes.lan.beaconprobe import EVERY_S, BeaconStation
from nattools.probes.lan.lancontext import LanContext
from nattools.probes.probe import Recorder
from nattools.protocols import mdns
from nattools.server.connections import BackgroundTasks

if TYPE_CHECKING:
    from nattools.lab.routers.fakerouter import FakeRouter

_TTL_S: Final = 120
_PORT: Final = 8000


class LanHost:
    """Answers by multicast (RFC 6762 6), and sends beacons for ever."""

    def __init__(self, network: Network, name: str, spec: HostSpec) -> None:
        self._name = name
        self._spec = spec
        self._network = network
        self._context = _context(network)
        self._tasks = BackgroundTasks()
        self._sockets: list[UdpSocket] = []
        self._router: FakeRouter | None = None

    async def open(self) -> None:
        """CannotRun: a port is taken."""
        await self._tasks.start()
        if self._spec.services:
            for family in self._context.families:
                await self._announce(family)
        if self._spec.nattools_lan:
            self._tasks.spawn(self._beacons())
        if self._spec.mapper is not None:
            from nattools.lab.routers.fakerouter import start_standby

            self._router = await start_standby(self._network, self._context.own[4], self._spec.mapper)

    async def close(self) -> None:
        """Idempotent."""
        for socket in self._sockets:
            socket.close()
        self._sockets.clear()
        if self._router is not None:
            await self._router.close()
        await self._tasks.close()

    async def _announce(self, family: Family) -> None:
        context, group = self._context, self._context.group(mdns.GROUPS[family])
        socket = await self._network.open_udp(
            family=family, host=context.own[family], port=mdns.PORT, group=group
        )

        def on_datagram(data: bytes, source: Endpoint) -> None:
            try:
                message = mdns.decode(data)
            except ProtocolError:
                return
            wanted = {question.name for question in message.questions}
            records = [] if message.response else self._answers(wanted)
            if records:
                socket.send(mdns.encode_response(records), Endpoint(group, mdns.PORT), ttl=255)

        socket.on_datagram = on_datagram
        self._sockets.append(socket)

    def _answers(self, wanted: set[str]) -> list[mdns.DnsRecord]:
        found: list[mdns.DnsRecord] = []
        host = f"{self._name}.local"
        for service in self._spec.services:
            kind = f"{service}.local"
            instance = f"{self._name}.{kind}"
            if mdns.ANY_SERVICE in wanted:
                found.append(mdns.DnsRecord(mdns.ANY_SERVICE, mdns.PTR, _TTL_S, kind))
            if kind in wanted:
                found.append(mdns.DnsRecord(kind, mdns.PTR, _TTL_S, instance))
            if kind in wanted or instance in wanted:
                found.append(mdns.DnsRecord(instance, mdns.SRV, _TTL_S, f"{host}:{_PORT}"))
        if found or host in wanted:
            for address in self._context.own.values():
                number = mdns.AAAA if family_of(address) == 6 else mdns.A
                found.append(mdns.DnsRecord(host, number, _TTL_S, address))
        return found

    async def _beacons(self) -> None:
        station = BeaconStation(self._context)
        await station.open()
        try:
            while True:
                station.send()
                await asyncio.sleep(EVERY_S)
        finally:
            station.close()


def _context(network: Network) -> LanContext:
    """The context of the host's first interface."""
    interface = next(each for each in network.interfaces() if each.kind != "loopback" and each.addresses)
    own: dict[Family, str] = {}
    for address in interface.addresses:
        if not address.startswith("fe80"):
            own.setdefault(family_of(address), address)
    return LanContext(network, Recorder(asyncio.get_running_loop().time()), interface, own)


async def start_neighbour(network: Network, name: str, spec: HostSpec) -> LanHost:
    """Running when this returns."""
    host = LanHost(network, name, spec)
    await host.open()
    return host
