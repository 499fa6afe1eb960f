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
from nattools.model.nat import Nat
from nattools.model.observation import Hairpin
from nattools.model.serveruri import parse_server
from nattools.net.base import Network
from nattools.probes.hairpin import COPIES


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


@pytest.mark.parametrize("until_s", [0.3, 1.5])
def test_what_a_burst_of_losses_took_is_sent_again(until_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question beside it that the server ought to have answered tells that there was one."""
    trials, nat = _during(monkeypatch, (0.119, until_s))
    assert [(trial.sent > COPIES, trial.received > 0) for trial in trials] == [(True, True)] * 6
    assert nat.hairpinning is True


def test_bursts_that_take_it_twice_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both times the question beside it got no answer either: it is tried at another moment."""
    trials, nat = _during(monkeypatch, (0.119, 0.5), (0.56, 1.3))
    assert trials
    assert all(trial.received for trial in trials)
    assert nat.hairpinning is True


def test_where_nothing_gets_through_any_more_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    trials, nat = _during(monkeypatch, (0.119, 600))
    assert not trials
    assert nat.hairpinning is None


def _during(monkeypatch: pytest.MonkeyPatch, *bursts: tuple[float, float]) -> tuple[list[Hairpin], Nat]:
    """What a router that hairpins is found to do while these bursts take all that is sent. The outside
    addresses are known after 0.119 s, and the packets go that are to come back."""
    really = SimUdpSocket.send

    def send(self: SimUdpSocket, *packet: Any, **options: Any) -> Any:
        now_s = asyncio.get_running_loop().time() - began
        lost = any(first < now_s < last for first, last in bursts)
        return None if lost else really(self, *packet, **options)

    with SimLab(behind_nat(NatSpec(hairpinning=True), delay_ms=30)) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        began = lab.loop.time()
        monkeypatch.setattr(SimUdpSocket, "send", send)
        report = lab.run(
            lambda: measure(lab.network("alice"), MeasureOptions("nat", servers), lambda _: None)
        )
    assert report.nat.udp4 is not None
    return [each for each in report.observations if isinstance(each, Hairpin)], report.nat.udp4
