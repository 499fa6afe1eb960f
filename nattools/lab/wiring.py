"""The cables of a lab made of network namespaces: pure, from the layout's segments to devices.

A segment of two ports is one veth pair. On a segment of more, the router's own interface is a bridge in its
namespace, and a veth pair leads from there to each of the others. Where an uplink is impaired, two veth
pairs meet in a namespace of their own, `WIRES`, and a process carries the frames from one to the other
(`lab.wires`): that adds no hop. All hardware addresses are chosen here, so that neighbours need not ask for
each other (a question that an impaired wire would lose or delay, and that a userspace router could not hear).
"""

from __future__ import annotations

import msgspec

from nattools.lab.layout import Layout, Port, Segment
from nattools.lab.scenario import Impairment

WIRES = "(wires)"
"""The pseudo node in whose namespace the ends of impaired wires lie."""
DEFAULT_MTU = 1500


class Device(msgspec.Struct, frozen=True):
    """A network interface of a node. `bridge` names the bridge of the same node that it is plugged into."""

    node: str
    name: str
    mac: str
    mtu: int = DEFAULT_MTU
    bridge: str | None = None


class Cable(msgspec.Struct, frozen=True):
    """A veth pair."""

    left: Device
    right: Device


class Wire(msgspec.Struct, frozen=True):
    """Two devices of the namespace `WIRES` between which a process carries frames."""

    left: Device
    right: Device
    impairment: Impairment


class Neighbour(msgspec.Struct, frozen=True):
    """At which hardware address `node` finds `ip` through its interface `device`."""

    node: str
    device: str
    ip: str
    mac: str


class Wiring(msgspec.Struct):
    """Everything to plug together. `devices` has each node's devices, bridges first."""

    cables: list[Cable] = msgspec.field(default_factory=list)
    bridges: list[Device] = msgspec.field(default_factory=list)
    wires: list[Wire] = msgspec.field(default_factory=list)
    neighbours: list[Neighbour] = msgspec.field(default_factory=list)

    def devices(self, node: str) -> list[Device]:
        """A node's devices, bridges first."""
        ends = [device for cable in self.cables for device in (cable.left, cable.right)]
        return [device for device in self.bridges + ends if device.node == node]

    def mac(self, node: str, name: str) -> str:
        """The hardware address of a node's interface."""
        return next(device.mac for device in self.devices(node) if device.name == name)


def is_impaired(impairment: Impairment) -> bool:
    """Does it do to packets what a plain cable does not? (A smaller MTU is a cable's own.)"""
    return bool(impairment.delay_ms or impairment.jitter_ms or impairment.loss or impairment.reorder)


def wire_up(layout: Layout) -> Wiring:
    """The wiring of a layout."""
    draft = _Draft()
    for segment in layout.segments:
        draft.join(segment)
    return draft.wiring


class _Draft:
    def __init__(self) -> None:
        self.wiring = Wiring()
        self._count = 0

    def join(self, segment: Segment) -> None:
        """Plug one segment together."""
        ends = [self._device(port.node, port.interface, segment, port) for port in segment.ports]
        if len(ends) == 2:
            self._connect(ends[0], ends[1], segment)
        else:
            self.wiring.bridges.append(ends[0])
            for end in ends[1:]:
                plug = self._device(ends[0].node, f"port{self._count}", segment, bridge=ends[0].name)
                self._connect(end, plug, segment)
        self._introduce(segment, ends)

    def _connect(self, one: Device, other: Device, segment: Segment) -> None:
        impairment = segment.impairments.get(one.node) or segment.impairments.get(other.node)
        if impairment is None or not is_impaired(impairment):
            self.wiring.cables.append(Cable(one, other))
            return
        left = self._device(WIRES, f"wire{self._count}", segment, mtu=one.mtu)
        right = self._device(WIRES, f"wire{self._count}", segment, mtu=other.mtu)
        self.wiring.cables += [Cable(one, left), Cable(other, right)]
        self.wiring.wires.append(Wire(left, right, impairment))

    def _device(
        self,
        node: str,
        name: str,
        segment: Segment,
        port: Port | None = None,
        *,
        bridge: str | None = None,
        mtu: int | None = None,
    ) -> Device:
        self._count += 1
        mac = f"02:00:00:00:{self._count >> 8:02x}:{self._count & 255:02x}"
        return Device(node, name, mac, mtu or _mtu(segment, port), bridge)

    def _introduce(self, segment: Segment, ends: list[Device]) -> None:
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
