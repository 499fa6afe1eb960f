"""How far the outermost NAT is: proof of it by an opener, whatever other servers say."""

from __future__ import annotations

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.model.serveruri import parse_server


def measured(seed: int) -> Report:
    """Behind a NAT whose uplink wavers, so that answers come in another order with each seed; one of three
    servers tells a wrong address."""
    scenario = Scenario(
        title="a liar beside others",
        nat={"home": NatSpec(delay_ms=10, jitter_ms=10)},
        host={"alice": HostSpec(behind="home")},
        server={
            "good": ServerSpec(kind="rfc5780"),
            "liar": ServerSpec(kind="wrong-address", addresses=1),
            "plain": ServerSpec(kind="plain", addresses=1),
        },
    )
    with SimLab(scenario, seed=seed) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions("nat", servers)
        return lab.run(lambda: measure(lab.network("alice"), options, lambda event: None))


@pytest.mark.parametrize("seed", range(12))
def test_a_liars_answer_is_not_taken_for_a_mapping_that_varies(seed: int) -> None:
    nat = measured(seed).nat.udp4
    assert nat is not None
    assert nat.distance_hops == 1
    assert nat.cgnat is False
    assert nat.double_nat is False
