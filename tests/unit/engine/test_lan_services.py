"""Whose services they are, from what multicast DNS says, also where some of it is lost."""

from __future__ import annotations

import pytest

from nattools.engine.lanscan import measure_lan
from nattools.engine.measureoptions import MeasureOptions
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.host import Interface
from nattools.model.lan import Lan
from nattools.probes.lan.lancontext import LanContext
from nattools.probes.lan.mdnsprobe import MdnsResponders, services_of
from nattools.probes.probe import Recorder
from nattools.protocols import mdns

PRINTER = "10.0.1.3"
HTTP, INSTANCE = "_http._tcp.local", "desk._http._tcp.local"
POINTER = mdns.DnsRecord(HTTP, mdns.PTR, 120, INSTANCE)
PLACE = mdns.DnsRecord(INSTANCE, mdns.SRV, 120, "desk.local:80")
ADDRESS = mdns.DnsRecord("desk.local", mdns.A, 120, PRINTER)


def drawn(loss: float) -> Scenario:
    return Scenario(
        title="a printer and a screen",
        nat={"home": NatSpec()},
        host={
            "alice": HostSpec(behind="home"),
            "printer": HostSpec(behind="home", services=("_ipp._tcp", "_http._tcp"), loss=loss),
            "screen": HostSpec(behind="home", services=("_airplay._tcp",), loss=loss),
        },
        server={},
    )


@pytest.fixture
def responders() -> MdnsResponders:
    with SimLab(drawn(0.0)) as lab:
        context = LanContext(lab.network("alice"), Recorder(0.0), Interface(name="eth0"), {4: "10.0.1.2"})
        return MdnsResponders(context)


def hear(responders: MdnsResponders, *records: mdns.DnsRecord) -> None:
    responders.on_datagram(mdns.encode_response(records), Endpoint(PRINTER, mdns.PORT))


def test_what_was_not_said_is_asked_for(responders: MdnsResponders) -> None:
    hear(responders, POINTER)
    assert responders.unresolved() == [mdns.DnsQuestion(INSTANCE, mdns.SRV)]
    hear(responders, PLACE)
    assert responders.unresolved() == [mdns.DnsQuestion("desk.local", mdns.A)]
    hear(responders, ADDRESS)
    assert responders.unresolved() == []


def test_no_more_is_asked_for_than_fits_a_question(responders: MdnsResponders) -> None:
    many = [mdns.DnsRecord(HTTP, mdns.PTR, 120, f"{number}.{HTTP}") for number in range(100)]
    hear(responders, *many)
    assert len(responders.unresolved()) == 20


def test_a_service_that_says_goodbye_is_gone(responders: MdnsResponders) -> None:
    hear(responders, POINTER, PLACE, ADDRESS)
    assert [each.instance for each in services_of(responders.records)] == ["desk"]
    hear(responders, POINTER._replace(ttl_s=0))
    assert services_of(responders.records) == []


@pytest.mark.parametrize(
    "name",
    ["3.1.0.10.in-addr.arpa", "_printer._sub._http._tcp.local", mdns.ANY_SERVICE, "b._dns-sd._udp.local"],
)
def test_pointers_of_other_uses_are_no_services(responders: MdnsResponders, name: str) -> None:
    hear(responders, POINTER._replace(name=name))
    assert services_of(responders.records) == []
    assert responders.unresolved() == []


def seen(loss: float, seed: int) -> Lan:
    with SimLab(drawn(loss), seed=seed) as lab:
        options = MeasureOptions(command="lan", servers=(), listen_s=2.5)
        found = lab.run(lambda: measure_lan(lab.network("alice"), options, lambda event: None)).lan
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(20))
def test_with_a_tenth_of_all_packets_lost_nothing_is_anothers(seed: int) -> None:
    offered = {"printer.local": {"_ipp._tcp", "_http._tcp"}, "screen.local": {"_airplay._tcp"}}
    found = seen(0.1, seed)
    assert not any(each.elsewhere for each in found.neighbours)
    for each in found.neighbours:
        assert set(each.services) <= offered.get(each.name, set()), each
    whole = {each.name: set(each.services) for each in found.neighbours if each.name in offered}
    assert whole == offered
