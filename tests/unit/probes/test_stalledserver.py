"""A server that stands still for a moment, or for good, where silence would mean a filter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from simulated import STUN, behind_nat

from nattools.engine.measureoptions import MeasureOptions
from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.lab.sim.simsockets import SimUdpSocket
from nattools.model.endpoint import Endpoint
from nattools.model.observation import Binding, Opener
from nattools.probes.estimate import PathEstimate
from nattools.probes.filtering import FilterAddress
from nattools.probes.layers import opener
from nattools.probes.mapping import MappingUdp
from nattools.probes.probe import ProbeContext, Recorder
from nattools.probes.target import Target

OTHER = Endpoint("11.201.0.3", 3479)
STILL_FROM_S = 0.015
"""The server has answered the question before the test by then, and nothing of the test."""
FOREVER_S = 3600.0


@pytest.fixture
def standing_still(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets the server send nothing from its first answer until so many seconds have passed; then all of it,
    in its order."""

    def arrange(until_s: float) -> None:
        really, servers = SimUdpSocket.send, (STUN.host, OTHER.host)

        def send(self: SimUdpSocket, data: bytes, to: Any, *, ttl: int | None = None) -> Any:
            loop = asyncio.get_running_loop()
            if self.local.host not in servers or not STILL_FROM_S < loop.time() < until_s:
                return really(self, data, to, ttl=ttl)
            loop.call_at(until_s, lambda: really(self, data, to, ttl=ttl))
            return None

        monkeypatch.setattr(SimUdpSocket, "send", send)

    return arrange


def observed(ask: Callable[[ProbeContext, Target], Awaitable[None]], *, nattools: bool = True) -> list[Any]:
    """What is on record after `ask`, behind a NAT that lets in whomever was written to."""

    async def main() -> list[Any]:
        estimate = PathEstimate()
        estimate.answered(0.02)
        network = lab.network("alice")
        context = ProbeContext(network, Recorder(0.0), estimate, 4, MeasureOptions("nat", ()))
        context.loss_known.set()
        await ask(context, Target("stun:x", STUN, "udp", None, 0.02, OTHER, nattools=nattools))
        return context.recorder.observations

    with SimLab(behind_nat(NatSpec(filtering="endpoint-independent", delay_ms=10))) as lab:
        return lab.run(main)


async def _open(context: ProbeContext, target: Target) -> None:
    await opener(context, target, 2, expires=True)


async def _filter(context: ProbeContext, target: Target) -> None:
    await FilterAddress().run(context, [target])


async def _filter_again(context: ProbeContext, target: Target) -> None:
    """What is lost elsewhere is known a minute later, and asks for more copies."""

    def learn() -> None:
        context.estimate.missed(3)
        context.loss_known.set()

    context.loss_known.clear()
    asyncio.get_running_loop().call_at(60.0, learn)
    await FilterAddress().run(context, [target])


async def _control(context: ProbeContext, target: Target) -> None:
    await MappingUdp().run(context, [target])


def test_an_opener_that_opened_is_not_told_silent(standing_still: Callable[[float], None]) -> None:
    standing_still(1.0)
    assert [seen.opened for seen in observed(_open) if isinstance(seen, Opener)] == [True]


def test_a_nat_that_filters_nothing_is_not_told_to_filter(standing_still: Callable[[float], None]) -> None:
    standing_still(1.0)
    found = [seen.outcome for seen in observed(_filter) if seen.purpose == "filter-address"]
    assert found == ["answered"]


def test_a_server_that_answers_from_elsewhere_is_not_told_unable(
    standing_still: Callable[[float], None],
) -> None:
    standing_still(1.0)
    found = [seen for seen in observed(_control, nattools=False) if isinstance(seen, Binding)]
    assert [seen.outcome for seen in found if seen.change_address] == ["answered"]


def test_what_a_server_that_seemed_gone_answers_later_counts(
    standing_still: Callable[[float], None],
) -> None:
    standing_still(30.0)
    found = [seen.outcome for seen in observed(_filter_again) if seen.purpose == "filter-address"]
    assert found == ["answered"]


@pytest.mark.parametrize("ask", [_open, _filter])
def test_the_silence_of_a_server_that_is_gone_is_no_filters(
    standing_still: Callable[[float], None], ask: Callable[[ProbeContext, Target], Awaitable[None]]
) -> None:
    standing_still(FOREVER_S)
    found = observed(ask)
    assert [seen for seen in found if isinstance(seen, Opener) or seen.purpose != "control"] == []
    assert [seen.outcome for seen in found] == ["answered", "timeout"]
