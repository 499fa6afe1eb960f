"""Every probe. To add one: write it in a file of its own, and enter it here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nattools.engine.punchplans import plan_birthday, plan_punch
from nattools.probes.birthday import Birthday
from nattools.probes.crosscheck import Pystun3
from nattools.probes.errortrials import ErrorTrials
from nattools.probes.filtering import FilterAddress, FilterAddressTcp, FilterPort, FilterPortTcp
from nattools.probes.hairpin import Hairpinning
from nattools.probes.layers import Layers
from nattools.probes.lifetime import Lifetime
from nattools.probes.mapping import Allocation, MappingTcp, MappingUdp, Pooling
from nattools.probes.pathmtu import PathMtuProbe
from nattools.probes.probe import LaneProbe, MachineProbe
from nattools.probes.quotedchecksums import QuotedChecksums
from nattools.probes.roundtrip import RoundTrip, RoundTripTcp
from nattools.probes.tcppunch import TcpPunch
from nattools.probes.udppunch import UdpPunch
from nattools.probes.unsolicited import Unsolicited

if TYPE_CHECKING:
    from nattools.engine.measurement import MeasurementRun
    from nattools.engine.portmap.journal import Journal
    from nattools.model.report import Command

LANE_PROBES: tuple[LaneProbe, ...] = (
    MappingUdp(),
    FilterAddress(),
    FilterPort(),
    Layers(),
    Allocation(),
    Hairpinning(),
    Pooling(),
    Lifetime(),
    UdpPunch(plan_punch),
    MappingTcp(),
    FilterPortTcp(),
    FilterAddressTcp(),
    TcpPunch(plan_punch),
    Unsolicited(),
    PathMtuProbe(),
    RoundTrip(),
    RoundTripTcp(),
    QuotedChecksums(),
    ErrorTrials(),
    Birthday(plan_birthday),
)
MACHINE_PROBES: tuple[MachineProbe, ...] = (Pystun3(),)


def machine_probes(run: MeasurementRun, journal: Journal | None) -> tuple[MachineProbe, ...]:
    """Those without a lane that this command runs. Routers are asked for mappings only where there is a
    journal to note them in."""
    probes = [*MACHINE_PROBES, *(make(run) for make in _OF_COMMANDS.get(run.options.command, ()))]
    if journal is not None:
        from nattools.engine.portmap.trial import RouterMappings

        probes.insert(0, RouterMappings(run, journal))
    return tuple(probes)


def _relays(run: MeasurementRun) -> MachineProbe:
    from nattools.engine.relays import Relays

    return Relays(run)


def _ipv6_inbound(run: MeasurementRun) -> MachineProbe:
    from nattools.engine.inboundtrial import Ipv6Inbound

    return Ipv6Inbound(run)


def _tailnets(run: MeasurementRun) -> MachineProbe:
    from nattools.engine.tailnets import Tailnets

    return Tailnets(run)


_OF_COMMANDS: dict[Command, tuple[Callable[[MeasurementRun], MachineProbe], ...]] = {
    "diagnose": (_relays, _ipv6_inbound),
    "ipv6": (_ipv6_inbound,),
    "tailscale": (_tailnets,),
}
"""What a command alone asks is imported with that command, for it takes longer to import than to run."""
