"""Whose losses they are: a server's that is overloaded, or the network's."""

from __future__ import annotations

import pytest

from nattools.engine.analysis.pathloss import CopiesLost, overloaded
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.scenariofiles import parse
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.wording import sentence

BUSY = """title = "busy"
[nat.home]
[host.alice]
behind = "home"
delay_ms = 10
[server.stun]
[server.busy]
loss = 0.7
delay_ms = 10
"""


def of(**servers: tuple[int, int]) -> frozenset[str]:
    return overloaded((name, CopiesLost(name, *counted)) for name, counted in servers.items())


@pytest.mark.parametrize(
    ("servers", "found"),
    [
        ({}, set()),
        ({"a": (20, 15)}, set()),
        ({"a": (30, 0), "b": (30, 15)}, {"b"}),
        ({"a": (30, 0), "b": (30, 15), "c": (40, 30)}, {"b", "c"}),
        ({"a": (30, 12), "b": (30, 15)}, set()),
        ({"a": (2, 0), "b": (4, 2)}, set()),
        ({"a": (200, 0), "b": (200, 30)}, set()),
        ({"a": (0, 0), "b": (9, 9)}, set()),
    ],
)
def test_only_a_server_that_loses_far_more_than_the_best_one(
    servers: dict[str, tuple[int, int]], found: set[str]
) -> None:
    assert of(**servers) == found


def measured() -> Report:
    with SimLab(parse(BUSY, "busy"), seed=0) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions(command="nat", servers=servers, families=(4,))
        return lab.run(lambda: measure(lab.network("alice"), options, lambda event: None))


def test_its_losses_are_told_as_its_own_and_the_good_ones_silence_still_counts() -> None:
    report = measured()
    nat = report.nat.udp4
    assert nat is not None
    assert (nat.mapping, nat.filtering, nat.loss) == (
        "endpoint-independent",
        "address-and-port-dependent",
        0.0,
    )
    told = [sentence(problem) for server in report.servers for problem in server.problems]
    assert [text for text in told if "it is overloaded" in text and "11.202.0.2" in text]
    assert nat.rtt_ms == pytest.approx(20.0)
