"""A look at a tailnet that is broken off, on the simulator's clock."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.tailnets import measure_tailnets
from nattools.lab.scenario import ControlSpec, HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.tailscale import Tailnet
from nattools.trials.scenarios import measure_options

DRAWN = Scenario(
    title="a control server that says nothing",
    nat={"home": NatSpec()},
    host={"alice": HostSpec(behind="home")},
    server={
        "stun": ServerSpec(),
        "control": ServerSpec(addresses=1, control=ControlSpec(fault="silent", tls=False, port=8080)),
    },
    options={"command": "tailscale"},
)


def looked_at(timeout_s: float | None) -> Tailnet:
    with SimLab(DRAWN) as lab:
        options = replace(measure_options(lab, "alice"), timeout_s=timeout_s)
        report = lab.run(
            lambda: measure_tailnets(lab.network("alice"), options, lambda event: None, MemoryJournal())
        )
    assert report.tailscale is not None
    (found,) = report.tailscale.tailnets
    return found


@pytest.mark.parametrize(("timeout_s", "reachable"), [(2.0, None), (None, False)])
def test_who_has_not_answered_yet_is_not_said_to_answer(
    timeout_s: float | None, reachable: bool | None
) -> None:
    found = looked_at(timeout_s)
    assert found.reachable is reachable
    assert "ts-control-answers" not in [each.code for each in found.reason]
