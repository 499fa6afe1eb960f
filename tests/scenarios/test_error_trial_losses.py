"""Errors that were lost, not ordered or not sent are no answer to whether such errors get in, or out."""

from __future__ import annotations

import asyncio

import pytest

from nattools.lab.sim.simlab import SimNetwork
from nattools.model.errortrialseen import ErrorTrial
from nattools.net.base import SendFailure
from nattools.server import errortrialserver
from nattools.server.errortrialserver import TrialLimits
from nattools.server.limits import RateLimit
from nattools.trials.scenarios import Case, run_trial

SERVERS = "11.201.0."
UDP = 17


def source_of(packet: bytes) -> str:
    return ".".join(map(str, packet[12:16]))


def trials(scenario: str, direction: str) -> list[ErrorTrial]:
    """What alice has found there."""
    report = run_trial(Case(scenario, "alice", "sim", 0)).report
    assert report is not None
    return [
        each for each in report.observations if isinstance(each, ErrorTrial) and each.direction == direction
    ]


def test_a_burst_that_takes_the_first_order_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    send, lost = SimNetwork.send_packet, list[float]()

    def lose_the_first_order(self: SimNetwork, packet: bytes) -> SendFailure | None:
        now = asyncio.get_running_loop().time()
        if source_of(packet).startswith(SERVERS) and now in (lost or [now]):
            lost.append(now)
            return None
        return send(self, packet)

    monkeypatch.setattr(SimNetwork, "send_packet", lose_the_first_order)
    [inward] = trials("home-router", "in")
    assert lost
    assert (inward.quotes, inward.outcome) == ("beacon", "arrived")


def test_nor_does_it_where_the_server_denies_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many were asked for at this address lately, by somebody else behind the same NAT."""
    send = SimNetwork.send_packet

    def lose_errors(self: SimNetwork, packet: bytes) -> SendFailure | None:
        return None if source_of(packet).startswith(SERVERS) else send(self, packet)

    few = TrialLimits(RateLimit(rate=0, burst=4, total_rate=0, total_burst=4))
    monkeypatch.setattr(errortrialserver, "TrialLimits", lambda: few)
    monkeypatch.setattr(SimNetwork, "send_packet", lose_errors)
    [inward] = trials("home-router", "in")
    assert (inward.quotes, inward.outcome) == ("beacon", "denied")
    assert 0 < inward.sent <= 4


def test_an_error_that_this_machine_cannot_send_says_nothing_of_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first two leave and are lost; then the system refuses."""
    send, left = SimNetwork.send_packet, list[bytes]()

    def refuse_later(self: SimNetwork, packet: bytes) -> SendFailure | None:
        if source_of(packet).startswith(SERVERS) or packet[9] == UDP:
            return send(self, packet)
        left.append(packet)
        return None if len(left) <= 2 else "error"

    monkeypatch.setattr(SimNetwork, "send_packet", refuse_later)
    [outward] = trials("home-router", "out")
    assert (outward.outcome, outward.sent) == ("error", 2)
    assert len(left) < 20
