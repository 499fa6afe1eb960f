"""What trials of punching a hole mean: tables of observations, and the verdicts that they give."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from synthetic_nats import A1P1, A2P1, A2P2, World, measurement

from nattools.engine.analyse import analyse
from nattools.engine.punchprobeplan import plan_punch
from nattools.model.endpoint import Endpoint
from nattools.model.nat import Nat
from nattools.model.observation import Binding, Hop, Opener, PunchTrial
from nattools.model.report import Report, Technique
from nattools.net.addresses import is_public
from nattools.probes.target import Target
from nattools.probes.udppunch import PunchPlan

APDM = "address-and-port-dependent"
COUNTING: dict[str, Any] = {"mapping": APDM, "allocation": "sequential"}


def trial(transport: str, outcome: str, **extra: Any) -> PunchTrial:
    """A trial at the port that was told, sixteen packets each way."""
    ordinary: dict[str, Any] = {
        "transport": transport,
        "family": 4,
        "local": "10.0.1.2:5000",
        "asked": str(A1P1),
        "mapped": "11.1.0.2:5000",
        "towards": str(A2P2 if transport == "udp" else A2P1),
        "ttl": 2,
        "sure": True,
        "openers": 16 if transport == "udp" else 1,
        "aimed": (5000,),
        "sent": 16 if transport == "udp" else 1,
        "outcome": outcome,
    }
    return PunchTrial(**(ordinary | extra))


def over_tcp(world: World) -> list[Binding]:
    """The same answers as over UDP, to mapping's questions."""
    return [
        msgspec.structs.replace(seen, transport="tcp")
        for seen in world.seen
        if isinstance(seen, Binding) and seen.purpose in ("reach", "mapping", "allocation")
    ]


def report_of(*trials: PunchTrial, **setting: Any) -> Report:
    world = World(**setting).measure()
    seen = (*world.seen, *over_tcp(world), *trials)
    numbered = tuple(msgspec.structs.replace(each, id=number) for number, each in enumerate(seen, 1))
    return analyse(measurement(numbered, host=world.host), is_public=is_public)


def verdict(report: Report, name: str) -> Technique:
    return next(technique for technique in report.techniques if technique.id == name)


ALIVE = {"answered": True, "seen": "11.1.0.2:5000"}


@pytest.mark.parametrize(
    ("trials", "setting", "expected", "confidence", "words"),
    [
        ([trial("udp", "punched")], {}, "works", 0.99, "it got in"),
        ([trial("udp", "punched")], COUNTING, "works", 0.9, "it got in"),
        ([trial("udp", "silent", **ALIVE)], {}, "fails", 0.9, "16 packets here, and none"),
        ([trial("udp", "silent")], {}, "works", 0.7, "bad luck"),
        ([trial("udp", "silent", openers=4, sent=4, **ALIVE)], {}, "works", 0.7, "bad luck"),
        ([trial("udp", "silent", **ALIVE)], {"loss": 0.2}, "works", 0.7, "bad luck"),
        ([trial("udp", "silent", answered=True, seen="11.1.0.2:5009")], {}, "unknown", 0.0, "was 5009"),
        (
            [trial("udp", "silent", answered=True, seen="11.1.0.2:9")],
            COUNTING,
            "works",
            0.5,
            "next port was not",
        ),
        ([trial("udp", "error", detail="no answer")], {}, "works", 0.7, "failed: no answer"),
        ([trial("udp", "not tried", detail="a reason")], {}, "works", 0.95, "one port for all peers"),
        ([trial("udp", "silent", **ALIVE), trial("udp", "punched")], {}, "works", 0.99, "it got in"),
    ],
)
def test_over_udp(
    trials: list[PunchTrial], setting: dict[str, Any], expected: str, confidence: float, words: str
) -> None:
    report = report_of(*trials, **setting)
    found = verdict(report, "udp-punch")
    assert (found.verdict, found.confidence) == (expected, pytest.approx(confidence))
    assert words in found.summary
    if trials[-1].outcome != "not tried":
        ids = {each.id for each in report.observations if isinstance(each, PunchTrial)}
        assert ids & set(found.evidence), "the trial is the evidence"


@pytest.mark.parametrize(
    ("trials", "setting", "expected", "words"),
    [
        ([trial("tcp", "punched")], {}, "works", "both connecting at once"),
        ([trial("tcp", "punched")], COUNTING, "works", "can be predicted"),
        ([trial("tcp", "silent")] * 20, {}, "fails", "20 times while this machine did"),
        ([trial("tcp", "refused")] * 20, {}, "fails", "20 times while this machine did"),
        ([trial("tcp", "silent")] * 3, {}, "unknown", "bad luck"),
        ([trial("tcp", "silent")] * 20, {"loss": 0.2}, "unknown", "bad luck"),
        ([trial("tcp", "silent", sure=False)] * 20, {}, "unknown", "bad luck"),
        ([trial("tcp", "silent", towards="11.9.9.9:3478")] * 20, {}, "unknown", "bad luck"),
        ([trial("tcp", "silent", aimed=(5001,))] * 20, COUNTING, "unknown", "have to be predicted"),
        ([trial("tcp", "reached")] * 20, {}, "unknown", "listening port"),
        ([trial("tcp", "denied", detail="too many requests")], {}, "unknown", "too many requests"),
        ([trial("tcp", "not tried", detail="a reason")], {}, "unknown", "a reason"),
        ([], {}, "unknown", "Simultaneous open was not tried"),
    ],
)
def test_over_tcp(trials: list[PunchTrial], setting: dict[str, Any], expected: str, words: str) -> None:
    report = report_of(*trials, **setting)
    found = verdict(report, "tcp-punch")
    assert found.verdict == expected
    assert words in found.summary
    wanted = {"works": "met", "fails": "not met", "unknown": "untested"}[expected]
    assert [r.status for r in report.requirements if (r.rfc, r.number) == (5382, "REQ-2")] == [wanted]


TARGET = Target("stun:x", A1P1, "udp", Endpoint("11.1.0.2", 5000), 0.01, A2P2)
HOPS = [Hop(family=4, destination=str(A1P1), ttl=ttl, address=None, sent=3) for ttl in (1, 2, 3)]
OPENED = Opener(family=4, local="10.0.1.2:1", towards=str(A2P2), ttl=2, sent=3, opened=True)


@pytest.mark.parametrize(
    ("nat", "seen", "expected"),
    [
        ({"mapping": "endpoint-independent", "distance_hops": 1}, [], PunchPlan((2,))),
        ({"mapping": "endpoint-independent", "distance_hops": 1}, [OPENED], PunchPlan((2,), sure=True)),
        ({"mapping": "endpoint-independent"}, HOPS, PunchPlan()),
        ({"mapping": "none", "present": False}, HOPS, PunchPlan((3,))),
        ({"mapping": "none", "present": False}, [], PunchPlan()),
        ({"mapping": APDM, "port_allocation": "sequential", "port_step": 2}, [], PunchPlan((), step=2)),
        ({"mapping": APDM, "port_allocation": "preserving"}, [], PunchPlan()),
        ({"mapping": APDM, "port_allocation": "random"}, [], "drawn at random"),
        ({"mapping": APDM}, [], "not known"),
        ({}, [], "not known"),
    ],
)
def test_the_aim_follows_from_the_behaviour(nat: dict[str, Any], seen: list[Any], expected: Any) -> None:
    found = plan_punch(Nat(**({"reachable": True, "present": True} | nat)), TARGET, seen)
    assert expected in found if isinstance(found, str) else found == expected


def test_ports_foretold() -> None:
    assert PunchPlan().ports(5000, 8) == (5000,)
    assert PunchPlan(step=2).ports(5000) == (5002,)
    assert PunchPlan(step=1).ports(5000, 8) == tuple(range(5001, 5009))
    assert PunchPlan(step=2).ports(65530, 8) == (65532, 65534)
    assert PunchPlan(step=-1).ports(1, 8) == (1,)
