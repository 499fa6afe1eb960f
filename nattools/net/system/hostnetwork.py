"""The network of this machine, or of one of its network namespaces: real sockets."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from typing import Final, Unpack

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family, family_of
from nattools.model.host import Environment, Gateway, Interface, Ipv6Setup, LinkNeighbour, Way
from nattools.model.packetform import PacketForm
from nattools.model.report import Substrate
from nattools.net import addresses, resolve
from nattools.net.base import (
    ArrivalWatch,
    Capability,
    IcmpOptions,
    IcmpSocket,
    LocalEnd,
    LowTtlSyn,
    MachineSocket,
    SendFailure,
    StreamHandler,
    TcpFailure,
    TcpListener,
    TcpStream,
    UdpOptions,
)
from nattools.net.system import (
    arrivals,
    formedsending,
    hosticmp,
    hosttcp,
    hostudp,
    linux,
    nameservers,
    routeradverts,
)
from nattools.net.system import interfaces as system
from nattools.net.system.hostenvironment import host_environment
from nattools.net.system.ipv6setup import ipv6_setup
from nattools.net.system.namespace import entered
from nattools.net.system.routes import Route, RouteCache
from nattools.net.system.sockets import Zones, bound_socket, default_source, source_address
from nattools.protocols import dnstexts
from nattools.protocols.nat64 import Nat64Prefix

_FORMS: Final[dict[Capability, PacketForm]] = {
    "fragments": "fragments",
    "extension-headers": "destination-options",
}
_REFUSED = {
    "icmp-errors": "report the ICMP errors about UDP datagrams",
    "ttl": "set a connection's TTL",
    "dont-fragment": "set the don't-fragment bit",
}


class HostNetwork:
    """`nattools.net.base.Network` over the operating system.

    `netns` is the path of a Linux network namespace (as `/run/netns/NAME`): every socket is opened and every
    question about interfaces is asked inside it. There, names come from the table `names` (lower case, no
    final dot) alone: a system resolver may ask a local service over a Unix socket, which does not follow the
    namespace, and the question would leave by the machine's own network. So do TXT records, from `texts`.
    `runs_in` is what it runs in there.
    """

    def __init__(
        self,
        netns: str | None = None,
        names: Mapping[str, tuple[str, ...]] | None = None,
        runs_in: Environment | None = None,
        texts: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.substrate: Substrate = "host" if netns is None else "netns"
        self._netns = netns
        self._runs_in = runs_in
        self._names: Mapping[str, tuple[str, ...]] = names or {}
        self._texts: Mapping[str, tuple[str, ...]] = texts or {}
        self._zones = Zones(netns)
        self._routes = RouteCache(netns)

    def interfaces(self) -> tuple[Interface, ...]:
        with entered(self._netns):
            return system.interfaces()

    def gateways(self) -> tuple[Gateway, ...]:
        with entered(self._netns):
            return system.gateways()

    def route(self, destination: str) -> tuple[str | None, str] | None:
        return self._routes.route(destination, self._ask_route)

    def _ask_route(self, destination: str) -> Route | None:
        with entered(self._netns):
            source = source_address(self._zones, Endpoint(destination, 9))
            return None if source is None else (system.interface_with(source), source)

    def way(self, destination: str, *, source: str | None = None, interface: str | None = None) -> Way | None:
        """Where the system tells of no routes, by the source address that it chooses."""
        with entered(self._netns):
            try:
                return system.way(destination, source=source, interface=interface)
            except OSError:
                route = self.route(destination)
        if route is None or source not in (None, route[1]) or interface not in (None, route[0]):
            return None
        family = family_of(destination)
        routers = (
            each
            for each in self.gateways()
            if each.family == family and route[0] in (None, each.interface)  # None: the system does not tell
        )
        gateway = next((each.address for each in routers), None)
        return Way(family=family, interface=route[0], source=route[1], gateway=gateway)

    async def resolve(self, name: str, family: Family | None = None) -> tuple[str, ...] | str:
        """Addresses of a name in order of preference, or a text that says why there are none.

        Takes at most 5 s. In a namespace only the table given to the constructor is asked."""
        address = resolve.numeric(name)
        if address is not None:
            return resolve.of_family(name, (address,), family)
        answer = resolve.from_table(name, self._names, family)
        if answer is not None:
            return answer
        if self._netns is not None:
            return f"there is no host {name} in this lab"
        return await resolve.look_up(name, family)

    async def resolve_texts(self, name: str) -> tuple[str, ...] | str:
        if self._netns is not None:
            return resolve.texts_from_table(name, self._texts)
        servers = [Endpoint(host, dnstexts.PORT) for host in nameservers.name_servers()]
        return await nameservers.look_up_texts(self, name, servers)

    async def advertised_nat64(self) -> tuple[Nat64Prefix, ...] | None:
        links = [each.name for each in self.interfaces() if each.up and each.kind != "loopback"]
        with entered(self._netns):
            asking = routeradverts.asker(links)
        waits_s = routeradverts.waits_for(self.ipv6_setup().routers)
        return None if asking is None else await asking.prefixes(waits_s)

    async def open_udp(self, **options: Unpack[UdpOptions]) -> MachineSocket:
        """A bound UDP socket; see `Network.open_udp`.

        Without `host` it is bound to the wildcard address. `local.host` is then the wildcard too if the
        machine has no address of the family but loopback."""
        with entered(self._netns):
            sock, local = hostudp.open_socket(self._zones, **options)
        return hostudp.HostUdpSocket(sock, local, self._zones)

    async def connect_tcp(
        self, remote: Endpoint, *, timeout_s: float, opener: LowTtlSyn | None = None, **end: Unpack[LocalEnd]
    ) -> TcpStream | TcpFailure:
        """See `Network.connect_tcp`."""
        why = None if opener is None else self.missing("ttl")
        if why is not None:
            raise CannotRun(why)
        sock = self._tcp_socket(remote.family, end)
        return await hosttcp.connect(sock, self._zones, remote, timeout_s, opener)

    async def listen_tcp(
        self, *, family: Family, on_stream: StreamHandler, **end: Unpack[LocalEnd]
    ) -> TcpListener:
        """See `Network.listen_tcp`."""
        sock = self._tcp_socket(family, end)
        local = self._zones.endpoint(sock.getsockname())
        if end.get("host") is None:
            with entered(self._netns):
                local = Endpoint(default_source(self._zones, family, end.get("interface")), local.port)
        return await hosttcp.listen(sock, self._zones, local, on_stream)

    def _tcp_socket(self, family: Family, end: LocalEnd) -> socket.socket:
        with entered(self._netns):
            return bound_socket(socket.SOCK_STREAM, self._zones, family=family, shared=True, **end)

    async def open_icmp(self, **options: Unpack[IcmpOptions]) -> IcmpSocket:
        """A ping socket if this system gives one to this process, else a raw one; see `Network.open_icmp`."""
        identifier = options.get("identifier")
        with entered(self._netns):
            sock, local = hosticmp.open_socket(
                self._zones,
                options["family"],
                options.get("host"),
                raw=options.get("raw", False) or identifier is not None,
            )
        return hosticmp.HostIcmpSocket(sock, local, self._zones, identifier)

    def send_packet(self, packet: bytes) -> SendFailure | None:
        with entered(self._netns):
            return hosticmp.send_packet(packet)

    def watch_arrivals(self, family: Family) -> ArrivalWatch:
        with entered(self._netns):
            sock = arrivals.open_socket(family)
        return arrivals.HostArrivals(sock, aside=self._netns is None)

    def ipv6_setup(self) -> Ipv6Setup:
        with entered(self._netns):
            return ipv6_setup(resolvers=self._netns is None)

    def link_neighbours(self) -> tuple[LinkNeighbour, ...]:
        with entered(self._netns):
            return system.link_neighbours()

    def runs_in(self) -> Environment | None:
        return host_environment() if self._netns is None else self._runs_in

    def is_public(self, address: str) -> bool:
        return addresses.is_public(address)

    def missing(self, capability: Capability) -> str | None:
        """None when this system can do it, else why not."""
        match capability:
            case "icmp-errors" if not linux.AVAILABLE:
                return f"{_system()} does not report the ICMP errors about UDP datagrams to programs"
            case "dont-fragment" if not linux.AVAILABLE and sys.platform not in hostudp.DONT_FRAGMENT_OPTIONS:
                return f"nattools cannot set the don't-fragment bit on {_system()}"
            case "icmp" | "raw-packets":
                with entered(self._netns):
                    return hosticmp.missing(raw_packets=capability == "raw-packets")
            case "arrivals":
                with entered(self._netns):
                    return arrivals.missing()
            case "fragments" | "extension-headers":
                with entered(self._netns):
                    return formedsending.missing(_FORMS[capability])
            case "icmp-errors" | "ttl" | "dont-fragment" if linux.AVAILABLE:
                refused = linux.refused(capability)
                return refused and f"this system refuses to {_REFUSED[capability]}: {refused}"
            case _:
                return None


def _system() -> str:
    return {"win32": "Windows", "darwin": "macOS"}.get(sys.platform, sys.platform)
