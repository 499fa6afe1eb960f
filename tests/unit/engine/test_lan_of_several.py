"""Several local networks on one machine, and somebody named who is on one of them."""

from __future__ import annotations

import pytest

from nattools.engine.lanscan import measure_lan
from nattools.engine.measureoptions import MeasureOptions
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab

DRAWN = Scenario(
    title="two networks",
    nat={"home": NatSpec(), "other": NatSpec()},
    host={
        "alice": HostSpec(behind=("home", "other")),
        "bob": HostSpec(behind="home"),
        "carol": HostSpec(behind="other"),
    },
    server={"stun": ServerSpec(addresses=1)},
)


@pytest.mark.parametrize(
    ("named", "wanted", "about"),
    [
        ("bob", None, "eth0"),
        ("carol", None, "eth1"),
        ("stun", None, "eth0"),
        ("carol", "eth1", "eth1"),
        (None, None, "eth0"),
    ],
)
def test_it_is_about_the_network_of_whoever_is_named(
    named: str | None, wanted: str | None, about: str
) -> None:
    with SimLab(DRAWN) as lab:
        places = () if named is None else lab.layout.ports_of(named)
        peers = tuple(each.ip for port in places for each in port.addresses if ":" not in each.ip)
        options = MeasureOptions(command="lan", servers=(), peers=peers, interface=wanted, listen_s=1.0)
        report = lab.run(lambda: measure_lan(lab.network("alice"), options, lambda event: None))
    assert report.lan is not None
    assert (report.lan.interface, report.host.measured_interface) == (about, about)
    assert report.lan.unicast is (True if named in ("bob", "carol") else None)


def test_a_zone_names_the_interface() -> None:
    with SimLab(DRAWN) as lab:
        options = MeasureOptions(
            command="lan", servers=(), peers=("fe80::9%eth1",), families=(4, 6), listen_s=1.0
        )
        report = lab.run(lambda: measure_lan(lab.network("alice"), options, lambda event: None))
    assert report.lan is not None
    assert report.lan.interface == "eth1"
