"""Which router is asked: the route's, the one that is named, or the one that a tunnel most likely has."""

from __future__ import annotations

import pytest
from mapped import at_home, call
from mapped import home as ordinary_home

from nattools.engine.measureoptions import MapOptions
from nattools.engine.portmap import commands
from nattools.engine.portmap.journal import MemoryJournal
from nattools.errors import UsageError
from nattools.lab.scenario import HostSpec, MapperSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.mappingseen import MapOffer
from nattools.model.report import Report

HOME, TUNNEL = "10.0.1.1", "10.0.2.1"


def behind_vpn(*, forwards: bool) -> Scenario:
    """The default route leads into a tunnel, and names no router."""
    mapper = MapperSpec(protocols=("nat-pmp",)) if forwards else None
    alice = HostSpec(behind=("provider", "home"), vpn=("provider",), routing="by-rule")
    nats = {"home": NatSpec(mapper=MapperSpec()), "provider": NatSpec(mapper=mapper)}
    hosts = {"alice": alice, "bob": HostSpec()}
    return Scenario(title="vpn", nat=nats, host=hosts, server={"stun": ServerSpec()})


def asked(report: Report) -> set[str]:
    """The own addresses that routers were asked from."""
    return {seen.local for seen in report.observations if isinstance(seen, MapOffer)}


def test_a_tunnel_without_a_router_has_it_at_its_first_address() -> None:
    report = at_home(
        lambda lab: call(lab, commands.add, MapOptions(ports=(5000,))), behind_vpn(forwards=True)
    )
    assert {(each.protocol, each.internal) for each in report.mappings} == {("nat-pmp", "10.0.2.2:5000")}
    assert all(each.verified_inbound for each in report.mappings)
    assert asked(report) == {"10.0.2.2"}


def test_of_a_guess_that_does_not_answer_nothing_is_said() -> None:
    report = at_home(lambda lab: call(lab, commands.probe), behind_vpn(forwards=False))
    assert asked(report) == {"10.0.1.2"}


def test_a_named_router_is_asked_whatever_the_routes_say() -> None:
    wish = MapOptions(ports=(5000,), gateway=HOME, transports=("udp",))
    report = at_home(lambda lab: call(lab, commands.add, wish), behind_vpn(forwards=True))
    assert asked(report) == {"10.0.1.2"}
    assert {each.internal for each in report.mappings if each.created} == {"10.0.1.2:5000"}


@pytest.mark.parametrize("address", ["10.0.1.2", "127.0.0.1"])
def test_this_machine_is_no_router(address: str) -> None:
    with pytest.raises(UsageError, match="--gateway"):
        at_home(lambda lab: call(lab, commands.probe, MapOptions(gateway=address)), ordinary_home())


def test_what_a_named_router_has_is_removed_without_naming_it_again() -> None:
    async def main(lab: SimLab) -> Report:
        journal = MemoryJournal()
        wish = MapOptions(ports=(5000,), gateway=HOME)
        await call(lab, commands.add, wish, journal)
        report = await call(lab, commands.delete, MapOptions(mine=True), journal)
        assert journal.entries() == []
        return report

    report = at_home(main, behind_vpn(forwards=True))
    assert len(report.mappings) == 2
    assert all(each.removed for each in report.mappings)


def test_a_router_of_another_network_is_not_looked_for_in_this_one() -> None:
    """192.168.1.1 is a neighbour there; here the way to it leads through somebody else's."""

    async def main(lab: SimLab) -> Report:
        journal = MemoryJournal()
        wish = MapOptions(ports=(5000,), transports=("udp",))
        await call(lab, commands.add, wish, journal)
        (entry,) = journal.entries()
        journal.add(entry.wanted, "nat-pmp", interface=entry.interface, gateway="192.168.1.1", stays=True)
        report = await call(lab, commands.delete, MapOptions(mine=True), journal)
        assert [each.gateway for each in journal.entries()] == ["192.168.1.1"]
        return report

    report = at_home(main)
    assert len(report.mappings) == 1
    assert any("192.168.1.1" in getattr(seen, "reason", "") for seen in report.observations)
