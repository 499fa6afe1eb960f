"""What happens to a lab of network namespaces while it runs, done to real interfaces, to the kernel's tables
and to the processes of its servers (Linux)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Mapping

from nattools.errors import CannotRun
from nattools.lab.eventplayer import ChangeableLab
from nattools.lab.layout import Layout
from nattools.lab.netns import nft, nftchanges, processes
from nattools.lab.netns.frameprocess import FrameProcess, RouterOrder
from nattools.lab.netns.namespaces import Namespace, configure
from nattools.lab.netns.nodesetup import UnpluggedCables
from nattools.lab.netns.serverprograms import ServerPrograms
from nattools.lab.routers.daemons import RouterDaemons
from nattools.lab.scenario import NatSpec, RouterSpec, Scenario, host_behind, routers
from nattools.net.system.namespace import entered

_NETLINK_NETFILTER = 12
_FLUSH_CONNTRACK = (1 << 8) | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE (nfnetlink_conntrack.h)
_REQUEST_AND_ACKNOWLEDGE = 5


class NetnsChanges(ChangeableLab):
    """Over network namespaces."""

    def __init__(
        self,
        scenario: Scenario,
        layout: Layout,
        namespaces: Mapping[str, Namespace],
        *,
        unplugging: UnpluggedCables,
        frames: FrameProcess,
        rules: Callable[[str, RouterSpec], str],
        servers: ServerPrograms,
        mappers: RouterDaemons,
    ) -> None:
        self._scenario = scenario
        self._layout = layout
        self._namespaces = namespaces
        self._unplugging = unplugging
        self._frames = frames
        self._rules = rules
        self._servers = servers
        self._mappers = mappers
        self._specs = routers(scenario)

    def link(self, node: str, stays: Callable[[str], bool]) -> None:
        host = node in self._scenario.host
        behind = host_behind(self._scenario, node) if host else ()
        for number, port in enumerate(self._layout.ports_of(node)):
            if host or port.uplink:
                link = stays(behind[number] if number < len(behind) else "")
                self._unplugging.set(node, port, link=link)

    def cut(self, node: str) -> None:
        """Lose whatever arrives at a node, until `mend`."""
        self._frames.order(RouterOrder(node, "cut"))
        self._load(node, nftchanges.CUTTING)

    def mend(self, node: str) -> None:
        """Undo a cut."""
        self._load(node, nftchanges.MENDING)
        self._frames.order(RouterOrder(node, "mend"))

    def restart(self, router: str) -> None:
        """A NAT or firewall loses its memory of all flows. Forwardings stay."""
        self._frames.order(RouterOrder(router, "restart"))
        self._load(router, nftchanges.forgetting(self._specs[router]))
        self._flush_conntrack(router)

    def behave(self, nat: str, spec: NatSpec) -> None:
        """From now on it translates and filters like this; all bindings are lost."""
        before, self._specs[nat] = self._specs[nat], spec
        self._load(nat, nftchanges.replacing(self._rules(nat, before), self._rules(nat, spec)))
        with entered(self._namespaces[nat].path):
            configure(nft.conntrack_settings(spec))
        self._frames.order(RouterOrder(nat, "behave", spec))
        self._flush_conntrack(nat)

    def next_address(self, nat: str) -> None:
        """The provider gives it the next of its outside addresses."""
        self._frames.order(RouterOrder(nat, "next-address"))

    async def stop_server(self, server: str) -> None:
        """A server ends, with all that it knows; nothing happens if it does not run."""
        self._servers.stop(server)

    async def start_server(self, server: str) -> None:
        """It begins anew; nothing happens if it runs."""
        await self._servers.start(server)

    async def stop_router(self, router: str) -> None:
        """Switch off a router's port mapping service: it forgets all mappings."""
        self._mappers.stop(router)

    async def start_router(self, router: str) -> None:
        """Switch it on again."""
        self._mappers.start(router)

    def _load(self, node: str, rules: str) -> None:
        if rules:
            with entered(self._namespaces[node].path):
                process = processes.start_nft(rules)
            processes.finish_nft(node, process)

    def _flush_conntrack(self, node: str) -> None:
        """All of the namespace's connections. CannotRun: the kernel would not."""
        header = struct.pack("=IHHII", 20, _FLUSH_CONNTRACK, _REQUEST_AND_ACKNOWLEDGE, 1, 0)
        family = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        with (
            entered(self._namespaces[node].path),
            socket.socket(socket.AF_NETLINK, kind, _NETLINK_NETFILTER) as sock,
        ):
            sock.bind((0, 0))
            sock.send(header + family)
            error = struct.unpack_from("=i", sock.recv(4096), 16)[0]
        if error:
            raise CannotRun(f"the kernel would not empty the table of {node!r} (error {-error})")
