"""A scenario as network namespaces with real sockets, kernel NAT, and a userspace router where the kernel's
NAT lacks a behaviour (Linux).

The namespaces are joined to each other only, never to the machine's own network. They have no names: open
descriptors of this process hold them, so nothing of a lab outlives its process (see `lab.netns.processes`).
"""

from __future__ import annotations

import os
import random
import select
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
from nattools.lab.layout import plan
from nattools.lab.names import names_at, texts_at
from nattools.lab.nat.engine import Side
from nattools.lab.nat.portalpage import engine_of
from nattools.lab.netns import namespaces, nft, processes, tayga, wiring
from nattools.lab.netns.netlinkbatch import NetlinkBatch
from nattools.lab.netns.nft6 import Prefixes
from nattools.lab.netns.tunnels import TunDevice, join_tunnel
from nattools.lab.netns.userspace import (
    ETH_P_IP,
    PACKET_HOST,
    Forwarder,
    FrameLoop,
    Send,
    inside_nodes,
    join,
    packet_socket,
    sender,
    userspace_router,
)
from nattools.lab.netns.wiring import WIRES, wire_up
from nattools.lab.routers.daemons import RouterDaemons, miniupnpd_gap
from nattools.lab.scenario import (
    INTERNET,
    MapperSpec,
    NatSpec,
    Scenario,
    inside_network6,
    neighbours,
    outside_network6,
    routers,
    server_uris,
)
from nattools.net.base import Network
from nattools.net.eventloop import run_interruptibly
from nattools.net.hostnetwork import HostNetwork
from nattools.net.namespace import entered
from nattools.protocols.nat64 import Nat64Prefix, parse_prefix

T = TypeVar("T")
_START_LIMIT_S = 15.0


class NetnsLab:
    """`lab.backend.Lab` over network namespaces.

    `start_servers` False leaves the server nodes without their programs. `seed` makes the choices of
    userspace routers and wires. CannotRun on entering if the system does not let this process do it.
    """

    backend: Backend = "netns"

    def __init__(self, scenario: Scenario, *, start_servers: bool = True, seed: int = 0) -> None:
        self.scenario = scenario
        self.layout = plan(scenario)
        self.engines = userspace_routers(scenario)
        self._start_servers = start_servers
        self.seed = seed
        self._wiring = wire_up(self.layout)
        self._children = processes.Children()
        self._namespaces: dict[str, namespaces.Namespace] = {}
        self._programs: list[subprocess.Popen[Any]] = []
        self._tunnels: list[TunDevice] = []
        self._mark = ""
        self.mappers = RouterDaemons(self)

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
        servers = {server: self._addresses(server) for server in self.scenario.server}
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

    def run(self, main: Callable[[], Awaitable[T]]) -> T:
        """Run to completion on an event loop; raises what `main` raises."""
        return run_interruptibly(main)

    def popen(self, node: str, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program on a node; `options` are those of `subprocess.Popen`.

        Names are those of all hosts and servers. It ends with the lab at the latest, and so do its children.
        CannotRun: there is no such program.
        """
        hosts = namespaces.hosts_table(names_at(self.scenario, node, self._names()))

        def prepare() -> None:
            processes.die_with_parent()
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
        self._await_programs({ready: router})
        return pid

    async def stop_router(self, router: str) -> None:
        """Switch off a router's port mapping service: it forgets all mappings."""
        self.mappers.stop(router)

    async def start_router(self, router: str) -> None:
        """Switch it on again."""
        self.mappers.start(router)

    def _names(self) -> dict[str, tuple[str, ...]]:
        return {
            node: self._addresses(node)
            for node, kind in self.layout.nodes.items()
            if kind in ("host", "server")
        }

    def _marked(self) -> str:
        self._mark = self._mark or processes.mark()
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
        self._start_frame_loop()
        waiting = self._start_programs() if self._start_servers else {}
        for node, process in filters.items():
            processes.finish_nft(node, process)
            if node not in self.scenario.host:
                with entered(self._namespaces[node].path):
                    timeouts = nft.timeouts(routers(self.scenario)[node])
                    namespaces.configure({f"net/netfilter/{k}": str(v) for k, v in timeouts.items()})
        self.mappers.start_all()
        for name, spec in self.scenario.nat.items():
            if spec.nat64 is not None:
                tayga.start(self, name, spec.nat64, self._inside6(name))
                if spec.nat64.advertised:
                    self._advertise(name, parse_prefix(spec.nat64.prefix))
        self._await_programs(waiting)

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
                without = frozenset({(nft.WAN, 4)}) if node in self.engines else frozenset()
                wiring.set_up(batch, node, self.layout, self._wiring, space, without=without)
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
        rules = {
            router: nft.ruleset(
                spec,
                translate=router not in self.engines,
                dmz=self.layout.dmz_address(self.scenario, router),
                prefixes=self._prefixes(router),
            )
            for router, spec in routers(self.scenario).items()
        }
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

    def _prefixes(self, router: str) -> Prefixes | None:
        inside = inside_network6(self.scenario, router)
        outside = outside_network6(self.scenario, router)
        return None if inside is None or outside is None else Prefixes(inside, outside)

    def _start_frame_loop(self) -> None:
        """One process for all userspace routers and all wires."""
        if not self.engines and WIRES not in self._namespaces:
            return
        frames = FrameLoop()
        for router in self.engines:
            self._add_router(frames, router)
        self._add_wires(frames)
        self._children.fork("the userspace routers", frames.run)
        frames.close()

    def _add_router(self, frames: FrameLoop, name: str) -> None:
        spec = routers(self.scenario)[name]
        with entered(self._namespaces[name].path):
            sock = packet_socket(ETH_P_IP)
        router = userspace_router(self.layout, self._wiring, name, spec)
        engine = engine_of(
            spec,
            inside=router.inside_network,
            outside_address=router.outside.address,
            inside_address=router.inside.address,
            rng=random.Random(f"{self.seed} {name}"),
        )
        engine.forwards.everything = self.layout.dmz_address(self.scenario, name)
        senders: dict[Side, Send] = {"inside": sender(sock, nft.LAN), "outside": sender(sock, nft.WAN)}
        forwarder = Forwarder(router, engine, senders)

        def arrived(side: Side, frame: bytes, kind: int) -> None:
            if kind == PACKET_HOST:
                forwarder.receive(side, frame, time.monotonic())

        frames.listen(sock, nft.LAN, partial(arrived, "inside"))
        frames.listen(sock, nft.WAN, partial(arrived, "outside"))

    def _add_wires(self, frames: FrameLoop) -> None:
        if WIRES not in self._namespaces:
            return
        with entered(self._namespaces[WIRES].path):
            sock = packet_socket()
        for tun, tunnel in zip(self._tunnels, self._wiring.tunnels, strict=True):
            join_tunnel(frames, tun, sock, tunnel, random.Random(f"{self.seed} {tunnel.end.name}"))
        for wire in self._wiring.wires:
            rng = random.Random(f"{self.seed} {wire.left.name}")
            join(frames, sock, wire.left.name, wire.right.name, wire.impairment, rng)

    def _addresses(self, name: str) -> tuple[str, ...]:
        addresses = tuple(address.ip for port in self.layout.ports_of(name) for address in port.addresses)
        # the IPv4 ones first
        return tuple(sorted(addresses, key=lambda address: ":" in address))

    def _start_programs(self) -> dict[int, str]:
        """Start the servers; returns the descriptors on which each says that it is ready."""
        waiting = {}
        for name, spec in self.scenario.server.items():
            if spec.program == "coturn":
                self._start_coturn(name)
                continue
            ready, said = os.pipe()
            network, addresses = self.network(name), self._addresses(name)
            serve = processes.server_main(network, spec, addresses, said)
            self._children.fork(f"the server {name}", serve)
            os.close(said)
            waiting[ready] = name
        for name in neighbours(self.scenario):
            ready, said = os.pipe()
            main = processes.neighbour_main(self.network(name), name, self.scenario.host[name], said)
            self._children.fork(f"the neighbour {name}", main)
            os.close(said)
            waiting[ready] = name
        return waiting

    def _start_coturn(self, name: str) -> None:
        spec = self.scenario.server[name]
        command = processes.coturn_command(spec, self._addresses(name))
        quiet = subprocess.DEVNULL
        process = self.popen(name, command, stdin=quiet, stdout=quiet, stderr=quiet)
        processes.await_listener(process, spec.port, _START_LIMIT_S)

    def _await_programs(self, waiting: dict[int, str]) -> None:
        until = time.monotonic() + _START_LIMIT_S
        try:
            for descriptor, name in waiting.items():
                ready, _, _ = select.select([descriptor], (), (), max(0.0, until - time.monotonic()))
                if not ready or not os.read(descriptor, 1):
                    raise CannotRun(f"the lab's server {name!r} did not start")
        finally:
            for descriptor in waiting:
                os.close(descriptor)

    def _take_down(self) -> None:
        """Remove everything. Idempotent."""
        self._children.kill()
        if self._mark:
            processes.kill_marked(self._mark)
            self._mark = ""
        for program in self._programs:
            program.wait()
        self._programs.clear()
        for namespace in self._namespaces.values():
            namespace.close()
        self._namespaces = {}


def userspace_routers(scenario: Scenario) -> dict[str, str]:
    """The routers that the kernel's NAT cannot act as, with the reasons. UsageError where one says `engine =
    "kernel"` all the same."""
    found = {}
    for name, spec in routers(scenario).items():
        reason = nft.gap(spec, inside_nodes=inside_nodes(scenario, name))
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
