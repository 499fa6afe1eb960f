"""Regions that are asked over HTTPS because UDP does not get out, on the simulator's clock."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.tailnets import measure_tailnets
from nattools.lab.scenario import DerpSpec, HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Family
from nattools.model.tailscale import Netcheck
from nattools.trials.scenarios import measure_options

DRAWN = Scenario(
    title="a DERP server of IPv4 alone, and no UDP",
    nat={"home": NatSpec(ipv6="firewall", udp="blocked")},
    host={"alice": HostSpec(behind="home")},
    server={"stun": ServerSpec(), "derp": ServerSpec(ipv6=False, derp=DerpSpec())},
    options={"command": "tailscale"},
)


def netcheck(families: tuple[Family, ...]) -> Netcheck:
    with SimLab(DRAWN) as lab:
        options = replace(measure_options(lab, "alice"), families=families)
        report = lab.run(
            lambda: measure_tailnets(lab.network("alice"), options, lambda event: None, MemoryJournal())
        )
    assert report.tailscale is not None
    (found,) = report.tailscale.tailnets
    assert found.netcheck is not None
    return found.netcheck


@pytest.mark.parametrize(
    ("families", "four", "home"), [((4, 6), True, 901), ((4,), True, 901), ((6,), False, 0)]
)
def test_a_region_is_asked_over_the_families_that_are_wanted(
    families: tuple[Family, ...], four: bool, home: int
) -> None:
    found = netcheck(families)
    assert (found.UDP, found.IPv4, found.IPv6, found.PreferredDERP) == (False, four, False, home)
