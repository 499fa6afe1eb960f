"""A machine that is named and is not on the local network, on the simulator's clock."""

from __future__ import annotations

import pytest

from nattools.engine.lanscan import measure_lan
from nattools.engine.measureoptions import MeasureOptions
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.lanseen import LanEcho

DRAWN = Scenario(
    title="a machine behind its router",
    nat={"home": NatSpec(), "other": NatSpec()},
    host={
        "alice": HostSpec(behind="home"),
        "bob": HostSpec(behind="home"),
        "carol": HostSpec(behind="other"),
        "dave": HostSpec(firewall="reject"),
        "erin": HostSpec(firewall="drop"),
    },
    server={"stun": ServerSpec(addresses=1)},
)


@pytest.mark.parametrize(
    ("node", "beyond", "unicast", "said"),
    [
        ("stun", True, None, ["lan-router-alone", "lan-beyond-reached"]),
        ("bob", False, True, ["lan-somebody"]),
    ],
)
def test_only_the_local_network_is_asked(
    node: str, beyond: bool, unicast: bool | None, said: list[str]
) -> None:
    with SimLab(DRAWN) as lab:
        (address,) = (
            each.ip for port in lab.layout.ports_of(node) for each in port.addresses if ":" not in each.ip
        )
        options = MeasureOptions(command="lan", servers=(), peers=(address,))
        report = lab.run(lambda: measure_lan(lab.network("alice"), options, lambda event: None))
    (echo,) = (one for one in report.observations if isinstance(one, LanEcho) and one.role == "named")
    assert (echo.beyond, echo.received) == (beyond, 0 if beyond else 1)
    assert report.lan is not None
    assert (report.lan.unicast, report.lan.isolated) == (unicast, None if unicast is None else False)
    assert [each.code for each in report.lan.reason] == said
    reached = "lan-beyond-reached" in said
    assert echo.through is reached
    assert ("lan-name-address" in [each.code for each in report.lan.actions]) is reached
