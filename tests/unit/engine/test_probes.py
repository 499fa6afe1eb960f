"""A probe is an object: entered into the registry it runs, with no other change to the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import get_args

import pytest
from simulated import STUN, behind_nat

from nattools.engine import registry
from nattools.engine.diagnosedrelays import Relays
from nattools.engine.inboundtrial import Ipv6Inbound
from nattools.engine.measureoptions import Event, MeasureOptions
from nattools.engine.ownprefixes import OwnPrefixes
from nattools.engine.quicklanscan import QuickLanScan
from nattools.engine.run import measure, new_run, within_time_limit
from nattools.engine.tailnets import Tailnets
from nattools.lab.sim.simlab import SimLab
from nattools.model.observation import Gap, Resolution
from nattools.model.report import Command, Report
from nattools.model.serveruri import parse_server
from nattools.probes.crosscheck import Pystun3
from nattools.probes.probe import LaneProbe, MachineContext, MachineProbe, ProbeContext
from nattools.probes.target import Target


class GatewayNames(MachineProbe):
    """A probe without a server lane."""

    name = "gateway-names"
    text = "what are the routers called?"

    async def run(self, context: MachineContext) -> None:
        """Records who would be asked."""
        server = await context.server_address(4)
        context.progress("asking", 0.5)
        addresses = tuple(each.address or "" for each in context.network.gateways())
        context.recorder.add(Resolution(probe=self.name, name=str(server), addresses=addresses))


class Echoes(MachineProbe):
    """A probe that needs what no simulated network can do."""

    name = "echoes"
    text = "which routers answer a ping?"
    capability = "shared-ports"
    question = "Which routers answer a ping?"
    settle = "another system"

    async def run(self, context: MachineContext) -> None:
        """Never."""
        raise AssertionError("the capability is missing")


class Behind(LaneProbe):
    """A probe that builds on another one."""

    name = "behind"
    text = "what comes after the mapping?"
    transport = "tcp"
    after = ("mapping-tcp",)

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """The best one."""
        return ranked[:1]

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Records how many questions were put before."""
        before = sum(seen.probe == "mapping" for seen in context.recorder.observations)
        context.recorder.add(Resolution(probe=self.name, name=targets[0].uri, addresses=("x",) * before))


ALL = MeasureOptions("diagnose", (), lifetime=True)


def measured(monkeypatch: pytest.MonkeyPatch) -> tuple[Report, list[Event]]:
    """A measurement with these three beside all others."""
    monkeypatch.setattr(registry, "LANE_PROBES", (*registry.LANE_PROBES, Behind()))
    monkeypatch.setattr(registry, "MACHINE_PROBES", (*registry.MACHINE_PROBES, GatewayNames(), Echoes()))
    events: list[Event] = []
    with SimLab(behind_nat()) as lab:
        network = lab.network("alice")
        monkeypatch.setattr(
            type(network), "missing", lambda self, what: "not here" if what == "shared-ports" else None
        )
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        report = lab.run(lambda: measure(network, MeasureOptions("nat", servers), events.append))
    return report, events


def test_a_registered_probe_runs_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    report, events = measured(monkeypatch)
    (seen,) = [each for each in report.observations if each.probe == "gateway-names"]
    assert isinstance(seen, Resolution)
    assert (seen.name, seen.addresses) == (str(STUN), ("10.0.1.1",))
    of_it = [(event.kind, event.text) for event in events if event.probe == "gateway-names"]
    assert of_it == [("started", GatewayNames.text), ("progress", "asking"), ("finished", "")]


def test_a_probe_waits_for_what_it_builds_on(monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = measured(monkeypatch)
    (seen,) = [each for each in report.observations if each.probe == "behind"]
    assert isinstance(seen, Resolution)
    assert seen.addresses
    assert [each.id for each in report.observations] == list(range(1, len(report.observations) + 1))


def test_a_capability_that_is_missing_becomes_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = measured(monkeypatch)
    (gap,) = [each for each in report.observations if each.probe == "echoes"]
    assert isinstance(gap, Gap)
    assert (gap.question, gap.reason, gap.settle) == (Echoes.question, "not here", Echoes.settle)


def test_every_probe_has_a_name_of_its_own_and_a_text() -> None:
    probes = (*registry.lane_probes(ALL), Pystun3())
    assert len({probe.name for probe in probes}) == len(probes)
    assert all(probe.text for probe in probes)
    assert all(probe.question and probe.settle for probe in probes if probe.capability == "icmp-errors")


def test_a_stray_timeout_error_is_not_the_end_of_the_time_given() -> None:
    async def stray() -> None:
        raise TimeoutError("from somewhere else")

    async def main(lab: SimLab) -> None:
        run = new_run(lab.network("alice"), MeasureOptions("nat", (), timeout_s=5.0), lambda event: None)
        assert await within_time_limit(run, asyncio.sleep(9.0)) is True
        with pytest.raises(TimeoutError, match="from somewhere else"):
            await within_time_limit(run, stray())

    with SimLab(behind_nat()) as lab:
        lab.run(lambda: main(lab))


def test_what_is_waited_for_fits_a_line() -> None:
    """Behind "nattools: waiting: ", as it is said where there is no terminal."""
    probes = (*registry.lane_probes(ALL), Pystun3())
    assert [probe.text for probe in probes if len(f"nattools: waiting: {probe.text}") > 80] == []


@pytest.mark.parametrize("command", get_args(Command))
def test_a_command_gets_all_lane_probes_that_name_it(command: Command) -> None:
    """The registry imports them by the command, which each of them names, too."""
    of_command = registry.lane_probes(MeasureOptions(command=command, servers=(), lifetime=True))
    given = {probe.name for probe in of_command}
    assert {probe.name for probe in registry.lane_probes(ALL) if command in probe.commands} <= given


@pytest.mark.parametrize("command", get_args(Command))
def test_a_command_gets_its_machine_probes_and_no_others(command: Command) -> None:
    """The registry imports them by the command, which each of them names, too."""

    async def main(lab: SimLab) -> tuple[MachineProbe, ...]:
        options = MeasureOptions(command=command, servers=())
        return registry.machine_probes(new_run(lab.network("alice"), options, lambda event: None), None)

    with SimLab(behind_nat()) as lab:
        entered = lab.run(lambda: main(lab))
    every: tuple[type[MachineProbe], ...] = (
        Relays,
        Ipv6Inbound,
        Tailnets,
        QuickLanScan,
        OwnPrefixes,
        *map(type, registry.MACHINE_PROBES),
    )
    wanted = {each for each in every if command in each.commands}
    assert {type(each) for each in entered if command in each.commands} == wanted
    assert {type(each) for each in entered} <= wanted | set(map(type, registry.MACHINE_PROBES))
