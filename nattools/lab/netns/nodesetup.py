"""Interfaces of a lab's namespaces: brought up with addresses, neighbours and routes, and their cables taken
out and put in again (Linux)."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nattools.lab.layout import STANDBY_METRIC, Address, Layout, Port
from nattools.lab.netns.interfacesup import await_service, own6
from nattools.lab.netns.namespaces import Namespace
from nattools.lab.netns.netlinkbatch import NetlinkBatch
from nattools.lab.netns.wiring import NOWHERE, Neighbour, NetworkDevice, Wiring
from nattools.lab.scenario import INTERNET, LanSpec
from nattools.net.system.namespace import entered

_IFA_F_NODAD = 2
_IFF_NOARP = 0x80
_MAIN_TABLE = 254
_FIRST_TABLE = 100
_FIRST_METRIC = 100


_ALL = {4: "0.0.0.0/0", 6: "::/0"}
_HALVES = {4: ("0.0.0.0/1", "128.0.0.0/1"), 6: ("::/1", "8000::/1")}
_OVERRIDES = ("by-rule", "by-halves")
_NOT_ROUTED = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


def set_up(
    batch: NetlinkBatch,
    node: str,
    layout: Layout,
    wiring: Wiring,
    namespace: Namespace,
    *,
    without: frozenset[tuple[str, int]],
) -> None:
    """Bring up a node's interfaces and give it addresses, neighbours and routes.

    `without`: pairs of interface and family that get no address and no route.
    """
    devices = wiring.devices(node)
    cabled = wiring.cabled(node)
    with entered(namespace.path):
        index = {device.name: socket.if_nametoindex(device.name) for device in devices}
    batch.append("bring up the loopback", "link", "set", index=1, state="up")
    ports = layout.ports_of(node)
    unplugged = {port.interface for port in ports if not port.link}
    for device in devices:
        if device.name not in unplugged:
            _bring_up(batch, device, index)
        if device in wiring.bridges and device.lan.multicast == "forgotten":
            _query_once(batch, device, index)
    for port in ports:
        _assign(batch, port, index[port.interface], without)
    for neighbour in wiring.neighbours:
        if neighbour.node == node and neighbour.device in cabled and neighbour.device not in unplugged:
            _add_neighbour(batch, neighbour, index)
    for position, port in enumerate(port for port in ports if port.uplink):
        _default_routes(batch, port, index[port.interface], position, without)
        _standby_route(batch, port, index[port.interface])
    if sum(port.uplink for port in ports) > 1 and ports[0].routing == "by-source":
        for position, port in enumerate(ports):
            _own_table(batch, port, index[port.interface], position)
    for route in layout.routes:
        if route.node == node and not any(family == _family(route.via) for _, family in without):
            _route(batch, route.network, route.via)
    if node == INTERNET:
        _add_catch_all_routes(batch, index[NOWHERE])
    batch.send(namespace)


class UnpluggedCables:
    """The cables of a lab's nodes, taken out and put in again. A cable that is out takes the addresses,
    routes and neighbours of its interface with it; rules stay, for they name tables that are empty then.

    `without` as for `set_up`, by node.
    """

    def __init__(
        self,
        layout: Layout,
        wiring: Wiring,
        namespaces: Mapping[str, Namespace],
        without: Mapping[str, frozenset[tuple[str, int]]],
    ) -> None:
        self._layout = layout
        self._wiring = wiring
        self._namespaces = namespaces
        self._without = without
        self._out: set[tuple[str, str]] = set()

    def set(self, node: str, port: Port, *, link: bool) -> None:
        """Put the cable of one of a node's interfaces in, or take it out; nothing happens where it is so
        already. One that is out from the beginning stays out."""
        key = (node, port.interface)
        if not port.link or link != (key in self._out):
            return
        # pyroute2 runs an event loop of its own, which no thread can that has one running
        with ThreadPoolExecutor(1) as apart:
            apart.submit(self._change, node, port, link=link).result()
        (self._out.discard if link else self._out.add)(key)

    def _change(self, node: str, port: Port, *, link: bool) -> None:
        batch = NetlinkBatch()
        try:
            with entered(self._namespaces[node].path):
                index = socket.if_nametoindex(port.interface)
            (self._plug if link else self._unplug)(batch, node, port, index)
            batch.send(self._namespaces[node])
            if link:
                own = own6([port], self._without.get(node, frozenset()))
                await_service(batch, node, self._namespaces[node], [port.interface], own)
        finally:
            batch.close()

    def _unplug(self, batch: NetlinkBatch, node: str, port: Port, index: int) -> None:
        # the last one first: with the first of a network the kernel takes all the others
        for address in reversed(self._assigned(node, port)):
            wanted = {"index": index, "address": address.ip, "prefixlen": address.prefix}
            batch.append(f"take the address {address.ip} from {node}", "addr", "del", **wanted)
        batch.append(f"take down {port.interface} of {node}", "link", "set", index=index, state="down")

    def _plug(self, batch: NetlinkBatch, node: str, port: Port, index: int) -> None:
        without = self._without.get(node, frozenset())
        ports = self._layout.ports_of(node)
        batch.append(f"bring up {port.interface} of {node}", "link", "set", index=index, state="up")
        _assign(batch, port, index, without)
        if port.interface in self._wiring.cabled(node):
            for neighbour in self._wiring.neighbours:
                if (neighbour.node, neighbour.device) == (node, port.interface):
                    _add_neighbour(batch, neighbour, {port.interface: index})
        uplinks = [each for each in ports if each.uplink]
        if port in uplinks:
            _default_routes(batch, port, index, uplinks.index(port), without, rules=False)
            _standby_route(batch, port, index)
        if len(uplinks) > 1 and port.routing == "by-source":
            _own_table(batch, port, index, ports.index(port), rules=False)

    def _assigned(self, node: str, port: Port) -> list[Address]:
        without = self._without.get(node, frozenset())
        return [each for each in port.addresses if (port.interface, _family(each.ip)) not in without]


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _bring_up(batch: NetlinkBatch, device: NetworkDevice, index: Mapping[str, int]) -> None:
    wanted: dict[str, Any] = {"index": index[device.name], "state": "up"}
    if device.bridge is not None:
        wanted["master"] = index[device.bridge]
    batch.append(f"bring up {device.name} of {device.node}", "link", "set", **wanted)
    if device.bridge is not None and device.lan != LanSpec():
        flags = {"isolated": int(device.lan.isolated), "mcast_flood": int(device.lan.multicast != "dropped")}
        what = f"limit what passes {device.name} of {device.node}"
        batch.append(what, "link", "set", index=index[device.name], kind="bridge_slave", **flags)


def _query_once(batch: NetlinkBatch, device: NetworkDevice, index: Mapping[str, int]) -> None:
    """Linux goes by who has joined a group only while there is a querier. This bridge is one, which asks
    before anybody has joined anything, and not again within an hour; it waits for the time of a response
    that it had when it became one, so that this comes last."""
    what = f"have {device.name} of {device.node} ask once who listens"
    batch.append(what, "link", "set", index=index[device.name], kind="bridge", br_mcast_querier=1)


def _assign(batch: NetlinkBatch, port: Port, index: int, without: frozenset[tuple[str, int]]) -> None:
    for address in port.addresses:
        if (port.interface, _family(address.ip)) in without:
            continue
        wanted: dict[str, Any] = {"index": index, "address": address.ip, "prefixlen": address.prefix}
        if ":" in address.ip:
            wanted["flags"] = _IFA_F_NODAD
        batch.append(f"give {port.node} the address {address.ip}", "addr", **wanted)


def _add_neighbour(batch: NetlinkBatch, neighbour: Neighbour, index: Mapping[str, int]) -> None:
    batch.append(
        f"add the neighbour {neighbour.ip} on {neighbour.node}",
        "neigh",
        dst=neighbour.ip,
        lladdr=neighbour.mac,
        ifindex=index[neighbour.device],
        state="permanent",
    )


def _default_routes(
    batch: NetlinkBatch,
    port: Port,
    index: int,
    position: int,
    without: frozenset[tuple[str, int]],
    *,
    rules: bool = True,
) -> None:
    """The first uplink is the preferred one; the others serve sockets that are bound to their interface, or
    nobody."""
    overrides = position == 0 and port.routing in _OVERRIDES
    for gateway in port.gateways:
        family = _family(gateway)
        if (port.interface, family) in without:
            continue
        wanted: dict[str, Any] = {"via": None if port.unnamed_gateway else gateway, "oif": index}
        if not overrides:
            _route(batch, _ALL[family], priority=_FIRST_METRIC + position, **wanted)
        elif port.routing == "by-halves":
            for half in _HALVES[family]:
                _route(batch, half, **wanted)
        else:
            _route(batch, _ALL[family], table=_FIRST_TABLE - 1, **wanted)
            if rules:
                _rule(batch, family, 32764, table=_MAIN_TABLE, suppress_prefixlen=0)
                _rule(batch, family, 32765, table=_FIRST_TABLE - 1)


def _standby_route(batch: NetlinkBatch, port: Port, index: int) -> None:
    if port.standby is not None:
        _route(batch, _ALL[4], port.standby, oif=index, priority=STANDBY_METRIC)


def _rule(batch: NetlinkBatch, family: int, priority: int, **wanted: Any) -> None:
    number = socket.AF_INET6 if family == 6 else socket.AF_INET
    batch.append(f"add the rule {priority}", "rule", family=number, priority=priority, **wanted)


def _own_table(batch: NetlinkBatch, port: Port, index: int, position: int, *, rules: bool = True) -> None:
    """What has the source address of this interface leaves by it (RFC 1122 3.3.4.2, the strong model)."""
    table = _FIRST_TABLE + position
    for gateway in port.gateways:
        via = None if port.unnamed_gateway else gateway
        _route(batch, _ALL[_family(gateway)], via, oif=index, table=table)
    for address in port.addresses:
        length = 128 if ":" in address.ip else 32
        _route(batch, address.network, None, oif=index, table=table)
        if not rules:
            continue
        batch.append(
            f"route by the source address {address.ip}",
            "rule",
            src=address.ip,
            src_len=length,
            table=table,
            priority=1000 + position,
        )


def _add_catch_all_routes(batch: NetlinkBatch, nowhere: int) -> None:
    """As in the simulator, the internet is silent about public addresses that nobody has, unless the TTL of
    what it would send there is over, and says of private ones that it has no route ("throw": as if the table
    had none)."""
    batch.append(
        "ask nobody where that is", "link", "set", index=nowhere, flags=_IFF_NOARP, change=_IFF_NOARP
    )
    for network in _ALL.values():
        _route(batch, network, oif=nowhere)
    for network in _NOT_ROUTED:
        batch.append(f"have no route to {network}", "route", dst=network, type="throw")


def _route(batch: NetlinkBatch, network: str, via: str | None = None, **more: Any) -> None:
    wanted: dict[str, Any] = {"dst": network, **more}
    if via is not None:
        wanted["gateway"] = via
    batch.append(f"add the route to {network} via {via}", "route", **wanted)
