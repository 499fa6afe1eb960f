"""What both sides are willing to use decides over what is planned."""

from __future__ import annotations

import pytest
from hostile import introduction
from msgspec import structs

from nattools.engine.punch.planning import planned
from nattools.model.nat import Nat, NatByTransport


@pytest.mark.parametrize("own", [True, False])
def test_without_udp_all_is_planned_over_tcp(own: bool) -> None:
    ours, theirs = introduction(udp=own, nonce=2), introduction(udp=not own, nonce=1)
    made = planned(ours, theirs, leads=True)
    assert made.path == "direct"
    assert {step.transport for step in made.steps} == {"tcp"}


def test_without_tcp_there_is_none_of_it() -> None:
    made = planned(introduction(tcp=False, nonce=2), introduction(nonce=1), leads=True)
    assert {step.transport for step in made.steps} == {"udp"}


UNSURE = Nat(reachable=True, present=True, mapping="unknown", mapping_depends_on_port=False)


@pytest.mark.parametrize(
    ("nat", "strategy"),
    [
        (UNSURE, "reflexive"),
        (Nat(reachable=True, present=True, port_allocation="preserving"), "reflexive"),
        (structs.replace(UNSURE, port_allocation="sequential", port_step=1), "prediction"),
    ],
)
def test_a_server_with_one_address_is_enough_for_a_plan(nat: Nat, strategy: str) -> None:
    guarded = Nat(reachable=True, present=False, mapping="none")
    ours, theirs = introduction(nonce=2), introduction(nonce=1)
    ours = structs.replace(ours, nat=NatByTransport(udp4=guarded))
    made = planned(ours, structs.replace(theirs, nat=NatByTransport(udp4=nat)), leads=True)
    assert (made.path, made.steps[0].strategy) == ("direct", strategy)


def test_with_neither_there_is_no_way() -> None:
    made = planned(introduction(tcp=False, nonce=2), introduction(udp=False, nonce=1), leads=True)
    assert all(step.strategy == "relay" for step in made.steps)
