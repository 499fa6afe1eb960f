"""A machine that leaves its network in the middle of a measurement: silence is not taken for the network's,
and the report says what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nattools.engine.lanscan import measure_lan
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.relaymeasurement import measure_relays
from nattools.engine.run import NothingAnswered, measure
from nattools.engine.tailnets import measure_tailnets
from nattools.errors import CannotRun
from nattools.lab.backend import open_lab
from nattools.lab.scenariofiles import load
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.report.terminal import render_text
from nattools.trials.labsearches import with_searches

Measured = Callable[[SimLab], Awaitable[Report]]


def nobody(_: object) -> None:
    """Nobody looks on."""


def left_after(seconds: float, back_s: float | None, work: Measured, scenario: str) -> Report | None:
    """The report of a machine whose cable is out from then on, or for a while. None: there is none."""
    with open_lab(load(scenario), "sim") as lab:
        assert isinstance(lab, SimLab)

        async def main() -> Report | None:
            async with asyncio.TaskGroup() as group:
                working = group.create_task(reported(work(lab)))
                await asyncio.sleep(seconds)
                lab.unplug("alice")
                if back_s is not None:
                    await asyncio.sleep(back_s)
                    lab.plug("alice")
            return working.result()

        return lab.run(main)


async def reported(work: Awaitable[Report]) -> Report | None:
    try:
        return await work
    except NothingAnswered as ended:
        return ended.report
    except CannotRun:
        return None


def asking(command: str, **more: Any) -> Measured:
    def work(lab: SimLab) -> Awaitable[Report]:
        servers = tuple(map(parse_server, lab.server_uris()))
        options = MeasureOptions(command, servers, **{"families": (4,)} | more)
        return measure(lab.network("alice"), options, nobody, MemoryJournal())

    return work


@pytest.mark.parametrize("back_s", [None, 5.0])
@pytest.mark.parametrize("after_s", [0.3, 0.7, 1.5, 5.0, 30.0, 100.0])
def test_a_lifetime_is_not_over_because_the_cable_is_out(after_s: float, back_s: float | None) -> None:
    """The NAT keeps mappings for five minutes."""
    report = left_after(after_s, back_s, asking("nat", lifetime=True), "lifetime-5min")
    assert report is not None
    udp = report.nat.udp4
    assert udp is None or udp.binding_lifetime_s is None or udp.binding_lifetime_s > 100
    bounds = None if udp is None else udp.binding_lifetime_bounds_s
    assert bounds is None or bounds[1] is None or bounds[1] > 100
    assert report.warns_of("network-left") or report.ended is not None


@pytest.mark.parametrize("after_s", [0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0])
def test_what_a_full_cone_lets_in_is_never_called_filtered(after_s: float) -> None:
    report = left_after(after_s, None, asking("nat"), "full-cone")
    if report is not None and report.nat.udp4 is not None:
        assert report.nat.udp4.filtering in ("endpoint-independent", "unknown")
        assert report.nat.udp4.reachable is not False


@pytest.mark.parametrize("after_s", [0.1, 0.5, 1.0, 2.0, 2.9])
def test_a_neighbour_is_not_isolated_because_the_cable_is_out(after_s: float) -> None:
    def look(lab: SimLab) -> Awaitable[Report]:
        options = MeasureOptions("lan", (), families=(4, 6), peers=("10.0.1.77",), listen_s=3.0)
        return measure_lan(lab.network("alice"), options, nobody)

    report = left_after(after_s, None, look, "lan-open")
    assert report is not None
    assert report.lan is not None
    assert report.lan.isolated is not True
    assert report.lan.unicast is not False
    assert report.warns_of("network-left")


@pytest.mark.parametrize("scenario", ["home-router", "nat64"])
def test_who_stays_is_not_told(scenario: str) -> None:
    """Through a NAT64 this machine is measured from an IPv4 address that it does not have."""
    report = left_after(1000.0, None, asking("nat", families=(4, 6)), scenario)
    assert report is not None
    assert not report.warns_of("network-left")


@pytest.mark.parametrize("back_s", [None, 3.0])
def test_a_router_is_not_said_to_be_silent(back_s: float | None) -> None:
    """It has no UPnP, but whose silence that was nobody knows."""
    report = left_after(0.5, back_s, asking("diagnose"), "mapping-off")
    assert report is not None
    assert {each.id: each.verdict for each in report.techniques}["upnp-igd"] == "unknown"
    stayed = left_after(1000.0, None, asking("diagnose"), "mapping-off")
    assert stayed is not None
    assert {each.id: each.verdict for each in stayed.techniques}["upnp-igd"] == "fails"


@pytest.mark.parametrize("back_s", [None, 2.0])
@pytest.mark.parametrize("after_s", [0.02, 0.05, 0.1, 0.2, 0.4])
def test_a_relay_is_not_said_to_fail(after_s: float, back_s: float | None) -> None:
    def try_relays(lab: SimLab) -> Awaitable[Report]:
        options = MeasureOptions("relay", tuple(map(parse_server, lab.server_uris())), families=(4,))
        return measure_relays(lab.network("alice"), with_searches(options, lab), nobody)

    report = left_after(after_s, back_s, try_relays, "relay-near")
    assert report is not None
    assert report.warns_of("network-left")
    assert all(row.works is not False and not row.loss for row in report.relays)
    assert all(row.rank is None for row in report.relays if row.error is not None)
    verdict = next(each for each in report.techniques if each.id == "relay-turn")
    if not any(row.works for row in report.relays):
        assert verdict.verdict == "unknown"
        assert "left the network" in render_text(report)


@pytest.mark.parametrize("after_s", [0.02, 0.1, 0.3])
def test_a_control_server_is_not_said_to_be_silent(after_s: float) -> None:
    def ask_tailnets(lab: SimLab) -> Awaitable[Report]:
        options = MeasureOptions("tailscale", tuple(map(parse_server, lab.server_uris())), families=(4,))
        network = lab.network("alice")
        return measure_tailnets(network, with_searches(options, lab), nobody, MemoryJournal())

    report = left_after(after_s, None, ask_tailnets, "tailnet")
    assert report is not None
    assert report.tailscale is not None
    assert report.warns_of("network-left")
    assert all(each.reachable is not False for each in report.tailscale.tailnets)
    assert {each.id: each.verdict for each in report.techniques}["tailscale"] != "fails"
