"""Hairpinning counts only the packets that it sent, however much else arrives."""

from __future__ import annotations

from typing import cast

from simulated import Bothered, behind_nat

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.observation import Hairpin
from nattools.model.serveruri import parse_server
from nattools.net.base import Network


def test_what_others_send_does_not_end_it_early() -> None:
    """The first packets are lost on a slow way: strangers' datagrams arrive before any of its own."""
    with SimLab(behind_nat(NatSpec(), delay_ms=30)) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        network = cast("Network", Bothered(lab.network("alice"), 0.001))
        report = lab.run(lambda: measure(network, MeasureOptions("nat", servers), lambda event: None))
    trials = [each for each in report.observations if isinstance(each, Hairpin)]
    assert trials
    assert all((trial.sent, trial.received) == (3, 0) for trial in trials), trials
    assert report.nat.udp4 is not None
    assert report.nat.udp4.hairpinning is False
