"""What both sides are willing to use decides over what is planned."""

from __future__ import annotations

import pytest
from hostile import introduction

from nattools.engine.punch.planning import planned


@pytest.mark.parametrize("own", [True, False])
def test_without_udp_all_is_planned_over_tcp(own: bool) -> None:
    ours, theirs = introduction(udp=own, nonce=2), introduction(udp=not own, nonce=1)
    made = planned(ours, theirs, leads=True)
    assert made.path == "direct"
    assert {step.transport for step in made.steps} == {"tcp"}


def test_without_tcp_there_is_none_of_it() -> None:
    made = planned(introduction(tcp=False, nonce=2), introduction(nonce=1), leads=True)
    assert {step.transport for step in made.steps} == {"udp"}


def test_with_neither_there_is_no_way() -> None:
    made = planned(introduction(tcp=False, nonce=2), introduction(udp=False, nonce=1), leads=True)
    assert all(step.strategy == "relay" for step in made.steps)
