"""What a report says of IPv6, in words."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from report_samples import home_router

from nattools.model.ipv6 import Ipv6, Ipv6Address, Ipv6Router
from nattools.model.packetform import FormPassage, FragmentsByFamily
from nattools.report.document import View
from nattools.report.sections import ipv6


def said(found: Ipv6) -> str:
    report = replace(home_router(), command="ipv6", ipv6=found)
    sections = [
        *ipv6.explained(report, View()),
        *ipv6.addresses(report, View()),
        *ipv6.figures(report, View()),
    ]
    return "\n".join(f"{each.title} {each.blocks}" for each in sections)


def test_fields_that_are_not_known_have_names_that_people_read() -> None:
    text = said(
        Ipv6(
            unknowns={
                "inbound.udp": "nobody tried",
                "fragments.inbound": "nobody tried",
                "dropped_at": "no look",
            }
        )
    )
    assert "udp, fragments in: nobody tried" in text
    assert "dropped at: no look" in text


@pytest.mark.parametrize(
    ("passage", "words", "sentence"),
    [
        (FormPassage(outbound=True, inbound=True), "pass", "Fragments pass, out and in."),
        (
            FormPassage(outbound=False, inbound=False),
            "dropped, out and in",
            "Fragments are dropped, out and in.",
        ),
        (FormPassage(outbound=True, inbound=False), "out, but not in", "Fragments pass out, but not in."),
        (FormPassage(outbound=None, inbound=False), "not in; out not known", "Fragments do not pass in;"),
        (FormPassage(), "not known", ""),
    ],
)
def test_what_passes_in_words(passage: FormPassage, words: str, sentence: str) -> None:
    text = said(Ipv6(works=True, fragments=FragmentsByFamily(ipv6=passage)))
    assert words in text
    assert sentence in text


def test_an_address_and_a_router_that_are_of_no_use_are_marked() -> None:
    text = said(
        Ipv6(
            addresses=(
                Ipv6Address(address="2a10:1::2", interface="eth0", kind="stable", answered=False),
                Ipv6Address(
                    address="2a10:2::2", interface="eth0", kind="stable", duplicate=True, tentative=True
                ),
            ),
            routers=(Ipv6Router(address="fe80::1", interface="eth0", source="ra", silent=True),),
        )
    )
    assert "stable, gets no answer" in text
    assert "stable, another machine has it" in text
    assert "not settled" not in text
    assert "it announces itself; it does not answer." in text
