"""Cables of a lab made of network namespaces, from the layout, over netlink.

A segment of two ports is one veth pair. On a segment of more, the router's own interface is a bridge in its
namespace, and a veth pair leads from there to each of the others. Where an uplink is impaired, two veth
pairs meet in a namespace of their own, `WIRES`, and a process carries the frames from one to the other
(`lab.netns.userspace`), which adds no hop. All hardware addresses are chosen here, so that no node needs ARP:
an impaired wire would lose or delay its requests, and a userspace router could not hear them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from nattools.lab.impairment import Impairment
from nattools.lab.layout import Layout, Port, Segment
from nattools.lab.linkqueue import is_queued
from nattools.lab.netns.namespaces import Namespace
from nattools.lab.netns.netlinkbatch import NetlinkBatch
from nattools.lab.scenario import INTERNET, LanSpec

WIRES = "(wires)"
"""The pseudo node in whose namespace the ends of impaired wires lie."""
NOWHERE = "nowhere"
DEFAULT_MTU = 1500
_FIRST_INDEX = 1000


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


def _is_impaired(impairment: Impairment) -> bool:
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
        if impairment is None or not _is_impaired(impairment):
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


RESPONSE_S: Final = 0.1
"""How long machines have to answer a bridge that asks who listens. Until then it passes everything on to all
of its ports, reports too: who hears another's keeps its own back (RFC 2236 3), which a switch prevents (RFC
4541 2.1.1)."""


def _snooping(lan: LanSpec) -> dict[str, int]:
    """Does a bridge look who has joined a group? In hundredths of a second."""
    if lan.multicast != "forgotten":
        return {"br_mcast_snooping": 0}
    return {
        "br_mcast_snooping": 1,
        "br_mcast_startup_query_cnt": 1,
        "br_mcast_startup_query_intvl": 360_000,
        "br_mcast_query_intvl": 360_000,
        "br_mcast_query_response_intvl": round(100 * RESPONSE_S),
        "br_mcast_membership_intvl": round(100 * lan.remembered_s),
    }


def plug_in(
    batch: NetlinkBatch, wiring: Wiring, namespaces: Mapping[str, Namespace], through: Namespace
) -> None:
    """Make all bridges and cables, each end at once in the namespace where it belongs.

    `through`: any of the lab's own namespaces, for the requests to be made from.

    The two ends of a cable have different interface numbers: the kernel tells by these what is a cable, and a
    change of anything else's carrier may wait for a second (its link watch).
    """

    def end(device: NetworkDevice) -> dict[str, Any]:
        holder = namespaces[device.node].descriptor
        return {"ifname": device.name, "address": device.mac, "net_ns_fd": holder, "mtu": device.mtu}

    for bridge in wiring.bridges:
        # what plugs into it may be smaller: the bridge itself keeps an Ethernet's size
        wanted = {**end(bridge), "mtu": DEFAULT_MTU, "br_stp_state": 0, **_snooping(bridge.lan)}
        batch.append(f"make the bridge {bridge.name} of {bridge.node}", "link", **wanted, kind="bridge")
    for index, cable in enumerate(wiring.cables, _FIRST_INDEX):
        what = f"make the cable between {cable.left.node} and {cable.right.node}"
        batch.append(what, "link", **end(cable.right), index=index, kind="veth", peer=end(cable.left))
    batch.send(through)
