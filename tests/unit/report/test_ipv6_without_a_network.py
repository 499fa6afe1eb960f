"""A machine in no network has no IPv6 either, but that is no matter of its router's IPv6."""

from __future__ import annotations

import asyncio

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import NothingAnswered, measure
from nattools.lab.backend import open_lab
from nattools.lab.scenariofiles import load
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.report.terminal import render_text


def without(unplugged: bool) -> Report:
    """The report of `nattools ipv6` in a network without IPv6, or in none."""
    with open_lab(load("home-router"), "sim") as lab:
        assert isinstance(lab, SimLab)

        async def main() -> Report:
            await asyncio.sleep(0)
            if unplugged:
                lab.unplug("alice")
            try:
                return await measure(lab.network("alice"), MeasureOptions("ipv6", ()), lambda event: None)
            except NothingAnswered as nothing:
                return nothing.report

        return lab.run(main)


def test_without_a_network() -> None:
    report = without(unplugged=True)
    text = render_text(report)
    assert report.ended is not None
    assert report.ended.step == "link"
    assert "connected to no network" in text
    assert "is the cable in" in text
    assert "in the router" not in text
    assert "Your provider" not in text


def test_in_a_network_without_ipv6() -> None:
    text = render_text(without(unplugged=False))
    assert "no IPv6 access" in text
    assert "in the router" in text
