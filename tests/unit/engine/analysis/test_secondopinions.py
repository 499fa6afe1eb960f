"""A second opinion is held against our own finding, and a disagreement explained where the cause is known."""

from __future__ import annotations

import pytest

from nattools.engine.analysis.secondopinions import cross_checks
from nattools.engine.analysis.verdicts.portmappings import RouterEvidence
from nattools.model.nat import Classic, Nat
from nattools.model.observation import SecondOpinion
from nattools.model.report import CrossCheck
from nattools.wording import text_of


def judged(says: str, classic: Classic, *, distrusted: bool = False, loss: float = 0.0) -> CrossCheck:
    opinion = SecondOpinion(id=1, tool="pystun3", version="2.0.0", says=says, duration_s=1.0)
    [check] = cross_checks([opinion], Nat(classic=classic, loss=loss), RouterEvidence(), distrusted)
    return check


def test_the_same_name_agrees_and_needs_no_reason() -> None:
    check = judged('["Restric Port NAT", null, null]', "port-restricted cone")
    assert check.agrees is True
    assert check.reason == ()


@pytest.mark.parametrize(
    ("says", "classic"),
    [
        ('["Full Cone", "11.101.0.2", 40000]', "open internet"),
        ('["Restric Port NAT", null, null]', "symmetric firewall"),
    ],
)
def test_no_nat_taken_for_a_nat_is_a_known_fault(says: str, classic: Classic) -> None:
    check = judged(says, classic)
    assert check.agrees is False
    assert "own address" in text_of(check.reason)


def test_a_server_that_ignores_change_request_makes_it_say_full_cone() -> None:
    check = judged('["Full Cone", "11.1.0.2", 40000]', "port-restricted cone", distrusted=True)
    assert check.agrees is False
    assert "any answer" in text_of(check.reason)


def test_loss_is_named_where_there_is_loss() -> None:
    assert "loses packets" in text_of(judged('["Blocked", null, null]', "full cone", loss=0.2).reason)


@pytest.mark.parametrize("says", ["", "no json", "[]", "{}", "[1]", '["Meet an error", null, null]', "null"])
def test_what_it_says_may_be_anything(says: str) -> None:
    check = judged(says, "full cone")
    assert check.agrees is None
    assert "no verdict" in text_of(check.reason)


def test_an_unexplained_difference_says_so() -> None:
    check = judged('["Symmetric NAT", "11.1.0.2", 4]', "full cone")
    assert check.agrees is False
    assert "not known" in text_of(check.reason)
