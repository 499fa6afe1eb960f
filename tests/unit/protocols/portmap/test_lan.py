"""Which URLs out of a router's mouth are followed."""

from __future__ import annotations

import pytest

from nattools.errors import ProtocolError
from nattools.protocols.routerurls import LanUrl, LocalNetwork, locate_url, resolve_url

HOME = LocalNetwork(
    gateways=frozenset(("10.0.1.1", "11.150.1.1", "fe80::1%eth0")),
    own=frozenset(("10.0.1.2", "2a10:1:0:1::2", "fe80::2%eth0")),
    zone="eth0",
    machine=frozenset(("10.0.1.2", "192.168.7.7", "127.0.0.1", "::1")),
)
ROUTER = "10.0.1.1"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://10.0.1.1:5000/rootDesc.xml", LanUrl("10.0.1.1", 5000, "/rootDesc.xml")),
        ("HTTP://10.0.1.1", LanUrl("10.0.1.1", 80, "/")),
        ("http://10.0.1.1:80/a?b=c#d", LanUrl("10.0.1.1", 80, "/a?b=c")),
        ("http://10.0.1.1/x y".replace(" ", "%20"), LanUrl("10.0.1.1", 80, "/x%20y")),
        ("http://11.150.1.1:49000/", LanUrl("11.150.1.1", 49000, "/")),
        ("http://[fe80::1]:1900/d", LanUrl("fe80::1%eth0", 1900, "/d")),
        ("http://[fe80::1%25wlan0]:1900/d", LanUrl("fe80::1%wlan0", 1900, "/d")),
        ("http://10.0.1.1/gerät", LanUrl("10.0.1.1", 80, "/ger%C3%A4t")),
    ],
)
def test_who_names_itself_or_a_gateway_is_asked_there(text: str, url: LanUrl) -> None:
    assert locate_url(text, HOME, ROUTER) == (url, "")


@pytest.mark.parametrize("source", ["10.0.1.1", "10.0.1.9", "fe80::1%eth0"])
@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("192.168.0.1", "another host"),
        ("10.0.1.3", "another host"),
        ("[fd00::1]", "another host"),
        ("[2a10:1:0:1::1]", "another host"),
        ("10.0.1.2", "out of the local network"),
        ("192.168.7.7", "out of the local network"),
        ("127.0.0.1", "out of the local network"),
        ("[::1]", "out of the local network"),
        ("11.102.0.2", "out of the local network"),
        ("8.8.8.8", "out of the local network"),
        ("169.254.3.4", "out of the local network"),
        ("0.0.0.0", "out of the local network"),
        ("239.255.255.250", "out of the local network"),
        ("[::ffff:8.8.8.8]", "out of the local network"),
        ("[ff02::c]", "out of the local network"),
        ("router.local", "a name"),
        ("localhost", "a name"),
        ("10.0.1.1.evil.example", "a name"),
        ("0x0a000101", "a name"),
        ("10.0.1", "a name"),
    ],
)
def test_who_names_somebody_else_is_asked_itself(source: str, host: str, says: str) -> None:
    url, problem = locate_url(f"http://{host}:5000/d?a", HOME, source)
    assert url == LanUrl(source, 5000, "/d?a")
    assert says in problem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rootDesc.xml",
        "https://10.0.1.1/",
        "ftp://10.0.1.1/",
        "file:///etc/passwd",
        "http:///etc/passwd",
        "http://user@10.0.1.1/",
        "http://user:secret@10.0.1.1/",
        "http://10.0.1.1:0/",
        "http://10.0.1.1:99999/",
        "http://10.0.1.1:x/",
        "http://[10.0.1.1]/",
        "http://10.0.1.1/\r\nHost: evil",
        "http://10.0.1.1/a b",
        "http://10.0.1.1/" + "x" * 3000,
        "http://[fe80::1",
    ],
)
def test_not_followed(text: str) -> None:
    with pytest.raises(ProtocolError):
        locate_url(text, HOME, ROUTER)


def test_who_may_answer() -> None:
    """Neighbours; never this machine, and nobody from outside."""
    assert all(map(HOME.allows, ("10.0.1.1", "10.0.1.9", "fe80::7%eth0", "11.150.1.1", "2a10:1:0:1::9")))
    assert not any(map(HOME.allows, ("10.0.1.2", "192.168.7.7", "127.0.0.1", "11.1.0.2", "169.254.3.4", "x")))


METADATA = (
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fd20:ce::254]/",
    "http://[fe80::a9fe:a9fe%25eth0]/",
    "http://[FE80::A9FE:A9FE]/",
)


@pytest.mark.parametrize("text", METADATA)
@pytest.mark.parametrize("own", ["10.0.1.2", "169.254.7.7"])
def test_a_hosting_providers_secrets_are_never_asked_for(text: str, own: str) -> None:
    gateways = frozenset(("10.0.1.1", "169.254.169.254"))
    there = LocalNetwork(gateways=gateways, own=frozenset((own, "fd00:ec2::7")), zone="eth0")
    with pytest.raises(ProtocolError, match="leads out of the local network"):
        locate_url(text, there, ROUTER)
    with pytest.raises(ProtocolError, match="leads out of the local network"):
        resolve_url(BASE, text, there)


def test_link_local_addresses_are_neighbours_of_each_other() -> None:
    there = LocalNetwork(gateways=frozenset(("169.254.1.1",)), own=frozenset(("169.254.7.7", "fe80::2%eth0")))
    assert there.allows("169.254.3.4")


def test_a_link_local_gateway_may_be_asked_from_anywhere() -> None:
    there = LocalNetwork(gateways=frozenset(("169.254.1.1",)), own=frozenset(("10.0.1.2",)))
    assert there.allows("169.254.1.1")
    assert not there.allows("169.254.1.2")


def test_the_host_header_has_no_zone() -> None:
    assert LanUrl("fe80::1%eth0", 5000, "/").authority == "[fe80::1]:5000"
    assert LanUrl("10.0.1.1", 80, "/").authority == "10.0.1.1"
    assert str(LanUrl("10.0.1.1", 5000, "/d")) == "http://10.0.1.1:5000/d"


BASE = LanUrl("10.0.1.1", 5000, "/desc/root.xml")


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("/ctl/IPConn", "/ctl/IPConn"),
        ("ctl", "/desc/ctl"),
        ("../ctl", "/ctl"),
        ("http://10.0.1.1:5000/c", "/c"),
    ],
)
def test_relative_references(reference: str, target: str) -> None:
    assert resolve_url(BASE, reference, HOME) == (LanUrl("10.0.1.1", 5000, target), "")


def test_a_reference_keeps_the_zone_of_its_base() -> None:
    base = LanUrl("fe80::7%wlan0", 5000, "/root.xml")
    assert resolve_url(base, "/ctl", HOME) == (LanUrl("fe80::7%wlan0", 5000, "/ctl"), "")


@pytest.mark.parametrize(
    ("reference", "port"),
    [("http://8.8.8.8/ctl", 80), ("//10.0.1.3/ctl", 80), ("http://10.0.1.2:631/ctl", 631)],
)
def test_references_to_others_lead_back(reference: str, port: int) -> None:
    url, problem = resolve_url(BASE, reference, HOME)
    assert url == LanUrl("10.0.1.1", port, "/ctl")
    assert problem


@pytest.mark.parametrize(
    "reference", ["", "https://10.0.1.1/", "http://[", "javascript:1", "http://10.0.1.1:0/"]
)
def test_references_that_lead_nowhere(reference: str) -> None:
    with pytest.raises(ProtocolError):
        resolve_url(BASE, reference, HOME)
