"""Interfaces, addresses, routes and neighbours of a lab's namespaces, over netlink.

pyroute2 writes the messages; a namespace's messages go out together through one plain socket that was opened
inside it, since a round trip and a process for each would take most of the time that a lab takes to start.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any

from nattools.errors import CannotRun
from nattools.lab.layout import Layout, Port
from nattools.lab.namespaces import Namespace
from nattools.lab.wiring import DEFAULT_MTU, Device, Neighbour, Wiring
from nattools.net.namespace import entered

_ACKNOWLEDGEMENT = 2  # NLMSG_ERROR, with error 0 when all is well
_HEADER = struct.Struct("=IHHII")
_IFA_F_NODAD = 2
_FIRST_TABLE = 100
_FIRST_METRIC = 100


class Batch:
    """Netlink requests that go out together."""

    def __init__(self) -> None:
        self._compiler = _compiler()
        self._what: list[str] = []

    def append(self, what: str, method: str, command: str = "add", /, **wanted: Any) -> None:
        """Append the request that pyroute2's `IPRoute` method of that name makes of these arguments;
        `what` says in an error message what the kernel refused to do."""
        getattr(self._compiler, method)(command, **wanted)
        self._what.append(what)

    def send(self, namespace: Namespace) -> None:
        """Send all and wait until the kernel has done it. CannotRun names the first request that failed."""
        if not self._what:
            return
        with (
            entered(namespace.path),
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as sock,
        ):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            sock.bind((0, 0))
            sock.send(self._compiler.batch)
            results: list[int] = []
            while len(results) < len(self._what):
                results += _results(sock.recv(1 << 16))
        what, self._what = self._what, []
        self._compiler.reset()
        for result, request in zip(results, what, strict=True):
            if result:
                name = errno.errorcode.get(result, str(result))
                raise CannotRun(f"the kernel refused to {request}: {os.strerror(result)} ({name})")

    def close(self) -> None:
        """Let go of pyroute2's resources."""
        self._compiler.close()


def _compiler() -> Any:
    try:
        from pyroute2.iproute.linux import IPBatch
    except ImportError as error:
        raise CannotRun(
            f"network namespaces need pyroute2: {error}", "Install it: pip install 'nattools[lab]'"
        ) from error
    return IPBatch()


def _results(data: bytes) -> list[int]:
    """The error numbers of a datagram of acknowledgements, 0 for success."""
    results = []
    at = 0
    while at < len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if kind == _ACKNOWLEDGEMENT:
            results.append(-struct.unpack_from("=i", data, at + _HEADER.size)[0])
        at += (length + 3) & ~3
    return results


def plug_in(batch: Batch, wiring: Wiring, namespaces: Mapping[str, Namespace], through: Namespace) -> None:
    """Make all bridges and cables, each end at once in the namespace where it belongs.

    `through`: any of the lab's own namespaces, for the requests to be made from.
    """

    def end(device: Device) -> dict[str, Any]:
        holder = namespaces[device.node].descriptor
        return {"ifname": device.name, "address": device.mac, "net_ns_fd": holder, "mtu": device.mtu}

    for bridge in wiring.bridges:
        # what plugs into it may be smaller: the bridge itself keeps an Ethernet's size
        wanted = {**end(bridge), "mtu": DEFAULT_MTU, "br_mcast_snooping": 0, "br_stp_state": 0}
        batch.append(f"make the bridge {bridge.name} of {bridge.node}", "link", **wanted, kind="bridge")
    for cable in wiring.cables:
        what = f"make the cable between {cable.left.node} and {cable.right.node}"
        batch.append(what, "link", **end(cable.left), kind="veth", peer=end(cable.right))
    batch.send(through)


def set_up(
    batch: Batch,
    node: str,
    layout: Layout,
    wiring: Wiring,
    namespace: Namespace,
    *,
    without: frozenset[tuple[str, int]] = frozenset(),
) -> None:
    """Bring up a node's interfaces and give it addresses, neighbours and routes.

    `without`: pairs of interface and family that get no address and no route.
    """
    devices = wiring.devices(node)
    with entered(namespace.path):
        index = {device.name: socket.if_nametoindex(device.name) for device in devices}
    batch.append("bring up the loopback", "link", "set", index=1, state="up")
    for device in devices:
        _bring_up(batch, device, index)
    ports = layout.ports_of(node)
    for port in ports:
        _assign(batch, port, index[port.interface], without)
    for neighbour in wiring.neighbours:
        if neighbour.node == node:
            _introduce(batch, neighbour, index)
    for position, port in enumerate(port for port in ports if port.uplink):
        _default_routes(batch, port, index[port.interface], position, without)
    if sum(port.uplink for port in ports) > 1:
        for position, port in enumerate(ports):
            _own_table(batch, port, index[port.interface], position)
    for route in layout.routes:
        if route.node == node and not any(family == _family(route.via) for _, family in without):
            _route(batch, route.network, route.via)
    batch.send(namespace)


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _bring_up(batch: Batch, device: Device, index: Mapping[str, int]) -> None:
    wanted: dict[str, Any] = {"index": index[device.name], "state": "up"}
    if device.bridge is not None:
        wanted["master"] = index[device.bridge]
    batch.append(f"bring up {device.name} of {device.node}", "link", "set", **wanted)


def _assign(batch: Batch, port: Port, index: int, without: frozenset[tuple[str, int]]) -> None:
    for address in port.addresses:
        if (port.interface, _family(address.ip)) in without:
            continue
        wanted: dict[str, Any] = {"index": index, "address": address.ip, "prefixlen": address.prefix}
        if ":" in address.ip:
            wanted["flags"] = _IFA_F_NODAD
        batch.append(f"give {port.node} the address {address.ip}", "addr", **wanted)


def _introduce(batch: Batch, neighbour: Neighbour, index: Mapping[str, int]) -> None:
    batch.append(
        f"tell {neighbour.node} of its neighbour {neighbour.ip}",
        "neigh",
        dst=neighbour.ip,
        lladdr=neighbour.mac,
        ifindex=index[neighbour.device],
        state="permanent",
    )


def _default_routes(
    batch: Batch, port: Port, index: int, position: int, without: frozenset[tuple[str, int]]
) -> None:
    """The first uplink is the preferred one; the others serve sockets that are bound to their interface."""
    for gateway in port.gateways:
        if (port.interface, _family(gateway)) not in without:
            _route(batch, "default", gateway, oif=index, priority=_FIRST_METRIC + position)


def _own_table(batch: Batch, port: Port, index: int, position: int) -> None:
    """What has the source address of this interface leaves by it (RFC 1122 3.3.4.2, the strong model)."""
    table = _FIRST_TABLE + position
    for gateway in port.gateways:
        _route(batch, "default", gateway, oif=index, table=table)
    for address in port.addresses:
        length = 128 if ":" in address.ip else 32
        _route(batch, address.network, None, oif=index, table=table)
        batch.append(
            f"route by the source address {address.ip}",
            "rule",
            src=address.ip,
            src_len=length,
            table=table,
            priority=1000 + position,
        )


def _route(batch: Batch, network: str, via: str | None, **more: Any) -> None:
    wanted: dict[str, Any] = {"dst": network, **more}
    if network == "default":
        wanted["dst"] = "::/0" if via and ":" in via else "0.0.0.0/0"
    if via is not None:
        wanted["gateway"] = via
    batch.append(f"add the route to {network} via {via}", "route", **wanted)
