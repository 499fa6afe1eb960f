"""Quoted checksums measured on the simulator: what is recorded, and what is not asked."""

from __future__ import annotations

from typing import Any

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.backend import open_lab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.model.quotedchecksumseen import QuotedChecksum
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.probes.quotedchecksums import TTLS


def measured(nat: NatSpec, *, loss: float = 0.0, seed: int = 0, **more: Any) -> Report:
    host = HostSpec(behind="home", delay_ms=5, loss=loss)
    scenario = Scenario(title="t", name="t", nat={"home": nat}, host={"alice": host})
    with open_lab(scenario, "sim", seed) as lab:
        servers = tuple(map(parse_server, lab.server_uris()))
        options = MeasureOptions("pwnat", servers, families=(4,), **more)

        async def main() -> Report:
            return await measure(lab.network("alice"), options, lambda _: None)

        return lab.run(main)


def recorded(report: Report) -> list[QuotedChecksum]:
    return [each for each in report.observations if isinstance(each, QuotedChecksum)]


@pytest.mark.parametrize(("quotes", "beyond"), [("restored", "as-sent"), ("translated", "as-mapped")])
def test_each_distance_has_its_line(quotes: Any, beyond: str) -> None:
    seen = recorded(measured(NatSpec(quotes=quotes)))
    assert [each.ttl for each in seen] == list(TTLS)
    assert seen[0].quoted == ("as-sent", "as-sent")  # the router itself, before it translates
    assert seen[1].quoted == (beyond, beyond)
    assert seen[1].source == "11.1.0.1"
    assert all(each.quoted == () and each.source is None for each in seen[2:])


@pytest.mark.parametrize(("quotes", "right"), [("restored", "restored"), ("translated", "translated")])
def test_losses_leave_it_open_at_most(quotes: Any, right: str) -> None:
    """A quarter of the packets each way, with several seeds: never the other one, mostly the right one."""
    found = [
        nat.quoted_checksum
        for seed in range(12)
        if (nat := measured(NatSpec(quotes=quotes), loss=0.25, seed=seed).nat.udp4) is not None
    ]
    assert set(found) <= {right, "unknown", None}
    assert sum(each == right for each in found) > len(found) / 2


def test_with_a_named_interface_it_is_not_asked() -> None:
    """Datagrams that are sent whole would be of another flow than the one that the server sees."""
    report = measured(NatSpec(quotes="translated"), interface="eth0")
    assert recorded(report) == []
    assert report.nat.udp4 is not None
    assert report.nat.udp4.quoted_checksum == "unknown"
    assert "--interface" in report.nat.udp4.unknowns["quoted_checksum"]


def test_without_the_nat_there_is_no_question() -> None:
    scenario = Scenario(title="t", name="t", host={"alice": HostSpec()})
    with open_lab(scenario, "sim") as lab:
        servers = tuple(map(parse_server, lab.server_uris()))
        options = MeasureOptions("pwnat", servers, families=(4,))

        async def main() -> Report:
            return await measure(lab.network("alice"), options, lambda _: None)

        report = lab.run(main)
    assert recorded(report) == []
    assert report.nat.udp4 is not None
    assert report.nat.udp4.quoted_checksum is None
