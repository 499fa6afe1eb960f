"""A NAT that loses all its mappings in the midst of a measurement: what did not get in then was stopped by no
filter, and no verdict says so. (On the simulator, whose clock hits each moment.)"""

from __future__ import annotations

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.scenariofiles import parse
from nattools.lab.sim.simlab import SimLab
from nattools.model.report import Report
from nattools.model.serveruri import parse_server

BEHAVIOURS = ("endpoint-independent", "address-dependent", "address-and-port-dependent")
MOMENTS = [round(0.05 * step, 2) for step in range(1, 17)]


def measured(nat: str, at_s: float, *, longest_s: float | None = None) -> Report:
    text = (
        f'title = "forgets"\n[nat.home]\n{nat}\n[host.alice]\nbehind = "home"\ndelay_ms = 20\n[server.stun]\n'
        f'[[event]]\nat_s = {at_s}\nnode = "home"\nwhat = "table-lost"\n'
    )
    with SimLab(parse(text, "forgets"), seed=1) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        lifetime = longest_s is not None
        options = MeasureOptions(
            "nat", servers, families=(4,), lifetime=lifetime, max_lifetime_s=longest_s or 0.0
        )
        return lab.run(lambda: measure(lab.network("alice"), options, lambda event: None))


@pytest.mark.parametrize("filtering", BEHAVIOURS)
@pytest.mark.parametrize("mapping", BEHAVIOURS)
def test_silence_after_a_loss_is_no_filter(mapping: str, filtering: str) -> None:
    for at_s in MOMENTS:
        nat = measured(f'mapping = "{mapping}"\nfiltering = "{filtering}"', at_s).nat
        for found in (nat.udp4, nat.tcp4):
            assert found is not None
            assert found.filtering in (filtering, "unknown"), (at_s, found)
            assert found.mapping in (mapping, "unknown"), (at_s, found)


@pytest.mark.parametrize("at_s", [1.5, 4.0, 20.0, 33.0])
def test_a_loss_is_no_lifetime(at_s: float) -> None:
    nat = measured("lifetime_s = 60", at_s, longest_s=90.0).nat.udp4
    assert nat is not None
    low, high = nat.binding_lifetime_bounds_s or (None, None)
    assert low is None or low < 60
    assert high is None or high > 60
