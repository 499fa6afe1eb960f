"""Hairpinning counts only the packets that it sent, and silence not where a burst of losses explains it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from simulated import Bothered, behind_nat

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.lab.sim.simsockets import SimUdpSocket
from nattools.model.observation import Hairpin
from nattools.model.serveruri import parse_server
from nattools.net.base import Network

BURST_S = 0.119, 0.3
"""The outside addresses are known by then, and the packets go that are to come back."""


def test_what_others_send_does_not_end_it_early() -> None:
    """The first packets are lost on a slow way: strangers' datagrams arrive before any of its own."""
    with SimLab(behind_nat(NatSpec(), delay_ms=30)) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        network = cast("Network", Bothered(lab.network("alice"), 0.001))
        report = lab.run(lambda: measure(network, MeasureOptions("nat", servers), lambda event: None))
    trials = [each for each in report.observations if isinstance(each, Hairpin)]
    assert len(trials) == 6  # nothing was lost: it is not tried again
    assert all((trial.sent, trial.received) == (3, 0) for trial in trials), trials
    assert report.nat.udp4 is not None
    assert report.nat.udp4.hairpinning is False


def test_what_a_burst_of_losses_took_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other questions that lose copies tell that there was one."""
    really = SimUdpSocket.send

    def send(self: SimUdpSocket, *packet: Any, **options: Any) -> Any:
        lost = BURST_S[0] < asyncio.get_running_loop().time() - began < BURST_S[1]
        return None if lost else really(self, *packet, **options)

    with SimLab(behind_nat(NatSpec(hairpinning=True), delay_ms=30)) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        began = lab.loop.time()
        monkeypatch.setattr(SimUdpSocket, "send", send)
        report = lab.run(
            lambda: measure(lab.network("alice"), MeasureOptions("nat", servers), lambda _: None)
        )
    trials = [each for each in report.observations if isinstance(each, Hairpin)]
    assert [trial.received > 0 for trial in trials] == [False] * 6 + [True] * 6
    assert trials[6].at_s - trials[5].at_s >= 0.5
    assert report.nat.udp4 is not None
    assert report.nat.udp4.hairpinning is True
