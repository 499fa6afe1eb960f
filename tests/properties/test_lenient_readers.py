"""Documents as routers send them, changed at random: the readers give a value or ProtocolError, in bounded
time and memory, and what the strict reader of XML accepts the lenient one reads alike.

NATTOOLS_FUZZ_DOCUMENTS says how many; `make fuzz` takes a million."""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import resource
import time
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable
from xml.etree.ElementTree import Element, ParseError

import pytest
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from nattools.errors import ProtocolError
from nattools.lab.routers.igddevice import IgdDevice
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.protocols import http, igd, ssdp
from nattools.protocols.headers import Headers
from nattools.protocols.igd import xml
from nattools.protocols.routerurls import LanUrl, LocalNetwork

DOCUMENTS = int(os.environ.get("NATTOOLS_FUZZ_DOCUMENTS", "4000"))
LONGEST_S = 0.5
"""Of processor time for one document. A quarter of a megabyte takes a tenth of it."""
MOST_KB = 65_536
"""So much more memory than before."""

HOME = LocalNetwork(gateways=frozenset(("10.0.1.1",)), own=frozenset(("10.0.1.2",)))
LOCATION = LanUrl("10.0.1.1", 5000, "/root.xml")
DEVICE = IgdDevice(RouterBehaviour(url_base="http://10.0.1.1:5000/", services=("WANIPConnection:2",) * 3))
DECLARED = '<?xml version="1.0" encoding="iso-8859-1"?>'
SOAP = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>'
ROW = (
    '<u:GetGenericPortMappingEntryResponse xmlns:u="urn:x"><NewRemoteHost/>'
    "<NewExternalPort>5000</NewExternalPort><NewProtocol>UDP</NewProtocol>"
    "<NewInternalPort>4000</NewInternalPort><NewInternalClient>10.0.1.2</NewInternalClient>"
    "<NewEnabled>1</NewEnabled><NewPortMappingDescription>a &amp; b<!-- c --><![CDATA[<d>]]>&#233;&#x20AC;"
    "</NewPortMappingDescription><NewLeaseDuration>60</NewLeaseDuration>"
    "</u:GetGenericPortMappingEntryResponse>"
)
FAULT = (
    "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>"
    '<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>725</errorCode>'
    "<errorDescription a=\"&gt;\" b='>'>Only</errorDescription></UPnPError></detail></s:Fault>"
)
WELL_FORMED = (
    DEVICE.get("/rootDesc.xml").body,
    SOAP.format(ROW).encode(),
    ('<?xml version="1.0"?>' + SOAP.format(FAULT)).encode(),
    (DECLARED + SOAP.format(ROW).replace("a &", "\xe4 &")).encode("latin-1"),
    SOAP.format(ROW).encode("utf-16"),
)
FRAGMENTS = (
    *(b"<", b">", b"/>", b"</", b"&", b"&amp;", b"&#1;", b"&#x110000;", b"<!--", b"-->", b"<![CDATA["),
    *(b"]]>", b"<?", b"?>", b"\0", b"\xff\xfe", b"\xf0_\xf0", b"'", b'"', b"=", b"\r\n", b"<info>"),
    *(b"</s:Body>", b"</root>", b" xmlns:u0='x'", b"u:", b"<!DOCTYPE r>", b"<!ENTITY a 'b'>"),
    *(b" encoding='utf-16'", b" encoding='gb2312'", b"<!DOCTYPE r [", b"]>"),
)


def mutated(original: bytes, chance: random.Random) -> bytes:
    """A few changes: bytes set, put in, taken out or repeated, fragments put in, the end cut off."""
    data = bytearray(original)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3, 5, 9))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(7):
            case 0:
                data[at : at + 1] = bytes((chance.randrange(256),))
            case 1 | 2:
                data[at:at] = chance.choice(FRAGMENTS)
            case 3:
                del data[at : at + chance.randrange(1, 30)]
            case 4:
                data[at:at] = data[at : at + chance.randrange(1, 200)] * chance.randrange(1, 5)
            case 5:
                del data[at:]
            case _:
                data[at:at] = chance.choice(FRAGMENTS) * chance.choice((2, 3, 5, 9, 20, 2000))
    return bytes(data[: xml.MAX_SIZE + 9])


def framed(body: bytes, chance: random.Random) -> bytes:
    """A response with that body, framed in one of the ways that routers have."""
    match chance.randrange(4):
        case 0:
            return (
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(body) + chance.randrange(-3, 4))
                + body
            )
        case 1:
            return b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
                len(body),
                body,
            )
        case 2:
            packed = gzip.compress(body, 1)
            return b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + packed
        case _:
            return b"HTTP/1.0 200 OK\r\n\r\n" + body


def read_http(data: bytes) -> None:
    reader = http.ResponseReader()
    reader.feed(data[: len(data) // 2])
    reader.feed(data[len(data) // 2 :])
    reader.close()
    if reader.response is not None:
        igd.parse_answer(reader.response, "GetGenericPortMappingEntry")


def read_answer(data: bytes) -> None:
    answer = igd.parse_answer(http.HttpResponse(200, "", Headers([]), data), "GetGenericPortMappingEntry")
    if isinstance(answer, igd.Answer):
        igd.get_generic_entry(0).read(answer)


def read_description(data: bytes) -> None:
    for service in igd.parse_description(data, LOCATION, HOME).services:
        assert all(each.control.host == "10.0.1.1" for each in service.variants)


def in_time(read: Callable[[bytes], object], data: bytes) -> None:
    began = time.process_time()
    with contextlib.suppress(ProtocolError):
        read(data)
    took_s = time.process_time() - began
    assert took_s < LONGEST_S, (took_s, read, data[:2000])


def outline(element: Element) -> object:
    """What the rest of the program sees of a tree."""
    return xml.local_name(element), xml.text_of(element), [outline(each) for each in element]


def check_alike(data: bytes) -> bool:
    """Does the strict reader accept it, and is its UTF-16 right, at which that one does not look (XML 1.0
    4.3.3)? Then the lenient one reads the same."""
    try:
        if data.startswith((BOM_UTF16_BE, BOM_UTF16_LE)):
            data.decode("utf-16")
        strict = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return False
    try:
        bounded = xml.parse(data)
    except ProtocolError:
        return False  # too deep or too large
    assert outline(strict) == outline(bounded)
    assert outline(xml.read_leniently(xml.decode(data))) == outline(strict), data
    return True


def test_any_document_is_read_in_bounded_time_and_memory_and_never_otherwise_than_strictly() -> None:
    chance = random.Random(20)
    answer = ssdp.encode_response(ssdp.IGD1, f"uuid:1::{ssdp.IGD1}", "http://10.0.1.1:5000/root.xml")
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    strict = 0
    for _ in range(DOCUMENTS):
        document = mutated(chance.choice(WELL_FORMED), chance)
        strict += check_alike(document)
        in_time(chance.choice((read_description, read_answer)), document)
        in_time(read_http, mutated(framed(document, chance), chance))
        in_time(ssdp.decode, mutated(answer, chance))
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert grown_kb < MOST_KB
    assert strict > DOCUMENTS // 10, "so many of them were well-formed still"


def test_the_well_formed_corpus_is_read_strictly_and_leniently_alike() -> None:
    assert all(map(check_alike, WELL_FORMED))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("half", [0xD83D, 0xDE00])
def test_half_a_surrogate_pair_takes_nothing_with_it(half: int, encoding: str) -> None:
    """expat makes one character of it and of the one behind it."""
    text = f"<a><b>x{chr(half)}z</b><c>y</c></a>"
    root = xml.parse(f"\ufeff{text}".encode(encoding, "surrogatepass"))
    assert [(xml.local_name(each), xml.text_of(each)) for each in root] == [("b", "x\ufffdz"), ("c", "y")]
