"""TXT records asked of a name server. scapy is the second opinion."""

from __future__ import annotations

import pytest

from nattools.errors import ProtocolError
from nattools.protocols.dnstexts import TextsAnswer, decode_answer, encode_question

NAME, NUMBER = "_dnsaddr.peers.example", 0x1234


def answer(*records: object, **fields: object) -> bytes:
    from scapy.layers.dns import DNS, DNSQR

    options = {"id": NUMBER, "qr": 1, "rd": 1, "ra": 1, "qd": [DNSQR(qname=NAME, qtype="TXT")]} | fields
    return bytes(DNS(an=list(records), **options))


def txt(*strings: str, name: str = NAME) -> object:
    from scapy.layers.dns import DNSRR

    return DNSRR(rrname=name, type="TXT", rdata=list(strings), ttl=60)


def alias(name: str, to: str) -> object:
    from scapy.layers.dns import DNSRR

    return DNSRR(rrname=name, type="CNAME", rdata=to, ttl=60)


def test_scapy_reads_the_question() -> None:
    from scapy.layers.dns import DNS

    asked = DNS(encode_question(NAME, NUMBER))
    assert (asked.id, asked.qr, asked.rd, asked.qd[0].qname, asked.qd[0].qtype) == (
        NUMBER,
        0,
        1,
        f"{NAME}.".encode(),
        16,
    )
    assert (asked.ar[0].type, asked.ar[0].rclass) == (41, 1232)


def test_the_strings_of_a_record_are_one_text() -> None:
    data = answer(txt("dnsaddr=/ip4/", "192.0.2.1"), txt("v=spf1 -all"))
    assert decode_answer(data, NAME, NUMBER) == TextsAnswer(("dnsaddr=/ip4/192.0.2.1", "v=spf1 -all"))


def test_another_name_for_it_is_followed_and_no_other_name_is() -> None:
    data = answer(
        alias(NAME, "real.example"), txt("one", name="real.example"), txt("two", name="evil.example")
    )
    assert decode_answer(data, NAME, NUMBER).texts == ("one",)


def test_what_a_server_says_instead() -> None:
    assert decode_answer(answer(rcode=3), NAME, NUMBER) == TextsAnswer(code="NXDOMAIN")
    assert decode_answer(answer(rcode=2), NAME, NUMBER) == TextsAnswer(code="SERVFAIL")
    assert decode_answer(answer(tc=1), NAME, NUMBER) == TextsAnswer(truncated=True)
    assert decode_answer(answer(), NAME, NUMBER) == TextsAnswer()


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (answer(txt("one")), NUMBER + 1),
        (answer(txt("one"), qr=0), NUMBER),
        (answer(txt("one"), qd=[]), NUMBER),
        (answer(txt("one"))[:-2], NUMBER),
        (b"", NUMBER),
        (bytes(20_000), NUMBER),
    ],
)
def test_what_does_not_answer_is_refused(data: bytes, number: int) -> None:
    with pytest.raises(ProtocolError):
        decode_answer(data, NAME, number)


def test_an_answer_about_another_name_is_refused() -> None:
    with pytest.raises(ProtocolError, match="another question"):
        decode_answer(answer(txt("one")), "_dnsaddr.other.example", NUMBER)
