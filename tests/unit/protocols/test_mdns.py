"""Multicast DNS: what is sent, what is read, and what is refused. scapy is the second opinion."""

from __future__ import annotations

import pytest

from nattools.errors import ProtocolError
from nattools.protocols import mdns
from nattools.protocols.mdns import DnsQuestion, DnsRecord

RECORDS = (
    DnsRecord("_http._tcp.local", mdns.PTR, 120, "box._http._tcp.local"),
    DnsRecord("box._http._tcp.local", mdns.SRV, 120, "box.local:8000"),
    DnsRecord("box._http._tcp.local", mdns.TXT, 120, "path=/ a=b"),
    DnsRecord("box.local", mdns.A, 120, "10.0.0.7"),
    DnsRecord("box.local", mdns.AAAA, 120, "fe80::7"),
)


def test_what_is_encoded_is_read_again() -> None:
    questions = (DnsQuestion(mdns.ANY_SERVICE, mdns.PTR), DnsQuestion("box.local", mdns.A, True))
    assert mdns.decode(mdns.encode_query(questions)) == mdns.DnsMessage(False, questions)
    assert mdns.decode(mdns.encode_response(RECORDS)) == mdns.DnsMessage(True, (), RECORDS)


def test_scapy_reads_the_same() -> None:
    from scapy.layers.dns import DNS

    query = DNS(mdns.encode_query([DnsQuestion("_http._tcp.local", mdns.PTR, True)]))
    assert (query.id, query.qr, query.qd[0].qname, query.qd[0].qtype) == (
        0,
        0,
        b"_http._tcp.local.",
        mdns.PTR,
    )
    answer = DNS(mdns.encode_response(RECORDS))
    assert [each.type for each in answer.an] == [record.kind for record in RECORDS]
    assert answer.an[3].rdata == "10.0.0.7"


def test_compressed_names_are_read() -> None:
    from scapy.layers.dns import DNS, DNSRR, dns_compress

    whole = DNS(qr=1, aa=1, qd=[], an=[DNSRR(rrname="a.b.local", type="PTR", rdata="x.a.b.local", ttl=5)])
    (record,) = mdns.decode(bytes(dns_compress(whole))).records
    assert record == DnsRecord("a.b.local", mdns.PTR, 5, "x.a.b.local")


HEAD = bytes.fromhex("000084000000000100000000")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "0 bytes"),
        (bytes(9001), "9001 bytes"),
        (bytes.fromhex("000028000000000000000000"), "not a query"),
        (bytes.fromhex("0000840000ff00ff00000000"), "more than 200"),
        (HEAD, "ends too soon"),
        (HEAD + b"\xc0\x0c", "in a circle"),
        (HEAD + b"\xc0", "ends too soon"),
        (HEAD + b"\x80", "unknown kind"),
        (HEAD + b"\x3fabc", "too long"),
        (HEAD + b"\0" + bytes.fromhex("000c00010000000000ff"), "ends too soon"),
        (HEAD + (b"\x3f" + b"a" * 63) * 5, "too long"),
    ],
)
def test_what_is_no_message_is_named(data: bytes, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        mdns.decode(data)


@pytest.mark.parametrize("name", ["", "a..b", "a" * 64, ".".join(["a" * 60] * 5)])
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    with pytest.raises(ValueError):
        mdns.encode_query([DnsQuestion(name, mdns.PTR)])


def test_a_dot_within_a_label_does_not_make_two_of_it() -> None:
    data = HEAD + b"\x03a.b\x05local\0" + bytes.fromhex("00010001000000050004") + bytes(4)
    assert mdns.decode(data).records[0].name == "a\u2024b.local"
