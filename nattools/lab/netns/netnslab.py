"""A scenario as network namespaces with real sockets, kernel NAT, and a userspace router where the kernel's
NAT lacks a behaviour (Linux).

The namespaces are joined to each other only, never to the machine's own network. They have no names: open
descriptors of this process hold them, so nothing of a lab outlives its process (see `lab.netns.processes`).
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from nattools.errors import CannotRun, UsageError
from nattools.lab.backend import Backend
from nattools.lab.eventplayer import EventPlayer, specs_in_time
from nattools.lab.layout import plan
from nattools.lab.names import names_at, texts_at
from nattools.lab.netns import namespaces, nft, processes, tayga, wiring
from nattools.lab.netns.children import Children
from nattools.lab.netns.frameprocess import FrameProcess
from nattools.lab.netns.interfacesup import await_service, in_service, own6
from nattools.lab.netns.netlinkbatch import NetlinkBatch
from nattools.lab.netns.netnschanges import NetnsChanges
from nattools.lab.netns.nft6 import Prefixes
from nattools.lab.netns.nodesetup import UnpluggedCables, set_up
from nattools.lab.netns.serverprograms import ServerPrograms
from nattools.lab.netns.tunnels import TunDevice
from nattools.lab.netns.userspace import inside_nodes
from nattools.lab.netns.wiring import WIRES, wire_up
from nattools.lab.routers.daemons import RouterDaemons, miniupnpd_gap
from nattools.lab.scenario import (
    INTERNET,
    MapperSpec,
    NatSpec,
    RouterSpec,
    Scenario,
    inside_network6,
    outside_network6,
    routers,
    server_uris,
)
from nattools.net.base import Network
from nattools.net.eventloop import run_interruptibly
from nattools.net.system.hostnetwork import HostNetwork
from nattools.net.system.namespace import entered
from nattools.protocols.nat64 import Nat64Prefix, parse_prefix
from nattools.workers import die_with_parent

T = TypeVar("T")


class NetnsLab:
    """`lab.backend.Lab` over network namespaces.

    `start_servers` False leaves the server nodes without their programs. `seed` makes the choices of
    userspace routers and wires. `still`: nothing of what is to happen in it does, but by its `events`.
    CannotRun on entering if the system does not let this process do it.
    """

    backend: Backend = "netns"

    def __init__(
        self, scenario: Scenario, *, start_servers: bool = True, seed: int = 0, still: bool = False
    ) -> None:
        self.scenario = scenario
        self.layout = plan(scenario)
        self.engines = userspace_routers(scenario)
        self._start_servers = start_servers
        self.seed = seed
        self._wiring = wire_up(self.layout)
        self._children = Children()
        self._namespaces: dict[str, namespaces.Namespace] = {}
        self._programs: list[subprocess.Popen[Any]] = []
        self._tunnels: list[TunDevice] = []
        self._mark = ""
        self._without = {name: frozenset({(nft.WAN, 4)}) for name in self.engines}
        self._frames = FrameProcess(scenario, self.layout, self._wiring, tuple(self.engines), seed)
        self._servers = ServerPrograms(self, self._children)
        self.mappers = RouterDaemons(self)
        self._events: EventPlayer | None = None
        self._moves = bool(scenario.event) and not still

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self._take_down)
            self._build()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._take_down()

    def network(self, node: str) -> Network:
        """The network as the named host (or server, or router) sees it. Names are those of the servers."""
        servers = {server: self.addresses(server) for server in self.scenario.server}
        names, spec = names_at(self.scenario, node, servers), self.scenario.host.get(node)
        runs_in = spec.runs_in if spec is not None else None
        texts = texts_at(self.scenario, node, self.layout)
        return HostNetwork(self.network_path(node), names, runs_in, texts)

    def network_path(self, node: str) -> str:
        """The path of a node's namespace, for this process and its forked children."""
        return self._namespace(node).path

    def server_uris(self) -> tuple[str, ...]:
        """The scenario's servers, as `--server` takes them, in the order of the file."""
        return server_uris(self.scenario)

    @property
    def events(self) -> EventPlayer:
        """What is still to happen in it. Only while it is up."""
        assert self._events is not None
        return self._events

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        """Run to completion on an event loop; raises what `main` raises. What is to happen in the scenario
        happens meanwhile, by the machine's clock."""
        return run_interruptibly(partial(self._moving, main) if self._moves else main)

    async def _moving(self, main: Callable[[], Awaitable[T]]) -> T:
        playing = asyncio.get_running_loop().create_task(self.events.play())
        try:
            result = await main()
        finally:
            playing.cancel()
            (failure,) = await asyncio.gather(playing, return_exceptions=True)
        if isinstance(failure, Exception):
            raise failure
        return result

    def popen(self, node: str, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program on a node; `options` are those of `subprocess.Popen`.

        Names are those of all hosts and servers. It ends with the lab at the latest, and so do its children.
        CannotRun: there is no such program.
        """
        hosts = namespaces.hosts_table(names_at(self.scenario, node, self._names()))

        def prepare() -> None:
            die_with_parent()
            namespaces.see_only(hosts)

        environment = {**(options.pop("env", None) or os.environ), processes.MARK: self._marked()}
        try:
            with entered(self._namespace(node).path):
                process = subprocess.Popen(command, env=environment, preexec_fn=prepare, **options)
        except OSError as error:
            raise CannotRun(f"cannot run {command[0]}: {error.strerror}") from error
        self._programs.append(process)
        return process

    def fork_router(self, router: str, spec: tuple[NatSpec, MapperSpec]) -> int:
        """Start a fake router on its node, and wait until it listens; its process id. CannotRun: it does not
        start."""
        ready, said = os.pipe()
        main = processes.router_main(
            self.network(router), self.network_path(router), self.layout, router, spec, said
        )
        pid = self._children.fork(f"the mapper of {router}", main)
        os.close(said)
        processes.await_ready({ready: router})
        return pid

    async def stop_router(self, router: str) -> None:
        """Switch off a router's port mapping service: it forgets all mappings."""
        self.mappers.stop(router)

    async def start_router(self, router: str) -> None:
        """Switch it on again."""
        self.mappers.start(router)

    def _names(self) -> dict[str, tuple[str, ...]]:
        return {
            node: self.addresses(node)
            for node, kind in self.layout.nodes.items()
            if kind in ("host", "server")
        }

    def _marked(self) -> str:
        self._mark = self._mark or processes.mark()
        self._children.guard_programs(self._mark)
        return self._mark

    def _namespace(self, node: str) -> namespaces.Namespace:
        if node not in self._namespaces:
            known = ", ".join(name for name in self.layout.nodes if name != INTERNET)
            raise UsageError(f"the scenario has no node {node!r} (it has {known})")
        return self._namespaces[node]

    # --- up and down

    def _build(self) -> None:
        namespaces.gain_privilege()
        processes.sweep()
        nodes = [*self.layout.nodes, *([WIRES] if self._wiring.wires or self._wiring.tunnels else [])]
        self._namespaces = namespaces.create(nodes, {node: self._settings(node) for node in nodes})
        self._plug_in(nodes)
        filters = self._load_filters()
        self._frames.start(self._namespaces, self._tunnels, self._children.fork)
        waiting = self._servers.start_all() if self._start_servers else {}
        for node, process in filters.items():
            processes.finish_nft(node, process)
            if node not in self.scenario.host:
                with entered(self._namespaces[node].path):
                    namespaces.configure(nft.conntrack_settings(routers(self.scenario)[node]))
        self.mappers.start_all()
        for name, spec in self.scenario.nat.items():
            if spec.nat64 is not None:
                tayga.start(self, name, spec.nat64, self._inside6(name))
                if spec.nat64.advertised:
                    self._advertise(name, parse_prefix(spec.nat64.prefix))
        processes.await_ready(waiting)
        self._await_service()
        self._events = EventPlayer(self.scenario, self.changes(), time.monotonic())

    def changes(self) -> NetnsChanges:
        """What can be done to it while it is up."""
        return NetnsChanges(
            self.scenario,
            self.layout,
            self._namespaces,
            unplugging=UnpluggedCables(self.layout, self._wiring, self._namespaces, self._without),
            frames=self._frames,
            rules=self._rules,
            servers=self._servers,
            mappers=self.mappers,
        )

    def _advertise(self, router: str, prefix: Nat64Prefix) -> None:
        with (
            entered(self.network_path(router)),
            socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock,
        ):
            main = processes.advertiser_main(sock, socket.if_nametoindex(nft.LAN), prefix)
            self._children.fork(f"the advertiser of {router}", main)

    def _inside6(self, router: str) -> str:
        inside = next(port for port in self.layout.ports_of(router) if port.interface == nft.LAN)
        return next(address.ip for address in inside.addresses if ":" in address.ip)

    def _settings(self, node: str) -> dict[str, str]:
        if node == WIRES:
            return namespaces.NO_IPV6
        if self.layout.nodes[node] in ("host", "server"):
            return {}
        return namespaces.FORWARD6 if node in self.engines else namespaces.FORWARD4 | namespaces.FORWARD6

    def _plug_in(self, nodes: list[str]) -> None:
        batch = NetlinkBatch()
        try:
            wiring.plug_in(batch, self._wiring, self._namespaces, self._namespaces[INTERNET])
            self._open_tunnels()
            for node in nodes:
                space = self._namespaces[node]
                namespaces.compute_checksums(space, self._wiring.towards(node, {WIRES, *self.engines}))
                without = self._without.get(node, frozenset())
                set_up(batch, node, self.layout, self._wiring, space, without=without)
        finally:
            batch.close()
        if any(bridge.lan.multicast == "forgotten" for bridge in self._wiring.bridges):
            time.sleep(2 * wiring.RESPONSE_S)

    def _await_service(self) -> None:
        batch = NetlinkBatch()
        try:
            for node, devices in in_service(self.layout, self._wiring).items():
                own = own6(self.layout.ports_of(node), self._without.get(node, frozenset()))
                await_service(batch, node, self._namespaces[node], devices, own)
        finally:
            batch.close()

    def _open_tunnels(self) -> None:
        """Their process holds them from its fork on."""
        self._tunnels = []
        for tunnel in self._wiring.tunnels:
            with entered(self._namespaces[tunnel.device.node].path):
                try:
                    self._tunnels.append(TunDevice(tunnel.device.name))
                except OSError as error:
                    raise CannotRun(f"no tunnel can be made: {error.strerror} (/dev/net/tun)") from error

    def _load_filters(self) -> dict[str, subprocess.Popen[str]]:
        started = {}
        rules = {router: self._rules(router, spec) for router, spec in routers(self.scenario).items()}
        for host in self.scenario.host:
            ports = self.layout.ports_of(host)
            firewall = self.scenario.host[host].firewall
            let_out = [port.interface for port in ports if port.lets_out]
            if len(let_out) < len(ports) or firewall is not None:
                rules[host] = nft.host_ruleset(None if len(let_out) == len(ports) else let_out, firewall)
        for node, text in rules.items():
            with entered(self._namespaces[node].path):
                started[node] = processes.start_nft(text)
        return started

    def _rules(self, router: str, spec: RouterSpec) -> str:
        return nft.ruleset(
            spec,
            translate=router not in self.engines,
            dmz=self.layout.dmz_address(self.scenario, router),
            prefixes=self._prefixes(router),
        )

    def _prefixes(self, router: str) -> Prefixes | None:
        inside = inside_network6(self.scenario, router)
        outside = outside_network6(self.scenario, router)
        return None if inside is None or outside is None else Prefixes(inside, outside)

    def addresses(self, name: str) -> tuple[str, ...]:
        """A node's own, those of IPv4 first."""
        addresses = tuple(address.ip for port in self.layout.ports_of(name) for address in port.addresses)
        return tuple(sorted(addresses, key=lambda address: ":" in address))

    def _take_down(self) -> None:
        """Remove everything. Idempotent."""
        self._children.kill()
        self._frames.close()
        if self._mark:
            processes.kill_marked(self._mark)
            self._mark = ""
        for program in self._programs:
            processes.reap(program)
        self._programs.clear()
        self._children.end_guard()
        for namespace in self._namespaces.values():
            namespace.close()
        self._namespaces = {}


def userspace_routers(scenario: Scenario) -> dict[str, str]:
    """The routers that the kernel's NAT cannot act as, with the reasons. UsageError where one says `engine =
    "kernel"` all the same."""
    found = {}
    for name, spec in routers(scenario).items():
        reason = _gap(scenario, name, spec)
        engine = spec.engine if isinstance(spec, NatSpec) else "auto"
        if isinstance(spec, NatSpec) and spec.mapper is not None:
            engine, reason = "kernel", miniupnpd_gap(spec.mapper) or reason
        if isinstance(spec, NatSpec) and spec.nat64 is not None:
            engine = "kernel"
        if engine == "kernel" and reason:
            raise UsageError(f"the kernel's NAT cannot act as {name!r}: {reason}")
        if engine == "tun" or reason:
            found[name] = reason or "the scenario asks for it"
    return found


def _gap(scenario: Scenario, router: str, spec: RouterSpec) -> str | None:
    """Why the kernel cannot do what a router is to do at first or later on, as a clause."""
    specs: Sequence[RouterSpec] = specs_in_time(scenario, router) if router in scenario.nat else (spec,)
    inside = inside_nodes(scenario, router)
    return next((gap for gap in (nft.gap(each, inside_nodes=inside) for each in specs) if gap), None)
