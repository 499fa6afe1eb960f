"""Two machines that look at their network at the same time, one of them over IPv4 alone."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from nattools.engine.lanscan import measure_lan
from nattools.engine.measureoptions import MeasureOptions
from nattools.lab.scenario import HostSpec, LanSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Family
from nattools.model.lan import Lan


def lan(multicast: Literal["flooded", "dropped"], others: tuple[Family, ...]) -> Lan:
    drawn = Scenario(
        title="LAN",
        nat={"home": NatSpec(ipv6="firewall", lan=LanSpec(multicast=multicast))},
        host={"alice": HostSpec(behind="home"), "bob": HostSpec(behind="home")},
        server={},
    )

    async def both(lab: SimLab) -> Lan | None:
        families: dict[str, tuple[Family, ...]] = {"alice": (4, 6), "bob": others}
        reports = await asyncio.gather(
            *(
                measure_lan(
                    lab.network(host),
                    MeasureOptions(command="lan", servers=(), families=of_host),
                    lambda event: None,
                )
                for host, of_host in families.items()
            )
        )
        return reports[0].lan

    with SimLab(drawn) as lab:
        found = lab.run(lambda: both(lab))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("multicast", "others", "four", "six"),
    [
        ("flooded", (4,), True, None),
        ("flooded", (4, 6), True, True),
        ("dropped", (4,), False, None),
        ("dropped", (4, 6), False, False),
    ],
)
def test_a_family_that_the_other_machine_lacks_is_not_said_to_be_lost(
    multicast: Literal["flooded", "dropped"], others: tuple[Family, ...], four: bool, six: bool | None
) -> None:
    found = lan(multicast, others)
    assert (found.proven, found.multicast4, found.multicast6) == (True, four, six)
    assert ("lan-yggdrasil-not" in [each.code for each in found.yggdrasil.reason]) is (six is False)
