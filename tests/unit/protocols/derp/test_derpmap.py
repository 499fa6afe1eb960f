"""Maps as Tailscale, headscale and their users write them, and as nobody should."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from nattools.errors import ProtocolError
from nattools.protocols import derp

DEFAULT = b"""{"Regions": {
 "1": {"RegionID": 1, "RegionCode": "nyc", "RegionName": "New York City", "Latitude": 40.7, "Longitude": -74,
  "Nodes": [
   {"Name": "1f", "RegionID": 1, "HostName": "derp1f.tailscale.com", "IPv4": "199.38.181.104",
    "IPv6": "2607:f740:f::bc", "CanPort80": true},
   {"Name": "1g", "RegionID": 1, "HostName": "derp1g.tailscale.com", "IPv4": "209.177.145.120", "IPv6":
   "none",
    "STUNOnly": true}]},
 "24": {"RegionID": 24, "RegionCode": "dbi", "RegionName": "Dubai", "Avoid": true, "NoMeasureNoHome": true,
  "Nodes": null}}}"""
POLICY = b"""// policy.hujson
{ "acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]},], /* all */
  "derpMap": {"OmitDefaultRegions": false, "Regions": {
    "1": null,
    "900": {"regionid": 900, "regioncode": "home", "nodes": [
      {"name": "a", "hostname": "10.0.0.9", "stunport": -1, "derpport": 3340, "InsecureForTests": true},
      {"name": "http://b", "hostname": "derp.example", "stunport": 3479, "derpport": 8443,
       "CertName": "sha256-raw:%s",},
    ],},
  },},
}""" % (b"ab" * 32)

HEADSCALE = b"""# derp.yaml
regions:
  900: # the first one for users' own
    regionid: 900
    regioncode: custom
    regionname: "My Region"
    nodes:
      - name: 900a
        regionid: 900
        hostname: myderp.mydomain.no
        ipv4: 123.123.123.123
        ipv6: "2604:a880:400:d1::828:b001"
        stunport: 0
        stunonly: false
        derpport: 0
      - name: '900b'
        hostname: other.mydomain.no
        stunonly: true
  901:
    nodes: []
  10: null
"""


def node(**fields: Any) -> bytes:
    """A map with one node."""
    return msgspec.json.encode({"Regions": {"7": {"Nodes": [{"HostName": "derp.example"} | fields]}}})


def test_the_default_map_is_read() -> None:
    found = derp.parse_map(DEFAULT)
    first, second = found.regions
    assert (first.id, first.code, first.name, first.avoid, first.measured) == (
        1,
        "nyc",
        "New York City",
        False,
        True,
    )
    assert first.nodes[0] == derp.DerpNode(
        host="derp1f.tailscale.com",
        name="1f",
        ipv4="199.38.181.104",
        ipv6="2607:f740:f::bc",
        answers_port_80=True,
    )
    assert (first.nodes[1].ipv6, first.nodes[1].relays) == (None, False)
    assert (second.avoid, second.measured, second.nodes) == (True, False, ())
    assert found.named("24") == found.named("DBI") == second
    assert found.named("fra") is None


def test_a_tailnets_policy_is_read_with_its_comments_and_commas() -> None:
    own = derp.parse_map(POLICY)
    plain, secure = own.regions[0].nodes
    assert [region.id for region in own.regions] == [900]
    assert (plain.host, plain.stun_port, plain.tls, plain.unchecked) == ("10.0.0.9", None, False, True)
    assert (plain.uri, plain.authority) == ("derp://10.0.0.9:3340", "10.0.0.9:3340")
    assert (secure.name, secure.stun_port, secure.certificate) == (
        "http://b",
        3479,
        "sha256-raw:" + "ab" * 32,
    )
    assert (secure.uri, secure.authority) == ("derp://derp.example:8443", "derp.example:8443")


def test_headscales_yaml_is_read() -> None:
    own = derp.parse_map(HEADSCALE)
    first, second = own.regions
    assert (first.id, first.code, first.name, second.id) == (900, "custom", "My Region", 901)
    assert first.nodes[0] == derp.DerpNode(
        host="myderp.mydomain.no", name="900a", ipv4="123.123.123.123", ipv6="2604:a880:400:d1::828:b001"
    )
    assert (first.nodes[1].name, first.nodes[1].relays) == ("900b", False)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("# nothing", "it is empty"),
        ("<html>", "line 1 is neither JSON nor 'key: value'"),
        ("regions:\n  900:\n    nodes:\n   - name: x", "line 4 is not indented"),
        ("regions: &all\n  900: *all", "line 1 uses more of YAML"),
        ("regions: {900", "the value in line 1 cannot be read"),
        ("".join(f"{' ' * n}a:\n" for n in range(20)), "line 14 is nested too deep"),
        ("- - - - - - - - - - - - - - - x", "line 1 is nested too deep"),
        ("regions:\n\t900: x", "line 2"),
    ],
)
def test_what_is_no_yaml_is_named_by_its_line(text: str, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        derp.parse_map(text.encode())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not an object"),
        (b"{}", "no Regions"),
        (b'{"Regions": []}', "no Regions"),
        (b'{"Regions": {"x": {}}}', "region 'x' has no number"),
        (b'{"Regions": {"1": 5}}', "region '1' is not an object"),
        (b'{"Regions": {"1": {"Nodes": {}}}}', "region 1: Nodes are not a list"),
        (b'{"Regions": {"1": {"RegionID": -1}}}', "regionid is not a number"),
        (b'{"Regions": {"1": {"RegionCode": 1}}}', "regioncode is not a text"),
        (msgspec.json.encode({"Regions": {"1": {"Nodes": [{}] * 33}}}), "at most 32"),
        (msgspec.json.encode({"Regions": {str(n): {} for n in range(1, 502)}}), "at most 500"),
        (b" " * ((1 << 20) + 1), "more than 1048576 bytes"),
        (node(HostName=""), "node . of region 7: '' is not a host name"),
        (node(HostName="a\r\nX: y"), "is not a host name"),
        (node(HostName="a b"), "is not a host name"),
        (node(HostName="::zz"), "is not a host name"),
        (node(IPv4="300.0.0.1"), "is not an IP address"),
        (node(DERPPort=65536), "derpport is not a number from 0 to 65535"),
        (node(DERPPort="443"), "derpport is not a number"),
        (node(DERPPort=True), "derpport is not a number"),
        (node(STUNPort=-2), "stunport is not a number from -1"),
        (node(CertName="sha256-raw:12"), "is not a host name"),
    ],
)
def test_what_is_no_map_is_named(data: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        derp.parse_map(data)


@pytest.mark.parametrize(
    "piece", [b"/*", b'"', b'\\"', b",", b", ", b"//", b'"\\', b"- ", b"#", b"a:\n", b"- a\n", b" #'"]
)
def test_no_map_takes_longer_to_read_than_it_is_long(piece: bytes) -> None:
    began = time.process_time()
    with pytest.raises(ProtocolError):
        derp.parse_map(piece * ((1 << 20) // len(piece)))
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("port", "uri", "tls"), [(None, "derp://[::1]", True), (80, "derp://[::1]:80", False)]
)
def test_a_server_can_be_named_by_itself(port: int | None, uri: str, tls: bool) -> None:
    found = derp.node_at("::1", port)
    assert (found.uri, found.tls, found.authority) == (uri, tls, "[::1]")
