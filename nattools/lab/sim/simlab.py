"""The in-memory lab: a scenario as a simulated internet on a virtual clock.

No privileges, no sockets, no waiting: ten simulated minutes of silence cost nothing. The same scenario, seed
and program give the same packets at the same times.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from nattools.chance import drawn_from
from nattools.errors import ProtocolError
from nattools.lab.backend import Backend
from nattools.lab.eventplayer import ChangeableLab, EventPlayer
from nattools.lab.layout import Layout
from nattools.lab.names import nat64_of
from nattools.lab.nat.bindings import Forwards
from nattools.lab.scenario import NatSpec, Scenario, host_behind, neighbours, server_uris
from nattools.lab.sim.loop import Deadlock, SimLoop
from nattools.lab.sim.natrouter import NatRouter
from nattools.lab.sim.nodes import Node
from nattools.lab.sim.simarrivals import SimArrivals
from nattools.lab.sim.simnet import SimNet
from nattools.lab.sim.simsetup import ipv6_setup_of
from nattools.lab.sim.simsockets import SimIcmpSocket, SimListener, SimUdpSocket
from nattools.lab.sim.tcp import SimStream
from nattools.lab.sim.topology import topology_of
from nattools.model.endpoint import Endpoint, Family, family_of
from nattools.model.host import Environment, Gateway, Interface, Ipv6Setup, LinkNeighbour, Way
from nattools.model.report import Substrate
from nattools.net import addresses, resolve
from nattools.net.base import (
    Capability,
    IcmpOptions,
    ListenOptions,
    LocalEnd,
    LowTtlSyn,
    Network,
    SendFailure,
    TcpFailure,
    TcpStream,
    UdpOptions,
)
from nattools.protocols import ip
from nattools.protocols.nat64 import Nat64Prefix, parse_prefix

if TYPE_CHECKING:
    from nattools.lab.routers.fakerouter import SimulatedRouters
    from nattools.lab.scenarioservers import RunningServer


T = TypeVar("T")


class SimLab(ChangeableLab):
    """A scenario brought up in memory: `nattools.lab.backend.Lab`.

    Making one takes microseconds once its scenario is known; several runs one after the other share its time
    and the state of its NATs. `still`: nothing of what is to happen in it does, but by its `events`.
    UsageError: the scenario cannot be built.
    """

    backend: Backend = "sim"

    def __init__(
        self, scenario: Scenario, *, seed: int = 0, start_servers: bool = True, still: bool = False
    ) -> None:
        topology = topology_of(scenario)
        self.scenario = scenario
        self.layout: Layout = topology.layout
        self.loop = SimLoop()
        self.seed = seed
        self.net = SimNet(topology, self.loop, random.Random(seed))
        self._chance = random.Random(f"secrets {seed}")
        self._to_start = list(scenario.server) if start_servers else []
        self._to_start += [name for name in neighbours(scenario) if start_servers]
        self._networks: dict[str, SimNetwork] = {}
        self._mappers: SimulatedRouters | None = None
        self._mappers_wanted = start_servers and any(nat.mapper for nat in scenario.nat.values())
        self._servers: dict[str, RunningServer] = {}
        self.events = EventPlayer(scenario, self, 0.0)
        self._playing: asyncio.Task[None] | None = None
        self._moves = bool(scenario.event) and not still

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def network(self, node: str) -> Network:
        """The network as the named host (or server, or router) sees it. KeyError: no such node."""
        if node not in self._networks:
            spec = self.scenario.host.get(node)
            self._networks[node] = SimNetwork(self.net.node(node), None if spec is None else spec.runs_in)
        return self._networks[node]

    def forwards(self, router: str, family: Family = 4) -> Forwards | None:
        """The forwardings of a NAT or firewall; None where nothing is filtered. KeyError: no such node."""
        node = self.net.node(router)
        return node.forwards(family) if isinstance(node, NatRouter) else None

    def cut(self, node: str) -> None:
        """Lose whatever arrives at a node, until `mend`. KeyError: no such node."""
        self.net.cut(node)

    def mend(self, node: str) -> None:
        """Undo a cut. KeyError: no such node."""
        self.net.mend(node)

    def link(self, node: str, stays: Callable[[str], bool]) -> None:
        plan, host = self.net.node(node).plan, node in self.scenario.host
        behind = host_behind(self.scenario, node) if host else ()
        for number, wired in enumerate(plan.wired):
            if host or wired.uplink or node in self.scenario.server:
                link = stays(behind[number] if number < len(behind) else "")
                plan.plug(number, link=link)
                self.net.listen(node, number, link)

    async def stop_server(self, server: str) -> None:
        """A server ends, with all that it knows, if it is running. Only while `run` runs."""
        running = self._servers.pop(server, None)
        if running is not None:
            await running.close()

    async def start_server(self, server: str) -> None:
        """It begins anew, if it is not running."""
        if server not in self._servers:
            await self._start_server(server)

    def restart(self, router: str) -> None:
        """A NAT or firewall loses its memory of all flows. KeyError: no such node."""
        node = self.net.node(router)
        if isinstance(node, NatRouter):
            node.forget()

    def behave(self, nat: str, spec: NatSpec) -> None:
        """From now on a NAT translates and filters like this; all bindings are lost, forwardings stay."""
        node = self.net.node(nat)
        if isinstance(node, NatRouter):
            node.behave(spec)

    def next_address(self, nat: str) -> None:
        """A NAT has the next of its outside addresses."""
        node = self.net.node(nat)
        if isinstance(node, NatRouter):
            node.next_address()

    async def stop_router(self, router: str) -> None:
        """Switch off a router's port mapping service: it forgets all mappings. Only while `run` runs."""
        if self._mappers is not None:
            await self._mappers.stop(router)

    async def start_router(self, router: str) -> None:
        """Switch it on again."""
        if self._mappers is not None:
            await self._mappers.start(router)

    def server_uris(self) -> tuple[str, ...]:
        """The scenario's servers, as `--server` takes them, in the order of the file."""
        return server_uris(self.scenario)

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        """Run to completion in virtual time; raises what `main` raises. Whatever is drawn at random meanwhile
        follows from the seed, secrets too.

        Deadlock: `main` waits for something that nothing can bring about any more.
        """
        with drawn_from(self._chance):
            task = self.loop.create_task(self._main(main))
            try:
                return self.loop.run_until_complete(task)
            finally:
                try:
                    if not task.done():
                        self._cancel([task])
                finally:
                    if task.done() and not task.cancelled():
                        task.exception()  # after Ctrl-C nobody asks for it any more

    def close(self) -> None:
        """Cancel what still runs. Idempotent."""
        if not self.loop.is_closed():
            self._cancel(self.loop.pending())
            self.loop.close()
            self.net.close()
            del self.events  # it holds the lab that holds it

    def _cancel(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Cancel tasks and let them clean up."""
        pending = [task for task in tasks if not task.done()]
        if not pending:
            return
        for task in pending:
            task.cancel()
        self.loop.settle()
        pending = [task for task in pending if not task.done()]
        if not pending:
            return
        with contextlib.suppress(Deadlock):
            self.loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))

    async def _main(self, main: Callable[[], Awaitable[T]]) -> T:
        while self._to_start:
            await self._start_server(self._to_start.pop(0))
        if self._mappers_wanted and self._mappers is None:
            from nattools.lab.routers.fakerouter import SimulatedRouters

            self._mappers = SimulatedRouters(self.scenario, self.layout, self.network, self.forwards)
            await self._mappers.start_all()
        if self._moves and self._playing is None:
            self._playing = self.loop.create_task(self.events.play())
        return await main()

    async def _start_server(self, name: str) -> None:
        from nattools.lab.scenarioservers import start

        if name in self.scenario.host:
            from nattools.lab.lanhost import start_neighbour

            self._servers[name] = await start_neighbour(self.network(name), name, self.scenario.host[name])
            return
        addresses = self.net.topology.addresses[name]
        handle = await start(self.network(name), self.scenario.server[name], addresses)
        self._servers[name] = handle


class SimNetwork:
    """The network as one node sees it. Names are those of the scenario's nodes. It lacks nothing."""

    substrate: Substrate = "sim"

    def __init__(self, node: Node, runs_in: Environment | None = None) -> None:
        self._node = node
        self._stack = node.stack
        self._runs_in = runs_in

    def interfaces(self) -> tuple[Interface, ...]:
        return self._node.plan.interfaces

    def gateways(self) -> tuple[Gateway, ...]:
        return self._node.plan.gateways

    def route(self, destination: str) -> tuple[str | None, str] | None:
        hop = self._node.hop(destination)
        if hop.fate == "no-route" or not hop.source:
            return None
        name = "lo" if hop.fate == "local" else self._node.plan.ports[hop.port].layout.interface
        return name, hop.source

    def way(self, destination: str, *, source: str | None = None, interface: str | None = None) -> Way | None:
        family, ports = family_of(destination), self._node.plan.ports
        hop = self._stack.place(family, source, interface).routes.find(destination)
        if hop.port < 0 or hop.fate in ("no-route", "local"):
            return None
        port, beside = (
            ports[hop.port],
            any(ip_address(destination) in each for each in ports[hop.port].networks),
        )
        return Way(
            family=family,
            interface=port.layout.interface,
            source=source or hop.source,
            gateway=None if beside else port.described_gateway(family),
        )

    async def resolve(self, name: str, family: Family | None = None) -> tuple[str, ...] | str:
        """Addresses of a node of the scenario, IPv4 first, or why there are none."""
        address = resolve.numeric(name)
        if address is not None:
            return resolve.of_family(name, (address,), family)
        answer = resolve.from_table(name, self._node.net.topology.names(self._node.plan.name), family)
        return f"{name} does not resolve" if answer is None else answer

    async def resolve_texts(self, name: str) -> tuple[str, ...] | str:
        return resolve.texts_from_table(name, self._node.net.topology.texts(self._node.plan.name))

    async def advertised_nat64(self) -> tuple[Nat64Prefix, ...] | None:
        spec = nat64_of(self._node.net.topology.scenario, self._node.plan.name)
        return (parse_prefix(spec.prefix),) if spec is not None and spec.advertised else ()

    async def open_udp(self, **options: Unpack[UdpOptions]) -> SimUdpSocket:
        return self._stack.open_udp(**options)

    async def connect_tcp(
        self, remote: Endpoint, *, timeout_s: float, opener: LowTtlSyn | None = None, **end: Unpack[LocalEnd]
    ) -> TcpStream | TcpFailure:
        loop = self._stack.loop
        done: asyncio.Future[TcpFailure | None] = loop.create_future()

        def settled(_: SimStream, failure: TcpFailure | None) -> None:
            if not done.done():
                done.set_result(failure)

        stream = self._stack.connect(remote, settled, opener, **end)
        if isinstance(stream, TcpFailure):
            return stream
        timeout = TcpFailure("timeout", f"no answer in {timeout_s:g} s")
        timer = loop.call_later(timeout_s, settled, stream, timeout)
        try:
            failure = await done
        except asyncio.CancelledError:
            stream.abort()
            raise
        finally:
            timer.cancel()
        if failure is None:
            return stream
        stream.give_up()
        return failure

    async def listen_tcp(self, **options: Unpack[ListenOptions]) -> SimListener:
        return self._stack.listen(**options)

    async def open_icmp(self, **options: Unpack[IcmpOptions]) -> SimIcmpSocket:
        return self._stack.open_icmp(
            options["family"], options.get("host"), options.get("identifier"), raw=options.get("raw", False)
        )

    def send_packet(self, packet: bytes) -> SendFailure | None:
        """Send one whole IP packet as it is; what the simulator cannot read (fragments, other protocols) is
        an error."""
        try:
            parsed = ip.parse(packet)
        except ProtocolError:
            return "error"
        self._node.send(parsed)
        return None

    def watch_arrivals(self, family: Family) -> SimArrivals:
        return SimArrivals(self._node)

    def ipv6_setup(self) -> Ipv6Setup:
        return ipv6_setup_of(self._node.plan)

    def link_neighbours(self) -> tuple[LinkNeighbour, ...]:
        """None: a simulated machine keeps no list of them."""
        return ()

    def runs_in(self) -> Environment | None:
        return self._runs_in

    def is_public(self, address: str) -> bool:
        return addresses.is_public(address)

    def missing(self, capability: Capability) -> str | None:
        """None: the simulator can do everything."""
        return None
