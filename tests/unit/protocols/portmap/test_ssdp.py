"""SSDP: what is sent, what is read, and which devices are believed."""

from __future__ import annotations

import pytest

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import ssdp
from nattools.protocols.routerurls import LanUrl, LocalNetwork
from nattools.protocols.ssdp import Announcement, Finder

GATEWAY = Endpoint("10.0.1.1", 1900)
HOME = LocalNetwork(gateways=frozenset(("10.0.1.1", "fe80::1")), own=frozenset(("10.0.1.2",)))
UDN = "uuid:7e57ab1e-0000-4000-8000-00000000a001"
LOCATION = "http://10.0.1.1:5000/rootDesc.xml"


def answer(target: str = ssdp.IGD2, location: str = LOCATION, udn: str = UDN) -> bytes:
    return ssdp.encode_response(target, f"{udn}::{target}", location, server="Linux UPnP/1.1 x/2")


def test_a_search() -> None:
    assert ssdp.search(ssdp.IGD1) == (
        b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"
        b'MAN: "ssdp:discover"\r\nMX: 1\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n'
    )
    assert b"HOST: [ff02::c]:1900\r\n" in ssdp.search(group="ff02::c")
    assert ssdp.decode_search(ssdp.search()) == "ssdp:all"


def test_an_answer() -> None:
    found = ssdp.decode(answer())
    assert found == Announcement("response", ssdp.IGD2, f"{UDN}::{ssdp.IGD2}", LOCATION, 1)
    assert found.udn == UDN
    assert found.is_gateway


@pytest.mark.parametrize("tail", [b"\0", b"no colon\r\n\r\n", b": no name\r\n\r\n\0\0"])
def test_lines_that_are_none_are_skipped(tail: bytes) -> None:
    assert ssdp.decode(answer().removesuffix(b"\r\n") + tail).location == LOCATION


def test_notifications() -> None:
    head = "NOTIFY * HTTP/1.1\r\nHost:239.255.255.250:1900\r\nNT:upnp:rootdevice\r\n"
    alive = ssdp.decode(f"{head}NTS:ssdp:alive\r\nLocation:{LOCATION}\r\n\r\n".encode())
    assert (alive.kind, alive.target, alive.is_gateway) == ("alive", "upnp:rootdevice", False)
    assert ssdp.decode(f"{head}NTS:ssdp:byebye\r\n\r\n".encode()).kind == "byebye"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nST: x\r\n\r\n",
        b"NOTIFY * HTTP/1.1\r\nNTS: ssdp:other\r\n\r\n",
        ssdp.search(),
        answer() + b"x" * 9000,
        answer("x" * 600),
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101,
    ],
)
def test_what_is_no_answer(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        ssdp.decode(data)


@pytest.mark.parametrize(
    ("target", "yes"),
    [
        (ssdp.IGD1, True),
        ("urn:schemas-upnp-org:service:WANIPConnection:1", True),
        ("urn:dslforum-org:device:InternetGatewayDevice:1", True),
        ("urn:schemas-upnp-org:device:MediaRenderer:1", False),
        (ssdp.ROOT, False),
    ],
)
def test_gateways_are_told_by_their_names(target: str, yes: bool) -> None:
    assert ssdp.decode(answer(target)).is_gateway is yes


def test_answers_from_another_port_count_and_come_once() -> None:
    """miniupnpd answers a multicast M-SEARCH twice."""
    finder = Finder(HOME)
    device = finder.receive_datagram(answer(), Endpoint("10.0.1.1", 49152))
    assert device is not None
    assert device.url == LanUrl("10.0.1.1", 5000, "/rootDesc.xml")
    assert finder.receive_datagram(answer(), GATEWAY) is None
    assert finder.receive_datagram(answer(ssdp.ROOT), GATEWAY) is None
    assert list(finder.devices.values()) == [device]
    assert (device.is_gateway, device.problem) == (True, "")


def test_a_device_that_turns_out_to_be_a_gateway_is_told_again() -> None:
    finder = Finder(HOME)
    other, place = Endpoint("10.0.1.9", 1900), "http://10.0.1.9:80/d.xml"
    first = finder.receive_datagram(answer(ssdp.ROOT, place), other)
    assert first is not None
    assert not first.is_gateway
    second = finder.receive_datagram(answer(ssdp.IGD1, place), other)
    assert second is not None
    assert second.is_gateway


def test_answers_from_outside_the_lan_are_ignored() -> None:
    finder = Finder(HOME)
    assert finder.receive_datagram(answer(), Endpoint("11.102.0.2", 1900)) is None
    assert finder.devices == {}


@pytest.mark.parametrize("source", ["10.0.1.1", "10.0.1.9"])
@pytest.mark.parametrize("host", ["11.1.0.2", "192.168.100.1", "10.0.1.2", "fritz.box"])
def test_a_location_elsewhere_is_looked_for_at_who_named_it(source: str, host: str) -> None:
    device = Finder(HOME).receive_datagram(
        answer(location=f"http://{host}:5000/d.xml"), Endpoint(source, 1900)
    )
    assert device is not None
    assert device.url == LanUrl(source, 5000, "/d.xml")
    assert device.problem


def test_a_hosting_providers_service_leads_nowhere() -> None:
    device = Finder(HOME).receive_datagram(answer(location="http://169.254.169.254/d"), GATEWAY)
    assert device is not None
    assert device.url is None
    assert "leads out of the local network" in device.problem


def test_the_same_location_counts_for_each_who_names_it() -> None:
    """Nobody can take the gateway's place by naming its own first."""
    finder = Finder(HOME)
    place = "http://fritz.box:49000/igddesc.xml"
    for host in ("10.0.1.9", "10.0.1.1"):
        device = finder.receive_datagram(answer(location=place), Endpoint(host, 1900))
        assert device is not None
        assert device.url == LanUrl(host, 49000, "/igddesc.xml")


def test_a_link_local_location_gets_the_zone_of_its_answer() -> None:
    finder = Finder(HOME)
    device = finder.receive_datagram(
        answer(location="http://[fe80::1]:5000/d"), Endpoint("fe80::1%eth0", 1900)
    )
    assert device is not None
    assert device.url == LanUrl("fe80::1%eth0", 5000, "/d")


def test_a_flood_of_devices_is_bounded() -> None:
    finder = Finder(HOME)
    for number in range(500):
        finder.receive_datagram(answer(location=f"http://10.0.1.1:5000/{number}"), GATEWAY)
        finder.receive_datagram(b"\xff", GATEWAY)
        finder.receive_datagram(answer(f"urn:x:{number}"), GATEWAY)
    assert len(finder.devices) == ssdp.MAX_FOUND


def test_a_flood_of_others_does_not_crowd_out_the_gateway() -> None:
    finder = Finder(HOME)
    for number in range(500):
        finder.receive_datagram(answer(location=f"http://10.0.1.9/{number}"), Endpoint("10.0.1.9", 1900))
    assert len(finder.devices) == ssdp.MAX_FOUND
    assert finder.receive_datagram(answer(), GATEWAY) is not None
