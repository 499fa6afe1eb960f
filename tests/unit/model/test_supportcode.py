"""The support code says all answers, and notices what was read out wrongly."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from nattools.model.droppedat import DroppedAt
from nattools.model.ipv6 import (
    PROBLEMS,
    Inbound,
    InboundByTransport,
    Ipv6,
    Nat64Use,
    PathMtu,
    PathMtuByFamily,
    PinholeTrial,
    ReachableByTransport,
    Translation,
    explained,
)
from nattools.model.packetform import FormPassage, FragmentsByFamily
from nattools.model.supportcode import read_support_code, support_code

TRUTHS = st.sampled_from([None, False, True])
PASSAGES = st.none() | st.builds(FormPassage, outbound=TRUTHS, inbound=TRUTHS)


def one_of(kind: object) -> st.SearchStrategy[str]:
    return st.sampled_from(get_args(kind))


@st.composite
def answers(draw: st.DrawFn) -> Ipv6:
    hole, nat64, pinhole = draw(TRUTHS), draw(st.none() | TRUTHS), draw(TRUTHS)
    found = Ipv6(
        capable=draw(TRUTHS),
        works=draw(TRUTHS),
        inbound=InboundByTransport(udp=draw(one_of(Inbound)), tcp=draw(one_of(Inbound))),
        reachable=ReachableByTransport(icmp=draw(TRUTHS)),
        dropped_at=draw(st.none() | one_of(DroppedAt)),
        punched=draw(TRUTHS),
        translation=draw(one_of(Translation)),
        nat64=draw(st.none() | st.just(Nat64Use(works=nat64))),
        pinhole=draw(
            st.none()
            | st.just(PinholeTrial(protocol="pcp", verified_inbound=pinhole))
            | st.just(PinholeTrial(protocol="pcp", verified_inbound=False, dropped_at="host"))
        ),
        preferred=draw(st.sampled_from([None, 4, 6])),
        path_mtu=PathMtuByFamily(ipv6=draw(st.none() | st.just(PathMtu(black_hole=hole)))),
        fragments=FragmentsByFamily(ipv6=draw(PASSAGES)),
        extension_headers=draw(PASSAGES),
    )
    codes = draw(st.sets(st.sampled_from(PROBLEMS)))
    return replace(found, problems=tuple(explained(code, found) for code in PROBLEMS if code in codes))


def passes(passage: FormPassage | None) -> tuple[bool | None, bool | None]:
    return (None, None) if passage is None else (passage.outbound, passage.inbound)


@given(answers())
def test_what_was_read_says_what_was_measured(found: Ipv6) -> None:
    code = support_code(found)
    again = read_support_code(code)
    assert again.code == code == support_code(again)
    assert (again.capable, again.works, again.dropped_at) == (found.capable, found.works, found.dropped_at)
    assert again.inbound == found.inbound
    assert again.reachable.icmp == found.reachable.icmp
    assert again.problems == found.problems
    assert (again.pinhole and again.pinhole.outcome) == (found.pinhole and found.pinhole.outcome)
    assert passes(again.fragments.ipv6) == passes(found.fragments.ipv6)
    assert passes(again.extension_headers) == passes(found.extension_headers)
    assert (again.translation, again.punched, again.preferred) == (
        found.translation,
        found.punched,
        found.preferred,
    )


@given(answers(), st.integers(0, 12), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_a_wrong_character_is_noticed(found: Ipv6, place: int, other: str) -> None:
    plain = support_code(found).replace("-", "")
    wrong = plain[:place] + other + plain[place + 1 :]
    if wrong == plain:
        return
    with pytest.raises(ValueError, match=r"wrong|later|no nattools|10 letters"):
        read_support_code(wrong)


@given(answers(), st.integers(1, 11))
def test_two_that_changed_places_are_noticed(found: Ipv6, place: int) -> None:
    plain = support_code(found).replace("-", "")
    wrong = plain[:place] + plain[place + 1] + plain[place] + plain[place + 2 :]
    if wrong != plain:
        with pytest.raises(ValueError, match=r"wrong|no nattools"):
            read_support_code(wrong)


@given(st.text(max_size=30))
def test_any_text_is_a_code_or_a_value_error(text: str) -> None:
    try:
        found = read_support_code(text)
    except ValueError:
        return
    assert read_support_code(found.code) == found


def test_letters_that_look_alike_are_read_alike() -> None:
    code = support_code(Ipv6(capable=True))
    spoken = code.lower().replace("0", "o").replace("1", "l").replace("-", " ")
    assert read_support_code(spoken).capable is True


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "13 letters"),
        ("153", "10 letters"),
        ("253", "13 letters"),
        ("1UUUUUUUUU", "no U"),
        ("953A6R010S000", "later nattools"),
    ],
)
def test_what_is_no_code_is_told(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_support_code(text)


def test_a_code_of_the_first_version_is_still_read() -> None:
    found = read_support_code("153-A6S0-102")
    assert (found.capable, found.works, found.dropped_at) == (True, True, "router")
    assert (found.inbound.udp, found.inbound.tcp, found.punched) == ("filtered", "filtered", True)
    assert [each.code for each in found.problems] == ["filtered"]
    assert (found.fragments.ipv6, found.extension_headers) == (None, None)
    assert read_support_code(found.code) == found
