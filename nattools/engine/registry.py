"""Every probe. To add one: write it in a file of its own, and enter it here."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from nattools.probes.filtering import FilterAddress, FilterAddressTcp, FilterPort, FilterPortTcp
from nattools.probes.hairpin import Hairpinning, HairpinningAgain
from nattools.probes.layers import Layers
from nattools.probes.mapping import Allocation, MappingTcp, MappingUdp, Pooling
from nattools.probes.probe import LaneProbe, MachineProbe
from nattools.probes.roundtrip import RoundTrip, RoundTripTcp

if TYPE_CHECKING:
    from nattools.engine.measurement import MeasurementRun
    from nattools.engine.measureoptions import MeasureOptions
    from nattools.engine.portmap.journal import Journal
    from nattools.model.report import Command

LANE_PROBES: tuple[LaneProbe, ...] = (
    MappingUdp(),
    FilterAddress(),
    FilterPort(),
    Layers(),
    Allocation(),
    Hairpinning(),
    HairpinningAgain(),
    Pooling(),
    MappingTcp(),
    FilterPortTcp(),
    FilterAddressTcp(),
    RoundTrip(),
    RoundTripTcp(),
)
"""Those of every command that measures with servers. They come first in their lanes."""
MACHINE_PROBES: tuple[MachineProbe, ...] = ()
"""The same, without a lane."""


def lane_probes(options: MeasureOptions) -> tuple[LaneProbe, ...]:
    """The probes that may run with these options."""
    probes = [*LANE_PROBES]
    if options.lifetime:
        from nattools.probes.lifetime import Lifetime

        probes.append(Lifetime())
    if options.command in _TRYING:
        probes += _trials()
    return tuple(probes)


@cache
def _trials() -> tuple[LaneProbe, ...]:
    """What gets in, through, and to whom."""
    from nattools.engine.punchprobeplan import plan_birthday, plan_punch
    from nattools.probes.birthday import Birthday
    from nattools.probes.errortrials import ErrorTrials
    from nattools.probes.packetforms import PacketForms
    from nattools.probes.pathmtu import PathMtuProbe
    from nattools.probes.quotedchecksums import QuotedChecksums
    from nattools.probes.tcppunch import TcpPunch
    from nattools.probes.udppunch import UdpPunch
    from nattools.probes.unsolicited import Unsolicited

    return (
        UdpPunch(plan_punch),
        TcpPunch(plan_punch),
        Unsolicited(),
        PathMtuProbe(),
        PacketForms(),
        QuotedChecksums(),
        ErrorTrials(),
        Birthday(plan_birthday),
    )


_TRYING: frozenset[Command] = frozenset({"diagnose", "ipv6", "pwnat", "tailscale"})


def machine_probes(run: MeasurementRun, journal: Journal | None) -> tuple[MachineProbe, ...]:
    """Those without a lane that this command runs. Routers are asked for mappings only where there is a
    journal to note them in."""
    probes = [*MACHINE_PROBES, *(make(run) for make in _OF_COMMANDS.get(run.options.command, ()))]
    if run.options.cross_check:
        from nattools.probes.crosscheck import Pystun3

        probes.insert(0, Pystun3())
    if journal is not None:
        from nattools.engine.portmap.trial import RouterMappings

        probes.insert(0, RouterMappings(run, journal))
    return tuple(probes)


def _relays(run: MeasurementRun) -> MachineProbe:
    from nattools.engine.diagnosedrelays import Relays

    return Relays(run)


def _ipv6_inbound(run: MeasurementRun) -> MachineProbe:
    from nattools.engine.inboundtrial import Ipv6Inbound

    return Ipv6Inbound(run)


def _lan(run: MeasurementRun) -> MachineProbe:
    from nattools.engine.quicklanscan import QuickLanScan

    return QuickLanScan(run)


def _ipv6_prefixes(run: MeasurementRun) -> MachineProbe:
    from nattools.engine.ownprefixes import OwnPrefixes

    return OwnPrefixes(run)


def _tailnets(run: MeasurementRun) -> MachineProbe:
    from nattools.engine.tailnets import Tailnets

    return Tailnets(run)


_OF_COMMANDS: dict[Command, tuple[Callable[[MeasurementRun], MachineProbe], ...]] = {
    "diagnose": (_relays, _ipv6_inbound, _ipv6_prefixes, _lan),
    "ipv6": (_ipv6_inbound, _ipv6_prefixes),
    "tailscale": (_tailnets,),
}
"""What a command alone asks is imported with that command, for it takes longer to import than to run."""
