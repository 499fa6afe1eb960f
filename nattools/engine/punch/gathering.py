"""Own sockets for an attempt, and where they can be reached."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from nattools.engine.servers import MeasurementRun
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint, Family, Transport, family_of, parse_address
from nattools.net.base import Network, UdpSocket
from nattools.protocols import ice
from nattools.traversal.sample import where_seen

MAX_ADDRESSES = 4
"""Own addresses of a family that are tried; a machine with more has them for other purposes."""


@dataclass(frozen=True, slots=True)
class Base:
    """An own socket. `seen`: where a server sees it, None if none told. `preference`: RFC 8421's."""

    socket: UdpSocket
    seen: Endpoint | None
    preference: int

    def candidates(self) -> list[ice.Candidate]:
        """Its host candidate, and the server-reflexive one where that is another."""
        local = self.socket.local
        found = [ice.local_candidate("host", local, local_preference=self.preference)]
        if self.seen is not None and self.seen != local:
            found.append(
                ice.local_candidate("srflx", self.seen, base=local, local_preference=self.preference)
            )
        return found


def server_of(run: MeasurementRun, transport: Transport, family: Family) -> Endpoint | None:
    """The server to ask where a socket is seen: the quickest that answered over that transport."""
    targets = [each for each in run.reached if (each.transport, each.family) == (transport, family)]
    return min(targets, key=lambda each: each.rtt_s).endpoint if targets else None


def own_addresses(run: MeasurementRun, families: Iterable[Family]) -> list[str]:
    """Those that a peer may be able to write to: first the one that leads to the servers, then others of the
    same machine, which may be on the peer's network."""
    found: dict[str, None] = {}
    for family in families:
        source = run.source(family)
        if source is not None:
            found[source] = None
    named = run.options.interface
    for interface in run.network.interfaces():
        if interface.up and interface.kind != "loopback" and named in (None, interface.name):
            found |= {host: None for host in interface.addresses if family_of(host) in families}
    hosts = [host for host in found if _of_use(host)]
    return [
        host
        for family in (6, 4)
        for host in [each for each in hosts if family_of(each) == family][:MAX_ADDRESSES]
    ]


def _of_use(host: str) -> bool:
    address = parse_address(host)
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


async def gather(run: MeasurementRun, families: Iterable[Family]) -> list[Base]:
    """A socket for each own address, and where a server sees it. CannotRun: no socket can be had."""
    hosts = own_addresses(run, families)
    preferences = ice.local_preferences(hosts)
    sockets = await _open_all(run.network, hosts, run.options.interface)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_seen(run, socket)) for socket in sockets]
    return [
        Base(socket, task.result(), preferences[socket.local.host])
        for socket, task in zip(sockets, tasks, strict=True)
    ]


async def _open_all(network: Network, hosts: list[str], interface: str | None) -> list[UdpSocket]:
    opened: list[UdpSocket] = []
    failure: CannotRun | None = None
    for host in hosts:
        try:
            opened.append(await network.open_udp(family=family_of(host), host=host, interface=interface))
        except CannotRun as error:
            failure = error
    if not opened:
        raise failure or CannotRun("this machine has no address that a peer could write to")
    return opened


async def _seen(run: MeasurementRun, socket: UdpSocket) -> Endpoint | None:
    server = server_of(run, "udp", socket.local.family)
    return None if server is None else await where_seen(socket, server)


async def may_bind_low_ports(network: Network, family: Family = 4) -> bool:
    """May this process bind ports below 1024 (on Linux: CAP_NET_BIND_SERVICE, or
    net.ipv4.ip_unprivileged_port_start)? Tried on a few, since one may be taken."""
    for port in (1021, 977, 853):
        try:
            socket = await network.open_udp(family=family, port=port)
        except CannotRun:
            continue
        socket.close()
        return True
    return False
