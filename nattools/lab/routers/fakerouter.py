"""A fake router: its sockets on the LAN, and those of a simulation as the scenario wants them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from nattools.errors import CannotRun, ProtocolError, UsageError
from nattools.lab.layout import Layout
from nattools.lab.nat.bindings import Forwards
from nattools.lab.routers.httpserving import read_request, send_reply
from nattools.lab.routers.igddevice import PORT, HttpReply
from nattools.lab.routers.portcontrol import ANNOUNCE_GROUPS, EpochCounter, PortControlServer
from nattools.lab.routers.routerbehaviour import Protocols, RouterBehaviour
from nattools.lab.routers.table import MappingTable
from nattools.lab.routers.upnp import UpnpServer
from nattools.lab.scenario import MapperSpec, NatSpec, Scenario
from nattools.model.endpoint import Endpoint, Family, family_of
from nattools.model.portmapping import MappingProtocol
from nattools.net.base import Network, TcpListener, TcpStream, UdpSocket
from nattools.protocols import natpmp, ssdp
from nattools.server.connections import BackgroundTasks

_LEFT_OPEN = ("left open", "too long", "keep-alive")
_LEFT_OPEN_S = 20


class FakeRouter:
    """One router on one address of its LAN. Use `start_router`."""

    def __init__(
        self,
        network: Network,
        address: str,
        external: str,
        behaviour: RouterBehaviour,
        forwards: Forwards | None,
    ) -> None:
        now = asyncio.get_running_loop().time()
        self.behaviour = behaviour
        self.requests: list[str] = []
        self.restarts = 0
        self.table = MappingTable(behaviour, external, forwards)
        self._network = network
        self._address = address
        self._clock = EpochCounter(behaviour, now)
        self._pmp = PortControlServer(behaviour, self.table, self._clock)
        self._upnp = UpnpServer(behaviour, self.table, now - 1000)
        self._tasks = BackgroundTasks()
        self._open: list[UdpSocket | TcpListener] = []
        self._web: list[TcpListener] = []
        self._serving = 0
        self._asked = 0
        self._lately: list[float] = []
        self._pmp_socket: UdpSocket | None = None
        self._search_socket: UdpSocket | None = None

    async def start(self) -> None:
        """CannotRun: the address is not this node's, or a port is taken."""
        await self._tasks.start()
        if {"pcp", "nat-pmp"} & set(self.behaviour.protocols):
            pmp = self._pmp_socket = await self._udp(natpmp.PORT)
            answering = await self._answering(pmp)
            pmp.on_datagram = lambda data, source: self._on_pmp(answering, data, source)
        if "upnp" in self.behaviour.protocols:
            await self._start_upnp()
        if self.behaviour.announces_every_s is not None:
            self._tasks.spawn(self._announce_ever_again(self.behaviour.announces_every_s))

    async def _announce_ever_again(self, pause_s: float) -> None:
        while True:
            await asyncio.sleep(pause_s)
            self.announce()

    def restart(self) -> None:
        """Lose the table, count epochs and uptime anew, and tell the clients."""
        now = asyncio.get_running_loop().time()
        self.restarts += 1
        self.table.clear()
        self._clock.restart(now)
        self._upnp.up_since = now
        self.announce()

    def announce(self) -> None:
        """Tell the clients that it is there, as after a restart."""
        if not self.behaviour.announces:
            return
        now = asyncio.get_running_loop().time()
        family = family_of(self._address)
        group = Endpoint(ANNOUNCE_GROUPS[family], natpmp.ANNOUNCE_PORT)
        if self._pmp_socket is not None:
            for told in self._pmp.announcements(now):
                self._pmp_socket.send(told, group)
        if self._search_socket is not None:
            everybody = Endpoint(ssdp.GROUPS[family][0], ssdp.PORT)
            self._search_socket.send(self._upnp.device.announcement(self._address), everybody)

    async def close(self) -> None:
        """Idempotent."""
        for each in self._open:
            each.close()
        self._open.clear()
        self._web.clear()
        self._pmp_socket = self._search_socket = None
        await self._tasks.close()

    async def _start_upnp(self) -> None:
        group = ssdp.GROUPS[family_of(self._address)][0] if self.behaviour.hears_multicast else None
        socket = self._search_socket = await self._udp(ssdp.PORT, group)
        port = self.behaviour.answer_port
        answering = socket if port is None else await self._udp(port)
        socket.on_datagram = lambda data, source: self._on_search(answering, data, source)
        await self._serve_web()

    async def _serve_web(self) -> None:
        ports = (PORT,) if self.behaviour.web_port is None else (PORT, self.behaviour.web_port)
        for web_port in ports:
            listener = await self._network.listen_tcp(
                family=family_of(self._address), host=self._address, port=web_port, on_stream=self._on_stream
            )
            self._open.append(listener)
            self._web.append(listener)

    async def _crash(self) -> None:
        """The web server ends; something starts it again."""
        while True:
            for listener in self._web:
                listener.close()
                self._open.remove(listener)
            self._web.clear()
            await asyncio.sleep(self.behaviour.crash_s)
            with contextlib.suppress(CannotRun):  # a connection from before has the port still
                await self._serve_web()
                return

    async def _answering(self, pmp: UdpSocket) -> UdpSocket:
        """From where PCP and NAT-PMP are answered."""
        how = self.behaviour
        if how.pmp_outside:
            return await self._udp(how.pmp_port or natpmp.PORT, host=self.table.external)
        return pmp if how.pmp_port is None else await self._udp(how.pmp_port)

    async def _udp(self, port: int, group: str | None = None, host: str | None = None) -> UdpSocket:
        socket = await self._network.open_udp(
            family=family_of(self._address), host=host or self._address, port=port, group=group
        )
        self._open.append(socket)
        return socket

    def _count(self, request: str) -> bool:
        """Note a request; False: it is one too many in this second."""
        now = asyncio.get_running_loop().time()
        self.requests.append(request)
        self._asked += 1
        if self._asked == self.behaviour.restarts_after:
            self.restart()
        self._lately = [at for at in self._lately if at > now - 1] + [now]
        return self.behaviour.rate is None or len(self._lately) <= self.behaviour.rate

    def _on_pmp(self, socket: UdpSocket, data: bytes, source: Endpoint) -> None:
        if not self._count("pcp" if data[:1] == b"\x02" else "nat-pmp"):
            return
        for answer in self._pmp.answer(data, source, asyncio.get_running_loop().time()):
            self._send_late(socket, answer, source)

    def _on_search(self, socket: UdpSocket, data: bytes, source: Endpoint) -> None:
        self.requests.append("m-search")
        for answer in self._upnp.device.search(data, self._address):
            self._send_late(socket, answer, source)

    def _send_late(self, socket: UdpSocket, data: bytes, remote: Endpoint) -> None:
        asyncio.get_running_loop().call_later(self.behaviour.delay_s, socket.send, data, remote)

    def _on_stream(self, stream: TcpStream) -> None:
        if self.behaviour.one_at_a_time and self._serving:
            stream.abort()
            return
        self._tasks.spawn(self._serve(stream))

    async def _serve(self, stream: TcpStream) -> None:
        self._serving += 1
        how = self.behaviour
        try:
            async with asyncio.timeout(30):
                request = await read_request(stream)
                if request is not None:
                    await asyncio.sleep(how.delay_s)
                    reply = self._reply(*request, stream)
                    await asyncio.sleep(reply.late_s)
                    if not reply.status:
                        stream.abort()
                        if reply.dies and self._web:
                            self._tasks.spawn(self._crash())
                        return
                    if how.continues:
                        stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    await send_reply(stream, reply, how.framing)
                    if how.framing in _LEFT_OPEN:
                        await asyncio.sleep(_LEFT_OPEN_S)
        except (TimeoutError, ProtocolError):
            pass
        finally:
            self._serving -= 1
            stream.close()

    def _reply(self, head: bytes, body: bytes, stream: TcpStream) -> HttpReply:
        first = head.split(b"\r\n")[0].decode()
        if not self._count(first):
            return HttpReply(503, b"too many", reason="Service Unavailable")
        web_port = self.behaviour.web_port
        if web_port is not None and stream.local.port != web_port:
            target = first.split(" ")[1]
            elsewhere = f"http://{self._address}:{web_port}{target}"
            return HttpReply(307, b"", reason="Temporary Redirect", location=elsewhere)
        loop = asyncio.get_running_loop()
        reply = self._upnp.respond(head, body, stream.remote, loop.time())
        if self.behaviour.applies_after_s:
            loop.call_later(self.behaviour.applies_after_s, lambda: self.table.settle(loop.time()))
        return reply


async def start_router(
    network: Network,
    address: str,
    external: str,
    behaviour: RouterBehaviour | None = None,
    forwards: Forwards | None = None,
) -> FakeRouter:
    """A router that answers on its own LAN `address`; `external` is its true outside address, and `forwards`
    what makes its mappings true. CannotRun: the address is not this node's, or a port is taken."""
    router = FakeRouter(network, address, external, behaviour or RouterBehaviour(), forwards)
    try:
        await router.start()
    except BaseException:
        await router.close()
        raise
    return router


class SimulatedRouters:
    """The fake routers of a simulation, by the node that they are on: one for each address family."""

    def __init__(
        self,
        scenario: Scenario,
        layout: Layout,
        network: Callable[[str], Network],
        forwards: Callable[[str, Family], Forwards | None],
    ) -> None:
        self._scenario = scenario
        self._layout = layout
        self._network = network
        self._forwards = forwards
        self.running: dict[str, list[FakeRouter]] = {}

    async def start_all(self) -> None:
        """Start those that the scenario has."""
        for router, nat in self._scenario.nat.items():
            if nat.mapper is not None:
                await self.start(router)

    async def start(self, router: str) -> None:
        """Start a router's, or switch it on again. UsageError: the scenario gives it none."""
        if router in self.running:
            for each in self.running[router]:
                await each.start()
                each.restart()
            return
        nat = self._scenario.nat.get(router)
        if nat is None or nat.mapper is None:
            raise UsageError(f"the router {router!r} has no port mapping service in this scenario")
        self.running[router] = []
        for family in families(self._layout, router):
            self.running[router].append(await self._start(router, nat, nat.mapper, family))

    async def stop(self, router: str) -> None:
        """Switch a router off: it forgets its mappings."""
        for each in self.running.get(router, ()):
            each.table.clear()
            await each.close()

    async def _start(self, router: str, nat: NatSpec, mapper: MapperSpec, family: Family) -> FakeRouter:
        forwards = self._forwards(router, family)
        return await start_fake(self._network(router), self._layout, router, (nat, mapper), family, forwards)


_PROTOCOLS: dict[MappingProtocol, Protocols] = {"upnp-igd": "upnp", "nat-pmp": "nat-pmp", "pcp": "pcp"}
STANDBY_OUTSIDE = "11.254.0.2"
_FIREWALL = "WANIPv6FirewallControl:1"


def behaviour(nat: NatSpec, mapper: MapperSpec, *, public: bool) -> RouterBehaviour:
    """What a router does whose outside address is public, or is not: then it refuses as miniupnpd does."""
    services = [f"WANIPConnection:{mapper.igd}"]
    if mapper.igd == 2 and nat.ipv6 is not None:
        services.append(_FIREWALL)
    usual = RouterBehaviour(
        protocols=tuple(_PROTOCOLS[each] for each in mapper.protocols),
        igd_version=mapper.igd,
        services=tuple(services),
        ports=mapper.ports,
        min_lifetime_s=mapper.shortest_s,
        max_lifetime_s=mapper.longest_s,
    )
    if not public:
        usual = msgspec.structs.replace(usual, external="", upnp_error=501, natpmp_result=3, pcp_result=8)
    return msgspec.convert({**msgspec.to_builtins(usual), **mapper.faults}, RouterBehaviour)


async def start_fake(
    network: Network,
    layout: Layout,
    router: str,
    spec: tuple[NatSpec, MapperSpec],
    family: Family,
    forwards: Forwards | None,
) -> FakeRouter:
    """A fake router of one family on its node's inside address."""
    ports = layout.ports_of(router)
    inside = next(port for port in ports if not port.uplink)
    outside = next(port for port in ports if port.uplink)
    own, external = (
        next(address.ip for address in port.addresses if family_of(address.ip) == family)
        for port in (inside, outside)
    )
    nat = spec[0] if 6 in families(layout, router) else msgspec.structs.replace(spec[0], ipv6=None)
    how = behaviour(nat, spec[1], public=network.is_public(external))
    if family == 6:
        external = own
        pinholes = tuple(each for each in how.services if each == _FIREWALL)
        how = msgspec.structs.replace(how, services=pinholes)
    return await start_router(network, own, external, how, forwards)


async def start_standby(network: Network, address: str, mapper: MapperSpec) -> FakeRouter:
    """A router that has another line than the one that packets take: it makes what it is asked for, which
    leads nowhere."""
    return await start_router(network, address, STANDBY_OUTSIDE, behaviour(NatSpec(), mapper, public=True))


def families(layout: Layout, router: str) -> tuple[Family, ...]:
    """The families that a router has inside: IPv6 only where its own provider has it too."""
    inside = next(port for port in layout.ports_of(router) if not port.uplink)
    return tuple(family_of(address.ip) for address in inside.addresses)
