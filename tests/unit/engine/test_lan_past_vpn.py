"""The local network of a machine whose default route leads into a VPN: the report is of the former."""

from __future__ import annotations

import pytest

from nattools.engine.lanscan import measure_lan
from nattools.engine.measureoptions import MeasureOptions
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab

DRAWN = Scenario(
    title="VPN",
    nat={"home": NatSpec(), "provider": NatSpec()},
    host={"alice": HostSpec(behind=("provider", "home"), vpn=("provider",))},
    server={},
)


@pytest.mark.parametrize("interface", [None, "eth1", "tun0"])
def test_it_says_which_interface_it_is_about(interface: str | None) -> None:
    options = MeasureOptions(command="lan", servers=(), listen_s=1.0, interface=interface)
    with SimLab(DRAWN) as lab:
        report = lab.run(lambda: measure_lan(lab.network("alice"), options, lambda event: None))
    about = interface or "eth1"
    assert report.lan is not None
    assert (report.lan.interface, report.host.measured_interface) == (about, about)
    assert {way.interface for way in report.host.ways} == {about}
    warned = {each.code for each in report.notices}
    assert ("vpn-measured" in warned) is (about == "tun0")
