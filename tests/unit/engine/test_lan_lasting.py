"""Multicast that dies where nobody asks who listens, on the simulator's clock."""

from __future__ import annotations

from typing import Literal

import pytest

from nattools.engine.lanscan import measure_lan
from nattools.engine.measureoptions import MeasureOptions
from nattools.lab.scenario import HostSpec, LanSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.lan import Lan


def lan(multicast: Literal["flooded", "forgotten"], listen_s: float) -> Lan:
    drawn = Scenario(
        title="LAN",
        nat={"home": NatSpec(lan=LanSpec(multicast=multicast))},
        host={"alice": HostSpec(behind="home"), "bob": HostSpec(behind="home", nattools_lan=True)},
        server={},
    )
    options = MeasureOptions(command="lan", servers=(), listen_s=listen_s)
    with SimLab(drawn) as lab:
        report = lab.run(lambda: measure_lan(lab.network("alice"), options, lambda event: None))
    assert report.lan is not None
    return report.lan


@pytest.mark.parametrize(
    ("multicast", "listen_s", "lasts", "says"),
    [
        ("forgotten", 330.0, False, "lan-multicast-dies"),
        ("flooded", 330.0, True, "lan-multicast-lasts"),
        ("forgotten", 60.0, None, "lan-proven"),
    ],
)
def test_only_who_listens_long_enough_learns_of_it(
    multicast: Literal["flooded", "forgotten"], listen_s: float, lasts: bool | None, says: str
) -> None:
    found = lan(multicast, listen_s)
    assert (found.multicast, found.unicast, found.multicast_lasts) == (True, True, lasts)
    assert says in [each.code for each in found.reason]
