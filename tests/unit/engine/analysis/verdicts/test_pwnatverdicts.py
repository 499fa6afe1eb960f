"""What crafted ICMP errors say of a network: by a table, and never more than was seen."""

from __future__ import annotations

from typing import Any

import pytest

from nattools.engine.analysis.verdicts.pwnatverdicts import caller_verdict, listener_verdict
from nattools.model.errortrialseen import ErrorTrial
from nattools.model.nat import Nat
from nattools.model.observation import AnyObservation, Hop

KEEPS = Nat(reachable=True, present=True, mapping="endpoint-independent", distance_hops=1)
MOVES = Nat(reachable=True, present=True, mapping="address-and-port-dependent", distance_hops=1)


def trial(direction: str, outcome: str, **more: Any) -> ErrorTrial:
    given = {"family": 4, "asked": "11.201.0.2:3478", "direction": direction, "outcome": outcome, "sent": 5}
    return ErrorTrial(**given | more)


def hop(ttl: int, address: str | None) -> Hop:
    return Hop(family=4, destination="11.201.0.2:3478", ttl=ttl, address=address, sent=1)


BEACON, SERVER = {"quotes": "beacon"}, {"quotes": "server"}


@pytest.mark.parametrize(
    ("seen", "nat", "expected"),
    [
        ([], KEEPS, "unknown"),
        ([trial("in", "arrived", **BEACON)], KEEPS, "passes"),
        ([trial("in", "arrived", **BEACON)], None, "passes"),
        ([trial("in", "denied", **BEACON)], KEEPS, "unknown"),
        ([trial("in", "error", **BEACON)], KEEPS, "unknown"),
        ([trial("in", "missing", **BEACON)], KEEPS, "unknown"),
        ([trial("in", "missing", **BEACON), trial("in", "arrived", **SERVER)], KEEPS, "quote-not-matched"),
        ([trial("in", "missing", **BEACON), trial("in", "arrived", **SERVER)], MOVES, "id-rewritten"),
        ([trial("in", "missing", **BEACON), trial("in", "denied", **SERVER)], KEEPS, "unknown"),
        (
            [
                trial("in", "missing", **BEACON),
                trial("in", "arrived", **SERVER),
                trial("in", "arrived", read=True, **BEACON),
            ],
            MOVES,
            "passes",
        ),
        (
            [
                trial("in", "missing", **BEACON),
                trial("in", "arrived", **SERVER),
                trial("in", "missing", read=True, **BEACON),
            ],
            MOVES,
            "id-rewritten",
        ),
        ([trial("in", "missing", **BEACON), trial("in", "missing", **SERVER)], KEEPS, "icmp-blocked"),
        (
            [hop(2, "11.1.0.1"), trial("in", "missing", **BEACON), trial("in", "missing", **SERVER)],
            KEEPS,
            "invalid-dropped",
        ),
        (
            [hop(1, "10.0.1.1"), trial("in", "missing", **BEACON), trial("in", "missing", **SERVER)],
            KEEPS,
            "icmp-blocked",
        ),
    ],
)
def test_as_the_listener(seen: list[AnyObservation], nat: Nat | None, expected: str) -> None:
    assert listener_verdict(seen, nat) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([], "unknown"),
        ([trial("in", "arrived")], "unknown"),
        ([trial("out", "arrived", source="11.1.0.2", mapped="11.1.0.2:4000")], "passes"),
        ([trial("out", "arrived", source="10.0.1.2", mapped="11.1.0.2:4000")], "untranslated"),
        ([trial("out", "arrived", source=None, mapped="11.1.0.2:4000")], "untranslated"),
        ([trial("out", "error")], "unknown"),
        ([trial("out", "missing")], "unknown"),
        ([trial("out", "missing", echoed=True)], "invalid-dropped"),
        ([trial("out", "missing", echoed=False)], "icmp-blocked"),
    ],
)
def test_as_the_caller(seen: list[AnyObservation], expected: str) -> None:
    assert caller_verdict(seen) == expected
