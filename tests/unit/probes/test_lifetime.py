"""Measuring a lifetime takes no longer than it must, and disturbs nothing else that is measured."""

from __future__ import annotations

from typing import Any, cast

import pytest
from simulated import STUN, Bothered, behind_nat

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure, new_run
from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import Network
from nattools.probes.lifetime import _Sleeper
from nattools.probes.probe import ProbeContext
from nattools.probes.question import StunClient, open_stun_client
from nattools.probes.target import Lane
from nattools.protocols import stun


def measured(nat: NatSpec, longest_s: float, **host: Any) -> Report:
    with SimLab(behind_nat(nat, **host)) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions("nat", servers, lifetime=True, max_lifetime_s=longest_s)
        return lab.run(lambda: measure(lab.network("alice"), options, lambda event: None))


@pytest.mark.parametrize("lifetime_s", [30, 180])
def test_it_ends_soon_after_the_mapping_and_names_bounds_around_it(lifetime_s: float) -> None:
    report = measured(NatSpec(lifetime_s=lifetime_s), 600.0, delay_ms=8)
    assert report.nat.udp4 is not None
    low, high = report.nat.udp4.binding_lifetime_bounds_s or (None, None)
    assert low is not None
    assert high is not None
    assert 0.9 * lifetime_s < low < lifetime_s < high < 1.1 * lifetime_s
    assert report.duration_s < 1.25 * lifetime_s


def test_a_path_that_loses_nothing_is_not_taken_for_a_lossy_one() -> None:
    report = measured(NatSpec(lifetime_s=180), 300.0, delay_ms=40)
    nat = report.nat.udp4
    assert nat is not None
    assert nat.loss == 0
    assert nat.filtering == "address-and-port-dependent"


async def client(lab: SimLab) -> tuple[StunClient, ProbeContext]:
    """A port of alice's with what a probe is given."""
    run = new_run(lab.network("alice"), MeasureOptions("nat", ()), lambda event: None)
    context = run.context(Lane("udp", 4), "test")
    return await open_stun_client(context), context


def test_only_the_servers_answer_to_the_question_proves_that_a_mapping_lives() -> None:
    async def main(lab: SimLab) -> None:
        (port, context), (helper, _) = await client(lab), await client(lab)
        question = await port.expect(port.prepare(STUN, "control"))
        assert question.mapped is not None
        sleeper = _Sleeper(port, STUN, question.mapped, 0.0, 0.0)
        port.on_other = sleeper.receive
        sleeper.question = asked = helper.prepare(STUN, "control", response_port=question.mapped.port)
        asked.sent_at.append(0.0)
        answer = stun.binding_success(asked.base + b"\0", question.mapped)
        older = stun.binding_success(stun.new_transaction_id(), question.mapped)
        for data, source in (
            (b"anything at all", STUN),
            (stun.binding_indication(), STUN),
            (older, STUN),  # a late answer to an earlier question
            (answer, Endpoint("11.66.0.1", 3478)),
            (stun.binding_success(asked.base + b"\1", question.mapped), STUN),  # a copy that was not sent
        ):
            assert port.socket.on_datagram is not None
            port.socket.on_datagram(data, source)
            assert not sleeper.arrived
        port.socket.on_datagram(answer, STUN)
        assert sleeper.arrived
        assert context.recorder.observations == []

    with SimLab(behind_nat()) as lab:
        lab.run(lambda: main(lab))


def test_strangers_do_not_keep_a_silent_mapping_alive() -> None:
    with SimLab(behind_nat(NatSpec(lifetime_s=20), delay_ms=8)) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions("nat", servers, lifetime=True, max_lifetime_s=60.0)
        network = cast("Network", Bothered(lab.network("alice"), 0.01))
        found = lab.run(lambda: measure(network, options, lambda event: None)).nat.udp4
    assert found is not None
    low, high = found.binding_lifetime_bounds_s or (None, None)
    assert low is not None
    assert high is not None
    assert low < 20 < high < 25
