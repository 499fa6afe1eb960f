"""Comparisons of reports made by hand: what counts, what is noise, and how it is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import inspect
from msgspec.structs import replace
from report_samples import home_router

from nattools.model.ending import Ending, EndingStep
from nattools.model.lan import Lan, LanReadiness
from nattools.model.nat import Nat, NatByTransport
from nattools.model.observation import Binding
from nattools.model.report import Advice, Report
from nattools.model.statement import statement
from nattools.model.tailscale import Tailscale
from nattools.report.comparison import compare, comparison_json, comparison_page
from nattools.report.redaction import Redaction, redacted
from nattools.report.terminal import plain_text
from nattools.wording import comparedfields, sentence

FILES = ("a.json", "b.json")


def with_nat(**values: Any) -> Report:
    report = home_router()
    assert report.nat.udp4 is not None
    return replace(report, nat=replace(report.nat, udp4=replace(report.nat.udp4, **values)))


def asked(number: int, *, lost: int, rtt_s: float) -> Report:
    """A report of so many answered questions, `lost` of which needed a second packet."""
    seen = tuple(
        Binding(
            id=each,
            purpose="mapping",
            transport="udp",
            family=4,
            local="10.0.0.2:1",
            asked="11.201.0.2:3478",
            outcome="answered",
            sent=2 if each < lost else 1,
            received=1,
            rtt_s=rtt_s + each / 1e6,
        )
        for each in range(number)
    )
    return replace(home_router(), observations=seen)


def whats(before: Report, after: Report) -> list[str]:
    return [each.what for each in compare(before, after).changes]


def test_a_report_is_the_same_as_itself() -> None:
    found = compare(home_router(), home_router())
    assert found.same
    assert found.unknown == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"external": ("11.1.0.2",)}, {"external": ("11.9.0.2",)}, ["nat.udp4.external"]),
        ({"external": ("11.1.0.2", "11.1.0.3")}, {"external": ("11.9.0.4",)}, ["nat.udp4.external"]),
        ({"external": ("11.1.0.2", "11.1.0.3")}, {"external": ("11.1.0.9",), "pooling": "arbitrary"}, []),
        ({"external": ("11.1.0.2",)}, {"external": ("11.1.0.2", "11.1.0.3")}, []),
        ({"external": ("11.1.0.2",)}, {"external": ("11.1.0.9",), "pooling": "arbitrary"}, []),
        ({"binding_lifetime_bounds_s": (28, 32)}, {"binding_lifetime_bounds_s": (30, 34)}, []),
        (
            {"binding_lifetime_bounds_s": (28, 32)},
            {"binding_lifetime_bounds_s": (300, None)},
            ["nat.udp4.binding_lifetime_s"],
        ),
        ({"mapping": "unknown"}, {"mapping": "address-dependent"}, []),
        ({"hairpinning": True}, {"hairpinning": False}, ["nat.udp4.hairpinning"]),
    ],
)  # fmt: skip
def test_of_a_nat(before: dict[str, Any], after: dict[str, Any], expected: list[str]) -> None:
    assert whats(with_nat(**before), with_nat(**after)) == expected


def ended(step: EndingStep, headline: str) -> Report:
    """A report of a time when nothing answered."""
    report = home_router()
    advice = Advice(reachable="offline", headline=headline)
    return replace(report, nat=NatByTransport(), techniques=(), advice=advice, ended=Ending(step=step))


def test_that_nothing_answers_any_more_is_the_first_thing_that_is_said() -> None:
    there, gone, portal = home_router(), ended("link", "No link."), ended("portal", "A portal.")
    assert compare(gone, ended("link", "No link.")).same
    for before, after, expected, better in (
        (there, gone, "Nothing outside answers any more. No link.", False),
        (gone, there, "Servers outside answer again. Before: No link.", True),
        (gone, portal, "Nothing outside answers, for another reason. Before: No link. Now: A portal.", None),
    ):
        found = compare(before, after)
        assert sentence(found.meaning) == expected
        assert (found.changes[0].what, found.changes[0].better) == ("ended", better)


def test_a_command_that_asks_nobody_outside_proves_nothing_of_it() -> None:
    gone = ended("answer", "No server answered.")
    lan = replace(home_router(), command="lan", servers=(), nat=NatByTransport(), techniques=())
    for before, after in ((gone, lan), (lan, gone)):
        assert all(each.what != "ended" for each in compare(before, after).changes)


def test_a_glance_at_the_local_network_proves_nothing_and_takes_nothing_back() -> None:
    report = replace(home_router(), command="lan", lan=Lan(unicast=True, proven=True))
    glance = replace(report, command="diagnose", lan=Lan(unicast=True, proven=False))
    assert compare(report, glance).same
    assert not compare(report, replace(glance, command="lan")).same


def test_what_one_of_them_does_not_know_is_said_and_is_no_change() -> None:
    found = compare(with_nat(hairpinning=None), with_nat(hairpinning=False))
    assert found.same
    assert [each.code for each in found.unknown] == ["diff-known-now"]
    found = compare(with_nat(hairpinning=False), with_nat(hairpinning=None))
    assert [each.code for each in found.unknown] == ["diff-unknown-now"]


def test_loss_counts_when_chance_would_not_do_it() -> None:
    few, many = asked(100, lost=2, rtt_s=0.02), asked(100, lost=30, rtt_s=0.02)
    assert whats(few, many) == ["nat.udp4.loss"]
    assert whats(few, asked(100, lost=6, rtt_s=0.02)) == []
    assert compare(many, few).meaning.code == "diff-faster"


def test_round_trips_count_when_they_hardly_overlap() -> None:
    assert whats(asked(20, lost=0, rtt_s=0.02), asked(20, lost=0, rtt_s=0.08)) == ["nat.udp4.rtt_ms"]
    assert whats(asked(20, lost=0, rtt_s=0.02), asked(20, lost=0, rtt_s=0.03)) == []


def test_warnings_that_come_and_go() -> None:
    warned = replace(home_router(), notices=(statement("through-nat64"),))
    calm = replace(home_router(), notices=())
    assert [each.says.code for each in compare(calm, warned).changes] == ["diff-warned"]
    assert [each.says.code for each in compare(warned, calm).changes] == ["diff-warned-no-more"]
    codes = ("through-nat64", "through-vpn", "loss", "portal", "no-dns", "slow")
    several = replace(calm, notices=tuple(map(statement, codes)))
    assert [each.what for each in compare(calm, several).changes] == list(codes), "in the report's order"
    passing = replace(home_router(), notices=(statement("time-over"),))
    assert compare(calm, passing).same


def test_two_commands_are_the_same_only_in_what_both_measure() -> None:
    found = compare(home_router(), replace(home_router(), command="nat"))
    assert found.same
    assert found.meaning.code == "diff-same-in-common"
    assert compare(home_router(), home_router()).meaning.code == "diff-same"


def test_nothing_that_a_report_holds_reaches_the_terminal_as_it_is() -> None:
    evil = with_nat(external=("\x1b[31m11.9.0.2\x07",))
    found = compare(home_router(), evil)
    text = plain_text(comparison_page(found, ("\x1b]0;", "b"), (home_router(), evil), all_of_it=True), 80)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\x1b" not in comparison_json(found, FILES)


def test_no_line_is_too_long_and_programs_get_all_of_it() -> None:
    found = compare(
        home_router(), replace(home_router(), nat=replace(home_router().nat, udp4=Nat(mapping="none")))
    )
    page = comparison_page(found, FILES, (home_router(), home_router()), all_of_it=True)
    text = plain_text(page, 60)
    assert max(map(len, text.splitlines())) <= 60
    answer = json.loads(comparison_json(found, FILES))
    assert answer["same"] is False
    assert len(answer["changes"]) == len(found.changes)
    assert {"area", "what", "before", "after", "better", "code", "text"} == set(answer["changes"][0])


def test_sections_are_compared_by_names_that_people_read() -> None:
    before = replace(home_router(), lan=Lan(multicast4=True, syncthing=LanReadiness(ready=True)))
    after = replace(home_router(), lan=Lan(multicast4=False, syncthing=LanReadiness(ready=False)))
    found = compare(before, after).changes
    assert [each.what for each in found] == ["lan.multicast4", "lan.syncthing.ready"]
    assert [sentence(each.says) for each in found] == [
        "Local network, multicast over IPv4 arrives: yes before, no now.",
        "Local network, ready for Syncthing: yes before, no now.",
    ]


def test_what_tailscale_does_follows_from_the_nat_and_is_not_compared_again() -> None:
    one, other = (Tailscale(direct_with={"symmetric block": way}) for way in ("direct", "relay"))
    assert compare(replace(home_router(), tailscale=one), replace(home_router(), tailscale=other)).same


def test_a_field_without_a_name_is_called_by_its_own_in_words() -> None:
    assert comparedfields.name("tailscale.some_way.symmetric block") == "Tailscale, some way, symmetric block"
    assert comparedfields.name("lan") == "Local network"


def test_every_field_that_may_be_compared_has_a_name() -> None:
    whole = inspect.type_info(Report)
    assert isinstance(whole, inspect.StructType)
    sections = {each.name: each.type for each in whole.fields if each.name in comparedfields.SECTIONS}
    assert set(sections) == set(comparedfields.SECTIONS)
    paths = {path for name, each in sections.items() for path in closed_sets(each, name)}
    assert paths == set(comparedfields.FIELDS)


def closed_sets(kind: inspect.Type, path: str) -> Iterator[str]:
    """The paths of all fields that say yes or no, or a word of a closed set."""
    match kind:
        case inspect.StructType(fields=fields):
            for each in fields:
                yield from closed_sets(each.type, f"{path}.{each.encode_name}")
        case inspect.UnionType(types=types):
            for one in types:
                yield from closed_sets(one, path)
        case inspect.BoolType():
            yield path
        case inspect.LiteralType(values=values) if any(isinstance(each, str) for each in values):
            yield path


def test_pseudonyms_are_not_taken_for_another_network() -> None:
    plain = home_router()
    with_salt = redacted(plain, Redaction("salt"))
    assert plain.redacted is None
    for one, other in ((plain, with_salt), (with_salt, plain), (redacted(plain, Redaction()),) * 2):
        found = compare(one, other)
        assert found.same
        assert [each.code for each in found.limits] == ["diff-redacted"]
        assert "pseudonyms" in plain_text(comparison_page(found, FILES, (one, other), all_of_it=False), 80)
        assert "pseudonyms" in json.loads(comparison_json(found, FILES))["limits"][0]


def test_pseudonyms_with_one_salt_agree_and_are_compared() -> None:
    moved = with_nat(external=("11.7.0.9",))
    one, other = (redacted(each, Redaction("salt")) for each in (home_router(), moved))
    found = compare(one, other)
    assert found.limits == ()
    assert "nat.udp4.external" in [each.what for each in found.changes]
    far = redacted(moved, Redaction("other"))
    assert whats(one, far) == []
    assert redacted(one, Redaction("salt", ports=True)).redacted != one.redacted
    assert redacted(one, Redaction()).redacted == ""


def test_pseudonyms_of_pseudonyms_agree_only_where_those_did() -> None:
    plain, salted = home_router(), Redaction("salt")
    direct = redacted(plain, salted)
    for first, known in ((Redaction(), False), (Redaction("other"), True)):
        twice = redacted(redacted(plain, first), salted)
        assert [each.code for each in compare(direct, twice).limits] == ["diff-redacted"]
        assert compare(direct, twice).same
        again = redacted(redacted(plain, first), salted)
        assert (compare(twice, again).limits == ()) is known
        assert compare(twice, again).same
