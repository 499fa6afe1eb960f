"""Cables, addresses and routes of a lab made of network namespaces, from the layout, over netlink.

A segment of two ports is one veth pair. On a segment of more, the router's own interface is a bridge in its
namespace, and a veth pair leads from there to each of the others. Where an uplink is impaired, two veth
pairs meet in a namespace of their own, `WIRES`, and a process carries the frames from one to the other
(`lab.netns.userspace`), which adds no hop. All hardware addresses are chosen here, so that no node needs ARP:
an impaired wire would lose or delay its requests, and a userspace router could not hear them.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from nattools.lab.impairment import Impairment
from nattools.lab.layout import Layout, Port, Segment
from nattools.lab.linkqueue import is_queued
from nattools.lab.netns.namespaces import Namespace
from nattools.lab.netns.netlinkbatch import NetlinkBatch
from nattools.lab.scenario import INTERNET, LanSpec
from nattools.net.namespace import entered

WIRES = "(wires)"
"""The pseudo node in whose namespace the ends of impaired wires lie."""
NOWHERE = "nowhere"
DEFAULT_MTU = 1500


class NetworkDevice(msgspec.Struct, frozen=True):
    """A network interface of a node. `bridge` names the bridge of the same node that it is plugged into, and
    `lan` says what passes between its ports."""

    node: str
    name: str
    mac: str
    mtu: int = DEFAULT_MTU
    bridge: str | None = None
    lan: LanSpec = LanSpec()


class Cable(msgspec.Struct, frozen=True):
    """A veth pair; with an impairment two devices of the namespace `WIRES` between which a process carries
    frames. `left` is then the end of the node whose uplink it is."""

    left: NetworkDevice
    right: NetworkDevice
    impairment: Impairment = Impairment()


class TunnelCable(msgspec.Struct, frozen=True):
    """A TUN device of a host, and in the namespace `WIRES` the device from which a process carries on its
    packets in frames to the hardware address `router`."""

    device: NetworkDevice
    end: NetworkDevice
    router: str
    impairment: Impairment = Impairment()


class Neighbour(msgspec.Struct, frozen=True):
    """At which hardware address `node` finds `ip` through its interface `device`."""

    node: str
    device: str
    ip: str
    mac: str


class Wiring(msgspec.Struct):
    """Everything to plug together. `devices` has each node's devices, bridges first."""

    cables: list[Cable] = msgspec.field(default_factory=list)
    bridges: list[NetworkDevice] = msgspec.field(default_factory=list)
    wires: list[Cable] = msgspec.field(default_factory=list)
    tunnels: list[TunnelCable] = msgspec.field(default_factory=list)
    neighbours: list[Neighbour] = msgspec.field(default_factory=list)

    def devices(self, node: str) -> list[NetworkDevice]:
        """A node's devices, bridges first."""
        ends = [device for cable in self.cables for device in (cable.left, cable.right)]
        ends += [tunnel.device for tunnel in self.tunnels]
        return [device for device in self.bridges + ends if device.node == node]

    def cabled(self, node: str) -> list[str]:
        """The names of a node's devices that are no tunnels."""
        tunnels = [tunnel.device for tunnel in self.tunnels]
        return [device.name for device in self.devices(node) if device not in tunnels]

    def towards(self, node: str, others: Collection[str]) -> list[str]:
        """The node's interfaces at whose other end is one of these nodes."""
        ends = [
            each for cable in self.cables for each in ((cable.left, cable.right), (cable.right, cable.left))
        ]
        return [near.name for near, far in ends if near.node == node and far.node in others]

    def mac(self, node: str, name: str) -> str:
        """The hardware address of a node's interface."""
        return next(device.mac for device in self.devices(node) if device.name == name)


def is_impaired(impairment: Impairment) -> bool:
    """Does it do to packets what a plain cable does not? (A smaller MTU is a cable's own.)"""
    late = impairment.delay_ms or impairment.more_delay6_ms
    lossy = impairment.jitter_ms or impairment.loss or impairment.reorder
    return bool(late or lossy) or is_queued(impairment)


def wire_up(layout: Layout) -> Wiring:
    """The wiring of a layout."""
    draft = _Draft()
    for segment in layout.segments:
        draft.join(segment)
    draft.lead_nowhere()
    return draft.wiring


class _Draft:
    def __init__(self) -> None:
        self.wiring = Wiring()
        self._count = 0

    def lead_nowhere(self) -> None:
        """A bridge without ports: where the internet sends what is for nobody. It is passed on to there, so
        that its TTL counts, and is lost."""
        self._count += 1
        mac = f"02:00:00:00:{self._count >> 8:02x}:{self._count & 255:02x}"
        self.wiring.bridges.append(NetworkDevice(INTERNET, NOWHERE, mac))

    def join(self, segment: Segment) -> None:
        """Plug one segment together."""
        ends = [self._device(port.node, port.interface, segment, port) for port in segment.ports]
        router = ends[0]
        if len(ends) > 2:
            self.wiring.bridges.append(router)
        for port, end in zip(segment.ports[1:], ends[1:], strict=True):
            plug = router
            if len(ends) > 2:
                plug = self._device(router.node, f"port{self._count}", segment, bridge=router.name)
            if port.vpn:
                self._dig(end, plug, router.mac, segment)
            else:
                self._connect(end, plug, segment)
        self._add_neighbours(segment, ends)

    def _dig(self, device: NetworkDevice, plug: NetworkDevice, router: str, segment: Segment) -> None:
        end = self._device(WIRES, f"wire{self._count}", segment, mtu=plug.mtu)
        self.wiring.cables.append(Cable(plug, end))
        impairment = segment.impairments.get(device.node, Impairment())
        self.wiring.tunnels.append(TunnelCable(device, end, router, impairment))

    def _connect(self, one: NetworkDevice, other: NetworkDevice, segment: Segment) -> None:
        if one.node not in segment.impairments:
            one, other = other, one
        impairment = segment.impairments.get(one.node)
        if impairment is None or not is_impaired(impairment):
            self.wiring.cables.append(Cable(one, other))
            return
        left = self._device(WIRES, f"wire{self._count}", segment, mtu=one.mtu)
        right = self._device(WIRES, f"wire{self._count}", segment, mtu=other.mtu)
        self.wiring.cables += [Cable(one, left), Cable(other, right)]
        self.wiring.wires.append(Cable(left, right, impairment))

    def _device(
        self,
        node: str,
        name: str,
        segment: Segment,
        port: Port | None = None,
        *,
        bridge: str | None = None,
        mtu: int | None = None,
    ) -> NetworkDevice:
        self._count += 1
        mac = f"02:00:00:00:{self._count >> 8:02x}:{self._count & 255:02x}"
        return NetworkDevice(node, name, mac, mtu or _mtu(segment, port), bridge, segment.lan)

    def _add_neighbours(self, segment: Segment, ends: list[NetworkDevice]) -> None:
        for mine in ends:
            for port, other in zip(segment.ports, ends, strict=True):
                if other is not mine:
                    self.wiring.neighbours += [
                        Neighbour(mine.node, mine.name, address.ip, other.mac) for address in port.addresses
                    ]


def _mtu(segment: Segment, port: Port | None) -> int:
    """A node's uplink has the MTU of its own impairment; both ends of a segment of two have it."""
    limits = segment.impairments
    if len(segment.ports) > 2:
        own = limits.get(port.node) if port else None
        return (own.mtu if own else None) or DEFAULT_MTU
    return min((limit.mtu or DEFAULT_MTU for limit in limits.values()), default=DEFAULT_MTU)


_IFA_F_NODAD = 2
_IFF_NOARP = 0x80
_MAIN_TABLE = 254
_FIRST_TABLE = 100
_FIRST_METRIC = 100


_ALL = {4: "0.0.0.0/0", 6: "::/0"}
_HALVES = {4: ("0.0.0.0/1", "128.0.0.0/1"), 6: ("::/1", "8000::/1")}
_OVERRIDES = ("by-rule", "by-halves")
_NOT_ROUTED = ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


def plug_in(
    batch: NetlinkBatch, wiring: Wiring, namespaces: Mapping[str, Namespace], through: Namespace
) -> None:
    """Make all bridges and cables, each end at once in the namespace where it belongs.

    `through`: any of the lab's own namespaces, for the requests to be made from.
    """

    def end(device: NetworkDevice) -> dict[str, Any]:
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
    batch: NetlinkBatch,
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
    cabled = wiring.cabled(node)
    with entered(namespace.path):
        index = {device.name: socket.if_nametoindex(device.name) for device in devices}
    batch.append("bring up the loopback", "link", "set", index=1, state="up")
    ports = layout.ports_of(node)
    unplugged = {port.interface for port in ports if not port.link}
    for device in devices:
        if device.name not in unplugged:
            _bring_up(batch, device, index)
    for port in ports:
        _assign(batch, port, index[port.interface], without)
    for neighbour in wiring.neighbours:
        if neighbour.node == node and neighbour.device in cabled and neighbour.device not in unplugged:
            _add_neighbour(batch, neighbour, index)
    for position, port in enumerate(port for port in ports if port.uplink):
        _default_routes(batch, port, index[port.interface], position, without)
    if sum(port.uplink for port in ports) > 1 and ports[0].routing == "by-source":
        for position, port in enumerate(ports):
            _own_table(batch, port, index[port.interface], position)
    for route in layout.routes:
        if route.node == node and not any(family == _family(route.via) for _, family in without):
            _route(batch, route.network, route.via)
    if node == INTERNET:
        _add_catch_all_routes(batch, index[NOWHERE])
    batch.send(namespace)


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
    batch: NetlinkBatch, port: Port, index: int, position: int, without: frozenset[tuple[str, int]]
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
            _rule(batch, family, 32764, table=_MAIN_TABLE, suppress_prefixlen=0)
            _rule(batch, family, 32765, table=_FIRST_TABLE - 1)


def _rule(batch: NetlinkBatch, family: int, priority: int, **wanted: Any) -> None:
    number = socket.AF_INET6 if family == 6 else socket.AF_INET
    batch.append(f"add the rule {priority}", "rule", family=number, priority=priority, **wanted)


def _own_table(batch: NetlinkBatch, port: Port, index: int, position: int) -> None:
    """What has the source address of this interface leaves by it (RFC 1122 3.3.4.2, the strong model)."""
    table = _FIRST_TABLE + position
    for gateway in port.gateways:
        via = None if port.unnamed_gateway else gateway
        _route(batch, _ALL[_family(gateway)], via, oif=index, table=table)
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
