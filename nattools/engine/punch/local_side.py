"""What this side brings to an attempt."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nattools.engine.measurement import MeasurementRun
from nattools.engine.punch.options import PunchOptions
from nattools.engine.punch.timeline import Timeline
from nattools.engine.run import CompletedRun, new_run, observe
from nattools.errors import CannotRun
from nattools.model.endpoint import Family, Transport
from nattools.model.nat import NatByTransport
from nattools.model.statement import Statement, statement
from nattools.net.base import Network


@dataclass(frozen=True, slots=True)
class LocalSide:
    """What an attempt begins with: the measurement, its findings, and what this side is willing to do."""

    run: MeasurementRun
    nat: NatByTransport
    low_ports: bool
    options: PunchOptions

    def without(self, transport: Transport | None) -> LocalSide:
        """The same, not willing to use that transport."""
        udp, tcp = self.options.udp and transport != "udp", self.options.tcp and transport != "tcp"
        return replace(self, options=replace(self.options, udp=udp, tcp=tcp))


async def local_side(looked: CompletedRun, options: PunchOptions, timeline: Timeline) -> LocalSide:
    """What this side brings to an attempt."""
    nat = looked.report().nat
    low = options.low_ports
    if low is None:
        low = await may_bind_low_ports(looked.run.network)
    timeline.note("behaviour", behaviour(nat))
    return LocalSide(looked.run, nat, low, options)


async def measure_again(own: LocalSide, timeline: Timeline) -> LocalSide:
    """The same in the network that this machine is in now. CannotRun: it is in none."""
    looked = await observe(new_run(own.run.network, own.options.measuring, own.run.emit))
    return await local_side(looked, own.options, timeline)


def behaviour(nat: NatByTransport) -> Statement:
    """What was measured of a side's network."""
    best = nat.udp4 or nat.udp6
    if best is None:
        return statement("network-not-measured")
    if best.reachable is False:
        return statement("network-blocks-udp")
    if best.classic != "unknown":
        return statement("network-classic", classic=best.classic)
    return statement("network-behaviour", mapping=best.mapping, filtering=best.filtering)


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
