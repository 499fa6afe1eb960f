"""Descriptions, actions and error codes of internet gateways."""

from __future__ import annotations

import time

import pytest

from nattools.errors import ProtocolError
from nattools.protocols import http, igd
from nattools.protocols.headers import Headers
from nattools.protocols.igd import xml
from nattools.protocols.routerurls import LanUrl, LocalNetwork

HOME = LocalNetwork(gateways=frozenset(("10.0.1.1",)), own=frozenset(("10.0.1.2",)))
LOCATION = LanUrl("10.0.1.1", 5000, "/desc/root.xml")

SERVICE = "<service><serviceType>{type}</serviceType><controlURL>{url}</controlURL></service>"
DEVICE = """<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major></specVersion>{base}
<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:{version}</deviceType>
<friendlyName>A &amp; B router</friendlyName><manufacturer>M</manufacturer><modelName>N</modelName>
<UDN>uuid:1</UDN><presentationURL>/admin</presentationURL>
<serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType>
<controlURL>/l3f</controlURL></service></serviceList>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>
<serviceList>{common}</serviceList>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>
<serviceList>{services}</serviceList></device></deviceList></device></deviceList></device></root>"""
COMMON = "urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1"
IP1, IP2 = (f"urn:schemas-upnp-org:service:WANIPConnection:{n}" for n in (1, 2))
PPP = "urn:schemas-upnp-org:service:WANPPPConnection:1"
FIREWALL = "urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"
LEGACY = "urn:dslforum-org:service:WANIPConnection:1"


def document(*services: tuple[str, str], version: int = 2, base: str = "") -> bytes:
    """A description with these services (type, control URL)."""
    written = "".join(SERVICE.format(type=kind, url=url) for kind, url in services)
    common = SERVICE.format(type=COMMON, url="/ctl/Common")
    base = f"<URLBase>{base}</URLBase>" if base else ""
    return DEVICE.format(base=base, version=version, common=common, services=written).encode()


def describe(data: bytes) -> igd.Description:
    return igd.parse_description(data, LOCATION, HOME)


def service(kind: str = IP2) -> igd.Service:
    (found,) = (each for each in describe(document((kind, "/ctl/X"))).services if each.type == kind)
    return found


# --- descriptions


def test_a_gateway_of_version_2() -> None:
    found = describe(document((PPP, "/ctl/PPP"), (IP1, "ctl/IP1"), (IP2, "/ctl/IP2"), (FIREWALL, "/ctl/FW")))
    assert (found.igd_version, found.friendly_name, found.udn) == (2, "A & B router", "uuid:1")
    assert [each.type for each in found.connections] == [IP2, IP1, PPP]
    assert [each.control.target for each in found.connections] == ["/ctl/IP2", "/desc/ctl/IP1", "/ctl/PPP"]
    assert found.firewall is not None
    assert found.firewall.control.target == "/ctl/FW"
    assert {each.kind for each in found.services} >= {"WANCommonInterfaceConfig"}
    assert found.problems == ()


def test_the_dsl_forums_services_come_last() -> None:
    found = describe(document((LEGACY, "/legacy"), (PPP, "/ppp"), version=1))
    assert [each.type for each in found.connections] == [PPP, LEGACY]
    assert found.connections[1].legacy
    assert found.igd_version == 1


def test_namespaces_do_not_matter() -> None:
    data = document((IP1, "/c")).replace(b'xmlns="urn:schemas-upnp-org:device-1-0"', b'xmlns="urn:x"')
    assert len(describe(data).connections) == 1


def test_url_base_counts_if_it_stays_on_the_lan() -> None:
    found = describe(document((IP1, "ctl"), base="http://10.0.1.1:49000/igd/"))
    assert found.connections[0].control == LanUrl("10.0.1.1", 49000, "/igd/ctl")
    away = describe(document((IP1, "ctl"), base="http://11.1.0.2:49000/"))
    assert away.connections[0].control == LanUrl("10.0.1.1", 49000, "/ctl")
    assert away.connections[0].others[0] == LanUrl("10.0.1.1", 5000, "/desc/ctl")
    assert "URLBase" in away.problems[0]


@pytest.mark.parametrize(
    ("base", "url", "targets"),
    [
        ("", "/ctl/IP", ["/ctl/IP"]),
        ("", "ctl", ["/desc/ctl", "/ctl"]),
        ("http://10.0.1.1:5000/igd/", "ctl", ["/igd/ctl", "/ctl", "/desc/ctl"]),
        ("http://10.0.1.1:5000/igd", "ctl", ["/ctl", "/igd/ctl", "/desc/ctl"]),
        ("http://fritz.box:5000/", "/ctl", ["/ctl"]),
        ("not a URL", "/ctl", ["/ctl"]),
        ("", "http://fritz.box:5000/ctl?a b", ["/ctl?a%20b"]),
        ("", "http://11.1.0.2:5000/ctl", ["/ctl"]),
        ("", "//10.0.1.3:5000/ctl", ["/ctl"]),
    ],
)
def test_where_a_control_url_may_lead(base: str, url: str, targets: list[str]) -> None:
    """Always to the router itself; first as RFC 3986 has it."""
    (found,) = describe(document((IP1, url), base=base)).connections
    places = [found.control, *found.others]
    assert [each.target for each in places] == targets
    assert {(each.host, each.port) for each in places} == {("10.0.1.1", 5000)}


def test_the_variants_of_a_service() -> None:
    (found,) = describe(document((IP2, "/ctl"), base="http://10.0.1.1:49000/")).connections
    assert [(each.type, each.control.port) for each in found.variants] == [
        (IP2, 49000),
        (IP2, 5000),
        (IP1, 49000),
        (IP1, 5000),
    ]


@pytest.mark.parametrize("url", ["http://169.254.169.254/ctl", "", "https://10.0.1.1/ctl"])
def test_a_control_url_that_leads_nowhere_is_left_out_and_named(url: str) -> None:
    found = describe(document((IP1, url), (IP2, "/ok")))
    assert [each.type for each in found.connections] == [IP2]
    assert found.problems[0].startswith("WANIPConnection:1 has ")


def test_a_device_that_is_no_gateway() -> None:
    data = document().replace(b"InternetGatewayDevice", b"MediaRenderer").replace(b"WANCommon", b"X")
    found = describe(data)
    assert (found.igd_version, found.services) == (None, ())


BOMB = b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><root><device>&b;</device></root>'
EXTERNAL = b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><root><device>&x;</device></root>'


MODEL = "<root><device><modelName>{}</modelName><UDN>uuid:1</UDN></device></root>"


@pytest.mark.parametrize(
    ("data", "model"),
    [
        (MODEL.encode().replace(b"{}", b"HG\xf0_\xf0"), "HGð_ð"),
        (MODEL.format("Box <info>").encode(), "Box"),
        (MODEL.format("Fritz & Box").encode(), "Fritz & Box"),
        (MODEL.format("&undefined; &lt;b&gt;").encode(), "&undefined; <b>"),
        (b"<!-- > --><?xml version='1.0'?>" + MODEL.format("a<!-- <b> -->").encode() + b"<junk", "a"),
        (MODEL.replace("root>", "x:root>").format("prefix").encode(), "prefix"),
        (b'<?xml version="1.0" encoding="no-such"?>' + MODEL.format("A").encode(), "A"),
        (
            b'<?xml version="1.0" encoding="gb2312"?>' + MODEL.format("\u8def").encode("gb2312"),
            "\u8def",
        ),
        (
            b'<?xml version="1.0" encoding="GBK"?>'
            + MODEL.format("\u8def\u7531\U00020000").encode("gb18030"),
            "\u8def\u7531\U00020000",
        ),
        (b'<?xml version="1.0" encoding="big5"?>' + MODEL.format("\u8def").encode("big5"), "\u8def"),
        (b'<?xml version="1.0" encoding="utf-16"?>' + MODEL.format("not wide").encode(), "not wide"),
        (b'<?xml version="1.0" encoding="punycode"?>' + MODEL.format("caf\xe9").encode(), "caf\xe9"),
        (b'<?xml version="1.1"?>' + MODEL.format("later").encode(), "later"),
        (b"\xff\xfe" + MODEL.format("wide").encode("utf-16-le"), "wide"),
        (b"\xff\xfe" + MODEL.format("wide & odd").encode("utf-16-le") + b"\0", "wide & odd"),
        (MODEL.format("no mark").encode("utf-16-be"), "no mark"),
        (b"<!DOCTYPE root>" + MODEL.format("typed").encode(), "typed"),
        (b'<!DOCTYPE root SYSTEM "http://8.8.8.8/x.dtd">' + MODEL.format("typed").encode(), "typed"),
        (b"<!DOCTYPE root [<!ELEMENT root ANY> ]>" + MODEL.format("typed").encode(), "typed"),
        (MODEL.lower().replace("{}", "lower").encode(), "lower"),
        (MODEL.upper().replace("UUID", "uuid").replace("{}", "UPPER").encode(), "UPPER"),
        (b"ffff\r\n" + MODEL.format("&#65;&#x42; &#0; <![CDATA[<&>]]> &").encode(), "AB &#0; <&> &"),
        (MODEL.format("x").replace("<device>", "<device a='/>' b=\">\">").encode(), "x"),
        (MODEL.format("caf\xe9").encode("latin-1"), "caf\xe9"),
        (b"<root><device><UDN>uuid:1</UDN><modelName>cut", ""),
    ],
)
def test_descriptions_that_are_not_well_formed(data: bytes, model: str) -> None:
    """What routers in millions of homes send, and other clients bear."""
    found = describe(data)
    assert (found.model, found.udn) == (model, "uuid:1")


def test_a_hostile_document_costs_no_more_than_its_length() -> None:
    for hostile in (b"<!--" * 60_000, b"<!" * 120_000, b"<a " * 80_000, b"</" * 120_000, b"&" * 250_000):
        with pytest.raises(ProtocolError):
            xml.parse(b"\x01" + hostile)
        with pytest.raises(ProtocolError):
            describe(b"<a>" + hostile)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0",
        b"not xml",
        b"<root>",
        b"<root/>",
        b"<a><device/></a>",
        BOMB,
        EXTERNAL,
        b"<!DOCTYPE root SYSTEM 'http://8.8.8.8/x.dtd' [<!entity a 'b'>]><root><device/></root>",
        b"<!DOCTYPE root SYSTEM 'http://8.8.8.8/x.dtd'><root/>",
        b"<root><device>" + b"<d>" * 40 + b"</d>" * 40 + b"</device></root>",
        b"<root><device>" + b"<d/>" * 6000 + b"</device></root>",
        b"<root><device>" + b"x" * 300_000 + b"</device></root>",
        b"\xff\xfe<\x00r",
    ],
)
def test_hostile_descriptions(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        describe(data)


def test_texts_are_printable_and_bounded() -> None:
    data = document().replace(b"A &amp; B router", b"evil&#10;\xc2\x9b31m" + b"x" * 5000)
    name = describe(data).friendly_name
    assert name.startswith("evil  31mx")
    assert len(name) == 200


def test_blanks_before_and_zeros_behind_are_forgiven() -> None:
    assert describe(b"\r\n " + document((IP1, "/c")) + b"\n\0").connections


# --- calling


ENVELOPE = (
    '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body>'
    "</s:Envelope>"
)
FAULT = (
    "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>"
    '<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{}</errorCode>'
    "<errorDescription>OnlyPermanentLeasesSupported</errorDescription></UPnPError></detail></s:Fault>"
)


def response(content: str, status: int = 200, reason: str = "OK") -> http.HttpResponse:
    return http.HttpResponse(status, reason, Headers([]), ENVELOPE.format(content).encode())


def answered(action: str, **values: str) -> igd.Answer:
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    content = f'<u:{action}Response xmlns:u="{IP2}">{inside}</u:{action}Response>'
    found = igd.parse_answer(response(content), action)
    assert isinstance(found, igd.Answer)
    return found


def test_a_call_as_bytes() -> None:
    call = igd.add_port_mapping(
        transport="udp",
        external_port=5000,
        internal_host="10.0.1.2",
        internal_port=4000,
        description="<b>\"x\"</b> & 'y'\n",
        lease_s=120,
    )
    head, _, body = igd.encode_call(service(), call).decode().partition("\r\n\r\n")
    assert head.split("\r\n") == [
        "POST /ctl/X HTTP/1.1",
        "Host: 10.0.1.1:5000",
        "Connection: close",
        'Content-Type: text/xml; charset="utf-8"',
        f'SOAPAction: "{IP2}#AddPortMapping"',
        f"Content-Length: {len(body)}",
    ]
    assert body == (
        '<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
        f'<s:Body><u:AddPortMapping xmlns:u="{IP2}">'
        "<NewRemoteHost></NewRemoteHost><NewExternalPort>5000</NewExternalPort><NewProtocol>UDP</NewProtocol>"
        "<NewInternalPort>4000</NewInternalPort><NewInternalClient>10.0.1.2</NewInternalClient>"
        "<NewEnabled>1</NewEnabled><NewPortMappingDescription>&lt;b&gt;&quot;x&quot;&lt;/b&gt; &amp; "
        "&apos;y&apos; </NewPortMappingDescription><NewLeaseDuration>120</NewLeaseDuration>"
        "</u:AddPortMapping></s:Body></s:Envelope>\r\n"
    )


def test_other_calls() -> None:
    pinhole = igd.add_pinhole(transport="tcp", internal_host="2a10::2", internal_port=80, lease_s=1_000_000)
    assert pinhole.arguments == (
        ("RemoteHost", ""),
        ("RemotePort", "0"),
        ("InternalClient", "2a10::2"),
        ("InternalPort", "80"),
        ("Protocol", "6"),
        ("LeaseTime", "86400"),
    )
    assert igd.delete_pinhole(7).arguments == (("UniqueID", "7"),)
    assert igd.check_pinhole_working(7).action == "CheckPinholeWorking"
    assert igd.delete_port_mapping("tcp", 80).arguments[2] == ("NewProtocol", "TCP")
    assert igd.get_specific_entry("udp", 80).action == "GetSpecificPortMappingEntry"
    assert igd.get_generic_entry(3).arguments == (("NewPortMappingIndex", "3"),)
    assert igd.GET_STATUS.arguments == igd.GET_FIREWALL_STATUS.arguments == ()


@pytest.mark.parametrize("status", [200, 500])
def test_a_fault_counts_whatever_the_status(status: int) -> None:
    found = igd.parse_answer(response(FAULT.format(" 725 "), status), "AddPortMapping")
    assert found == igd.Fault(725, "OnlyPermanentLeasesSupported")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("<s:Fault><detail><UPnPError><errorCode>401</errorCode><errorDescription>\x01<<Inv", 401),
        ("<s:Fault><detail><u:error><errorCode>718</errorCode></u:error></detail></s:Fault>", 718),
        ("<s:Fault><detail><errorCode>501</errorCode></detail></s:Fault>", 501),
        ("<s:fault><Detail><upnperror><ERRORCODE>501</ERRORCODE></upnperror></Detail></s:fault>", 501),
        ("<Fault><Code/><Reason/><Detail><UPnPError><errorCode>714</errorCode></UPnPError></Detail>", 714),
        (FAULT.format("-911"), -911),
    ],
)
def test_faults_that_are_not_as_they_should_be(content: str, code: int) -> None:
    found = igd.parse_answer(response(content, 500), "AddAnyPortMapping")
    assert isinstance(found, igd.Fault)
    assert (found.code, found.from_http) == (code, False)


def test_results_that_are_not_as_they_should_be() -> None:
    repeated = igd.parse_answer(response('<u:AddPortMapping xmlns:u="x"/>'), "AddPortMapping")
    assert repeated == igd.Answer({})
    undeclared = '<u:DeletePortMappingResponse xmlns:u0="x"></u:DeletePortMappingResponse>'
    assert igd.parse_answer(response(undeclared), "DeletePortMapping") == igd.Answer({})
    row = "<NewInternalPort>80</NewInternalPort><NewPortMappingDescription>a & b</NewPortMappingDescription>"
    content = f"<u:GetXResponse>{row}</u:GetXResponse>"
    found = igd.parse_answer(response(content), "GetX")
    assert isinstance(found, igd.Answer)
    assert found.get("NewPortMappingDescription") == "a & b"


@pytest.mark.parametrize(
    "body", [b"", b"\r\n\0", b"<u:AddPortMappingResponse/>", b"<ENVELOPE><BODY><addportmappingresponse>"]
)
def test_success_in_other_words(body: bytes) -> None:
    found = igd.parse_answer(http.HttpResponse(200, "OK", Headers([]), body), "AddPortMapping")
    assert found == igd.Answer({})


def test_silence_is_no_answer_to_a_question() -> None:
    with pytest.raises(ProtocolError):
        igd.parse_answer(http.HttpResponse(200, "OK", Headers([]), b""), "GetStatusInfo")
    failed = igd.parse_answer(http.HttpResponse(500, "No", Headers([]), b""), "AddPortMapping")
    assert failed == igd.Fault(500, "No", from_http=True)


def test_addresses_are_written_as_everywhere_else() -> None:
    values = answered("X", NewInternalPort="04000", NewInternalClient=" 010.000.001.002 ", NewEnabled="on")
    entry = igd.read_entry(values, "udp", 5000)
    assert (entry.internal_host, entry.internal_port, entry.enabled) == ("10.0.1.2", 4000, True)
    assert igd.read_external_address(answered("X", NewExternalIPAddress="011.001.000.002")) == "11.1.0.2"


def test_a_refusal_without_xml_is_named_by_its_status() -> None:
    found = igd.parse_answer(http.HttpResponse(401, "Unauthorized", Headers([]), b"<html>"), "GetStatusInfo")
    assert found == igd.Fault(401, "Unauthorized", from_http=True)
    empty = igd.parse_answer(response("", 503, "Busy"), "GetStatusInfo")
    assert empty == igd.Fault(503, "Busy", from_http=True)


@pytest.mark.parametrize("content", ["", "<u:OtherResponse/>", FAULT.format("x")])
def test_answers_that_are_none(content: str) -> None:
    with pytest.raises(ProtocolError):
        igd.parse_answer(response(content), "GetStatusInfo")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("11.1.0.2", "11.1.0.2"),
        (" 100.64.0.2 ", "100.64.0.2"),
        ("0.0.0.0", None),
        ("0.1.2.3", None),
        ("127.0.0.1", None),
        ("", None),
        ("n/a", None),
        ("2a10::1", None),
    ],
)
def test_external_addresses(text: str, address: str | None) -> None:
    values = answered("GetExternalIPAddress", NewExternalIPAddress=text)
    assert igd.read_external_address(values) == address


def test_a_row_of_the_table() -> None:
    values = answered(
        "GetGenericPortMappingEntry",
        NewRemoteHost="",
        NewExternalPort="5000",
        NewProtocol="tcp",
        NewInternalPort="4000",
        NewInternalClient="10.0.1.2",
        NewEnabled="1",
        NewPortMappingDescription="x &lt; y",
        NewLeaseDuration="86400",
    )
    entry = igd.PortMappingEntry("tcp", 5000, "10.0.1.2", 4000, True, "x < y", 86400)
    assert igd.read_entry(values) == entry
    specific = answered(
        "GetSpecificPortMappingEntry", newinternalport="1", NewInternalClient="a", NewEnabled="No"
    )
    assert igd.read_entry(specific, "udp", 53) == igd.PortMappingEntry("udp", 53, "a", 1, False, "", None)


def test_status() -> None:
    values = answered(
        "GetStatusInfo", NewConnectionStatus="Connected", NewLastConnectionError="ERROR_NONE", NewUptime="77"
    )
    assert igd.read_status(values) == igd.Status("Connected", 77)
    assert igd.read_status(values).connected
    assert not igd.read_status(answered("GetStatusInfo", NewConnectionStatus="Disconnected")).connected


def test_the_firewall_and_its_pinholes() -> None:
    values = answered("GetFirewallStatus", FirewallEnabled="1", InboundPinholeAllowed="false")
    assert igd.read_firewall_status(values) == igd.FirewallStatus(True, False)
    assert igd.read_unique_id(answered("AddPinhole", UniqueID="65535")) == 65535
    assert igd.read_is_working(answered("CheckPinholeWorking", IsWorking="1"))


def test_results_that_make_no_sense() -> None:
    values = answered("X", NewReservedPort="70000", UniqueID="-1", NewProtocol="SCTP", NewExternalPort="1")
    for read in (
        igd.read_reserved_port,
        igd.read_unique_id,
        igd.read_entry,
        igd.read_firewall_status,
        igd.read_is_working,
    ):
        with pytest.raises(ProtocolError):
            read(values)


def test_depth_is_counted_up_and_down() -> None:
    flat = b"<a>" + b"<b><c/></b>" * 100 + b"</a>"
    assert len(xml.parse(flat)) == 100


def test_names_may_have_any_letters_leniently_too() -> None:
    document = '<?xml version="1.0" encoding="iso-8859-1"?><a><ÿþb/><ü·x>1</ü·x><Neªw/></a>'.encode("latin-1")
    for root in (xml.parse(document), xml.read_leniently(xml.decode(document))):
        assert [xml.local_name(each) for each in root] == ["ÿþb", "ü·x", "Neªw"]


def test_a_name_of_blanks_takes_no_longer_than_others() -> None:
    began = time.process_time()
    with pytest.raises(ProtocolError):
        xml.read_leniently("<" + "\u2000" * 100_000)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("said", "connected"),
    [("PendingDisconnect", True), (" CONNECTED", True), ("Down", False), ("", None), ("Verbunden", None)],
)
def test_a_status_that_says_nothing_is_not_offline(said: str, connected: bool | None) -> None:
    assert igd.read_status(answered("GetStatusInfo", NewConnectionStatus=said)).connected is connected


ROW = {
    "NewExternalPort": "5000",
    "NewInternalPort": "4000",
    "NewInternalClient": "10.0.1.2",
    "NewPortMappingDescription": "x",
}


@pytest.mark.parametrize(
    ("protocol", "transports"),
    [
        ("UDP", ["udp"]),
        ("tcp", ["tcp"]),
        ("TCP/UDP", ["udp", "tcp"]),
        ("UDP & TCP", ["udp", "tcp"]),
        ("both", ["udp", "tcp"]),
        ("SCTP", []),
    ],
)
def test_the_protocols_of_a_row(protocol: str, transports: list[str]) -> None:
    rows = igd.get_generic_entry(0).read(answered("GetGenericPortMappingEntry", NewProtocol=protocol, **ROW))
    assert [row.transport for row in rows] == transports


def test_a_row_of_both_without_a_port_is_passed_over() -> None:
    values = answered(
        "GetGenericPortMappingEntry", **{**ROW, "NewProtocol": "BOTH", "NewExternalPort": "all"}
    )
    assert igd.get_generic_entry(0).read(values) == ()


def test_a_lease_without_end() -> None:
    values = answered("GetSpecificPortMappingEntry", NewLeaseDuration="4294967295", **ROW)
    assert igd.read_entry(values, "udp", 5000).lease_s == 0
