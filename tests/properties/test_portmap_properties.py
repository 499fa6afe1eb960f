"""For any bytes: a value or ProtocolError. What was encoded is decoded to the same. No bound is exceeded."""

from __future__ import annotations

import contextlib
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import http, igd, natpmp, pcp, ssdp
from nattools.protocols.headers import Headers
from nattools.protocols.pcp import Option
from nattools.protocols.retransmission import EpochClock
from nattools.protocols.routerurls import LanUrl, LocalNetwork, locate_url, resolve_url
from nattools.wording.refusals import upnp_refusal

SERVER = Endpoint("10.0.1.1", 5351)
HOME = LocalNetwork(gateways=frozenset(("10.0.1.1",)), own=frozenset(("10.0.1.2", "2a10:1:0:1::2")))
LOCATION = LanUrl("10.0.1.1", 5000, "/root.xml")

hosts = st.one_of(st.ip_addresses(v=4).map(str), st.just("2a10:1:0:1::2"), st.just("::"))
ports = st.integers(0, 0xFFFF)
endpoints = st.builds(Endpoint, hosts, ports)
seconds = st.integers(0, 0xFFFFFFFF)
nonces = st.binary(min_size=12, max_size=12)
options = st.lists(st.builds(Option, st.integers(0, 255), st.binary(max_size=30)), max_size=4).map(tuple)
map_bodies = st.builds(pcp.MapBody, nonces, st.integers(0, 255), ports, endpoints)


@st.composite
def pcp_requests(draw: st.DrawFn) -> pcp.RequestMessage:
    opcode = draw(st.sampled_from([pcp.ANNOUNCE, pcp.MAP]))
    body = draw(map_bodies if opcode == pcp.MAP else st.none())
    return pcp.RequestMessage(opcode, draw(seconds), draw(hosts), body, draw(options))


@st.composite
def pcp_responses(draw: st.DrawFn) -> pcp.ResponseMessage:
    asked = draw(pcp_requests())
    result = draw(st.integers(0, 20))
    return pcp.ResponseMessage(
        2, asked.opcode, result, draw(seconds), draw(seconds), asked.body, asked.options
    )


map_requests = st.builds(natpmp.MapRequest, st.sampled_from(["udp", "tcp"]), ports, ports, seconds)
natpmp_requests = st.one_of(st.just(natpmp.AddressRequest()), map_requests)
address_answers = st.builds(
    natpmp.NatPmpResponse, st.just(0), st.integers(0, 9), seconds, st.ip_addresses(v=4).map(str)
)
map_answers = st.builds(
    natpmp.NatPmpResponse,
    st.sampled_from([1, 2]),
    st.integers(0, 9),
    seconds,
    st.none(),
    ports,
    ports,
    seconds,
)
natpmp_responses = st.one_of(address_answers, map_answers)

ANSWER = ssdp.encode_response(ssdp.IGD1, f"uuid:1::{ssdp.IGD1}", "http://10.0.1.1:5000/root.xml")
DESCRIPTION = (
    b'<?xml version="1.0"?><root><URLBase>http://10.0.1.1:5000</URLBase><device>'
    b"<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><serviceList><service>"
    b"<serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>/c</controlURL>"
    b"</service></serviceList></device></root>"
)
RESULT = (
    b'<?xml version="1.0"?><Envelope><Body><GetGenericPortMappingEntryResponse>'
    b"<NewExternalPort>5000</NewExternalPort><NewProtocol>UDP</NewProtocol><NewInternalPort>1</NewInternalPort>"
    b"<NewEnabled>1</NewEnabled></GetGenericPortMappingEntryResponse></Body></Envelope>"
)
FAULT = (
    b"<Envelope><Body><Fault><detail><UPnPError><errorCode>725</errorCode></UPnPError></detail></Fault></Body>"
    b"</Envelope>"
)
RESPONSE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@st.composite
def changed(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """One of the originals with a few bytes changed, put in, repeated or taken out."""
    data = bytearray(draw(originals))
    for _ in range(draw(st.integers(0, 4))):
        position = draw(st.integers(0, max(0, len(data) - 1)))
        change = draw(st.sampled_from(["set", "insert", "delete", "repeat"]))
        if change == "set" and data:
            data[position] = draw(st.integers(0, 255))
        elif change == "insert":
            data[position:position] = draw(st.binary(max_size=6))
        elif change == "repeat":
            data[position:position] = data[position : position + draw(st.integers(1, 60))]
        else:
            del data[position : position + draw(st.integers(1, 8))]
    return bytes(data)


def texts(*originals: bytes) -> st.SearchStrategy[bytes]:
    """Arbitrary bytes, and changed originals."""
    return st.one_of(st.binary(max_size=300), changed(st.sampled_from(originals)))


# --- PCP


@given(pcp_requests())
def test_pcp_requests_round_trip(request: pcp.RequestMessage) -> None:
    assert pcp.decode_request(pcp.encode_request(request)) == request


@given(pcp_responses())
def test_pcp_responses_round_trip(response: pcp.ResponseMessage) -> None:
    assert pcp.decode_response(pcp.encode_response(response)) == response


@given(st.one_of(st.binary(max_size=1200), changed(pcp_responses().map(pcp.encode_response))))
def test_pcp_responses_of_any_bytes(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        pcp.decode_response(data)


@given(st.one_of(st.binary(max_size=1200), changed(pcp_requests().map(pcp.encode_request))))
def test_pcp_requests_of_any_bytes(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        pcp.decode_request(data)


@given(
    pcp_requests(),
    st.lists(st.one_of(st.binary(max_size=90), pcp_responses().map(pcp.encode_response)), max_size=5),
)
@settings(max_examples=50)
def test_a_pcp_transaction_survives_whatever_arrives(
    request: pcp.RequestMessage, arriving: list[bytes]
) -> None:
    """It ends in time, and only an answer with the nonce or the server's own version ends it before."""
    asking = pcp.PcpTransaction(request, SERVER)
    asking.datagrams_to_send(0.0)
    for data in arriving:
        if asking.receive_datagram(data, SERVER, 0.1) and asking.response is not None:
            told = asking.response.body
            assert told is None or request.body is None or told.nonce == request.body.nonce
    now, steps = 0.1, 0
    while asking.state == "running":
        asking.datagrams_to_send(now)
        now = asking.next_timeout() or now
        asking.handle_timeout(now)
        steps += 1
        assert steps < 20


@given(st.lists(st.tuples(seconds, st.floats(0, 1e6)), max_size=8))
def test_epochs_of_any_kind(steps: list[tuple[int, float]]) -> None:
    """A clock that runs as ours does is always valid, whatever came before."""
    ours, theirs, now = EpochClock(drift=1 / 16, both_ways=True), EpochClock(), 0.0
    for epoch_s, passed_s in steps:
        now += passed_s
        ours.update(epoch_s, now)
        theirs.update(epoch_s, now)
    last = steps[-1][0] if steps else 5
    ours.update(last, now)
    theirs.update(last, now)
    assert ours.update(last + 1000, now + 1000)
    assert theirs.update(last + 1000, now + 1000)


# --- NAT-PMP


@given(natpmp_requests)
def test_natpmp_requests_round_trip(request: natpmp.Request) -> None:
    assert natpmp.decode_request(natpmp.encode_request(request)) == request


@given(natpmp_responses)
def test_natpmp_responses_round_trip(response: natpmp.NatPmpResponse) -> None:
    assert natpmp.decode_response(natpmp.encode_response(response)) == response


@given(st.one_of(st.binary(max_size=40), changed(natpmp_responses.map(natpmp.encode_response))))
def test_natpmp_of_any_bytes(data: bytes) -> None:
    for decode in (natpmp.decode_request, natpmp.decode_response):
        with contextlib.suppress(ProtocolError):
            decode(data)
    asking = natpmp.NatPmpTransaction(natpmp.AddressRequest(), SERVER)
    asking.datagrams_to_send(0.0)
    asking.receive_datagram(data, SERVER, 0.1)


# --- SSDP, URLs, HTTP


@given(texts(ANSWER, ssdp.search()))
def test_ssdp_of_any_bytes(data: bytes) -> None:
    for decode in (ssdp.decode, ssdp.decode_search):
        with contextlib.suppress(ProtocolError):
            decode(data)
    device = ssdp.Finder(HOME).receive_datagram(data, Endpoint("10.0.1.1", 1900))
    assert device is None or device.url is None or device.url.host == "10.0.1.1"


urls = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="htp:/@[]%.0127fe8abx?#", max_size=40).map(lambda rest: f"http://{rest}"),
    st.builds("http://{}:{}/{}".format, st.ip_addresses(v=4), st.integers(0, 99999), st.text(max_size=9)),
    st.builds("http://[{}]{}".format, st.ip_addresses(v=6), st.text(max_size=9)),
)


@given(urls, st.sampled_from(["10.0.1.1", "10.0.1.9"]))
def test_a_url_leads_to_who_named_it_or_to_the_gateway(text: str, source: str) -> None:
    base = LanUrl(source, 5000, "/root.xml")
    for parse in (lambda: locate_url(text, HOME, source), lambda: resolve_url(base, text, HOME)):
        with contextlib.suppress(ProtocolError):
            url, _ = parse()
            assert url.host in (source, "10.0.1.1")
            assert 1 <= url.port <= 65535
            http.encode_request("GET", url.target, url.authority)


@given(texts(RESPONSE, LENGTH), st.lists(st.integers(0, 300), max_size=6))
def test_http_of_any_bytes_however_cut(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    found = [_read(data, [0, len(data)]), _read(data, edges)]
    assert found[0] == found[1]
    assert found[0] is None or len(found[0]) <= 1000


def _read(data: bytes, edges: list[int]) -> bytes | None:
    reader = http.ResponseReader(max_body=1000)
    with contextlib.suppress(ProtocolError):
        for start, end in itertools.pairwise(edges):
            reader.feed(data[start:end])
        reader.close()
    return reader.response.body if reader.response else None


# --- IGD


@given(texts(DESCRIPTION))
def test_descriptions_of_any_bytes(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        found = igd.parse_description(data, LOCATION, HOME)
        assert all(HOME.allows(service.control.host) for service in found.services)


READERS = (
    igd.read_entry,
    igd.read_external_address,
    igd.read_firewall_status,
    igd.read_is_working,
    igd.read_reserved_port,
    igd.read_status,
    igd.read_unique_id,
)


@given(texts(RESULT, FAULT), st.sampled_from([200, 500, 404]))
def test_answers_of_any_bytes(data: bytes, status: int) -> None:
    with contextlib.suppress(ProtocolError):
        answer = igd.parse_answer(
            http.HttpResponse(status, "", Headers([]), data), "GetGenericPortMappingEntry"
        )
        if isinstance(answer, igd.Fault):
            upnp_refusal(answer.code, description=answer.description, from_http=answer.from_http)
            return
        for read in READERS:
            with contextlib.suppress(ProtocolError):
                read(answer)


@given(st.text(max_size=100), st.text(max_size=30))
def test_no_text_breaks_out_of_a_call(description: str, host: str) -> None:
    """What is written as an argument is read back as one."""
    service = igd.parse_description(DESCRIPTION, LOCATION, HOME).connections[0]
    call = igd.add_port_mapping(
        transport="udp",
        external_port=1,
        internal_host=host,
        internal_port=1,
        description=description,
        lease_s=0,
    )
    body = igd.encode_call(service, call).partition(b"\r\n\r\n")[2]
    as_result = body.replace(b"AddPortMapping", b"AddPortMappingResponse")
    answer = igd.parse_answer(http.HttpResponse(200, "", Headers([]), as_result), "AddPortMapping")
    assert isinstance(answer, igd.Answer)
    printable = "".join(each if each.isprintable() else " " for each in description[:80]).strip()
    if "AddPortMapping" not in description:
        assert answer.get("NewPortMappingDescription") == printable
