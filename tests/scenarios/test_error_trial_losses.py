"""A burst of losses that takes all errors of one order is no answer to whether such errors get in."""

from __future__ import annotations

import asyncio

import pytest

from nattools.lab.sim.simlab import SimNetwork
from nattools.model.errortrialseen import ErrorTrial
from nattools.net.base import SendFailure
from nattools.trials.scenarios import Case, run_trial

SERVERS = "11.201.0."


def test_a_burst_that_takes_the_first_order_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    send, lost = SimNetwork.send_packet, list[float]()

    def lose_the_first_order(self: SimNetwork, packet: bytes) -> SendFailure | None:
        source = ".".join(map(str, packet[12:16]))
        now = asyncio.get_running_loop().time()
        if source.startswith(SERVERS) and now in (lost or [now]):
            lost.append(now)
            return None
        return send(self, packet)

    monkeypatch.setattr(SimNetwork, "send_packet", lose_the_first_order)
    report = run_trial(Case("home-router", "alice", "sim", 0)).report
    assert report is not None
    assert lost
    [inward] = [
        each for each in report.observations if isinstance(each, ErrorTrial) and each.direction == "in"
    ]
    assert (inward.quotes, inward.outcome) == ("beacon", "arrived")
