"""The provider gives another outside address at any moment of a measurement: what was seen of the one and of
the other is no evidence about how the NAT maps, nor that it has several."""

from __future__ import annotations

import msgspec
import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.scenarioevents import EventSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.nat import Nat
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.trials.scenarios import no_progress

HOME = Scenario(
    title="home",
    nat={"home": NatSpec(pool=3, pooling="in-turn")},
    host={"alice": HostSpec(behind="home", delay_ms=20)},
    server={
        "stun": ServerSpec(),
        "second": ServerSpec(kind="rfc5780"),
        "plain": ServerSpec(kind="plain", addresses=1),
    },
)


def measured(moment: float) -> Report:
    """Alice's network, which gets another address so many seconds after she has begun."""
    event = EventSpec(at_s=moment, node="home", what="new-address")
    with SimLab(msgspec.structs.replace(HOME, event=(event,))) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        chosen = MeasureOptions(command="nat", servers=servers, families=(4,))
        return lab.run(lambda: measure(lab.network("alice"), chosen, no_progress))


@pytest.mark.parametrize("moment", [0.02, 0.05, 0.1, 0.15, 0.2, 0.24, 0.25, 0.26, 0.3, 0.4, 0.5, 0.6])
def test_a_new_address_in_the_middle_is_no_evidence_about_mapping(moment: float) -> None:
    report = measured(moment)
    for nat in (report.nat.udp4, report.nat.tcp4):
        assert isinstance(nat, Nat)
        assert nat.mapping in ("endpoint-independent", "unknown")
        assert nat.filtering in ("address-and-port-dependent", "unknown")
        assert nat.pooling in ("paired", "unknown")
        assert nat.classic in ("port-restricted cone", "unknown")
