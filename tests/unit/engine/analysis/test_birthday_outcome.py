"""What trials of birthday probing mean, and how they are planned: tables."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from synthetic_nats import A1P1, A2P2, World, measurement

from nattools.engine.analyse import analyse
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.plan import last_steps
from nattools.engine.punchprobeplan import plan_birthday
from nattools.engine.registry import lane_probes
from nattools.model.endpoint import Endpoint
from nattools.model.nat import Nat
from nattools.model.observation import BirthdayTrial
from nattools.model.report import Technique
from nattools.net.addresses import is_public
from nattools.probes.target import Target
from nattools.report.sections.observations import describe

APDM = "address-and-port-dependent"
RANDOM: dict[str, Any] = {"mapping": APDM, "allocation": "random"}
BLOCK: dict[str, Any] = {"mapping": APDM, "allocation": "block", "block": (20480, 20991)}


def trial(outcome: str, **extra: Any) -> BirthdayTrial:
    """256 ports and 2,048 packets to any ports."""
    ordinary: dict[str, Any] = {
        "family": 4,
        "asked": str(A1P1),
        "host": "11.1.0.2",
        "towards": str(A2P2),
        "pool": (1024, 65535),
        "wanted": 256,
        "sockets": 256,
        "openers": 512,
        "planned": 2048,
        "sent": 2048,
        "outcome": outcome,
        "checked": 0 if outcome == "punched" else 24,
        "open": 0 if outcome == "punched" else 24,
    }
    return BirthdayTrial(**(ordinary | extra))


def verdict(*trials: BirthdayTrial, **setting: Any) -> Technique:
    world = World(**setting).measure()
    seen = (*world.seen, *trials)
    numbered = tuple(msgspec.structs.replace(each, id=number) for number, each in enumerate(seen, 1))
    report = analyse(measurement(numbered, host=world.host), is_public=is_public)
    return next(technique for technique in report.techniques if technique.id == "udp-birthday")


WHOLE_BLOCK = {"pool": (20480, 20991), "wanted": 32, "sockets": 32, "planned": 512, "sent": 512}


@pytest.mark.parametrize(
    ("tried", "setting", "expected", "confidence", "words"),
    [
        ([trial("punched", sent=187)], RANDOM, "works", 0.97, "number 187 got in (99.97% expected)"),
        ([trial("silent", entered=24)], RANDOM, "works", 0.6, "bad luck are up to 0."),
        ([trial("silent", entered=24), trial("punched")], RANDOM, "works", 0.97, "got in"),
        ([trial("silent", entered=24, sent=64)], RANDOM, "works", 0.6, "sent 64 packets"),
        ([trial("silent", sent=640, open=0, checked=0, detail="x")], RANDOM, "works", 0.6, "ended early: x"),
        ([trial("silent", entered=0)], RANDOM, "fails", 0.9, "24 ports that were open to it, and nothing"),
        ([trial("silent", entered=0, open=1)], RANDOM, "works", 0.6, "seems to keep only a few"),
        ([trial("silent", entered=0)], RANDOM | {"loss": 0.9}, "works", 0.6, "bad luck are up to"),
        (
            [trial("silent", open=0)],
            RANDOM,
            "works",
            0.8,
            "none of this machine's ports was known to be open",
        ),
        (
            [trial("silent", entered=24, **WHOLE_BLOCK)],
            BLOCK,
            "unknown",
            0.0,
            "allocate ports some other way",
        ),
        ([trial("silent", entered=0, **WHOLE_BLOCK)], BLOCK, "fails", 0.9, "lets nothing in"),
        ([trial("denied", sent=0, detail="too many requests")], RANDOM, "works", 0.8, "too many requests"),
        ([trial("error", sent=0, detail="no answer")], RANDOM, "works", 0.8, "failed: no answer"),
        ([trial("punched", sockets=50, detail="a reason")], RANDOM, "works", 0.97, "Only a reason"),
        ([], RANDOM, "works", 0.8, "Predicted, not tested: that takes a nattools serve with two"),
        ([trial("silent", entered=0)], {}, "works", 0.8, "Predicted, not tested: it would take hundreds"),
    ],
)
def test_the_verdict(
    tried: list[BirthdayTrial], setting: dict[str, Any], expected: str, confidence: float, words: str
) -> None:
    found = verdict(*tried, **setting)
    assert words in found.summary
    assert (found.verdict, found.confidence) == (expected, pytest.approx(confidence))


def test_loss_makes_a_miss_likelier() -> None:
    chances = []
    for loss in (0.0, 0.2):
        words = verdict(trial("silent", entered=24), **RANDOM, loss=loss).summary
        chances.append(float(words.rpartition("are up to ")[2].rstrip("%.")))
    assert 0 < chances[0] < chances[1]


def random_nat(**extra: Any) -> Nat:
    ordinary = {"reachable": True, "present": True, "mapping": APDM, "port_allocation": "random"}
    return Nat(**(ordinary | extra))


@pytest.mark.parametrize(
    ("extra", "pool", "sockets", "probes", "ttl"),
    [
        ({"distance_hops": 1}, (1024, 65535), 256, 2048, 2),
        ({"port_range": (49152, 65535), "port_block": False}, (49152, 65535), 128, 2048, None),
        ({"port_range": (2048, 2559), "port_block": True}, (2048, 2559), 32, 512, None),
        ({"port_range": (2048, 2063), "port_block": True}, (2048, 2063), 8, 16, None),
        ({"port_range": (0, 70000), "port_block": True}, (1024, 65535), 256, 2048, None),
    ],
)
def test_the_plan_takes_few_mappings(
    extra: dict[str, Any], pool: tuple[int, int], sockets: int, probes: int, ttl: int | None
) -> None:
    plan = plan_birthday({("udp", 4): random_nat(**extra)}, 4)
    assert plan is not None
    assert (plan.pool, plan.sockets, plan.probes, plan.ttl) == (pool, sockets, probes, ttl)
    assert plan.per_s <= 400
    assert plan_birthday({("udp", 4): random_nat(**extra)}, 6) is None, "the verdicts are about IPv4"


@pytest.mark.parametrize(
    "extra",
    [
        {"mapping": "endpoint-independent"},
        {"mapping": "none", "present": False},
        {"port_allocation": "sequential", "port_step": 1},
        {"port_allocation": "preserving"},
        {"port_allocation": "unknown"},
        {"reachable": False},
    ],
)
def test_other_nats_are_left_alone(extra: dict[str, Any]) -> None:
    assert plan_birthday({("udp", 4): random_nat(**extra)}, 4) is None
    assert plan_birthday({}, 4) is None


def test_only_a_server_with_two_addresses_that_announces_it_is_asked() -> None:
    def target(services: int, other: Endpoint | None = A2P2, transport: Any = "udp") -> Target:
        return Target("stun:x", A1P1, transport, None, 0.01, other, nattools=True, services=services)

    one_address = Endpoint(A1P1.host, 3479)
    unable = [target(7), target(15, one_address), target(15, None), target(15, A2P2, "tcp")]
    birthday = [probe for probe in lane_probes(MeasureOptions("diagnose", ())) if probe.name == "birthday"]
    assert last_steps(birthday, unable) == []
    ((lane, step),) = last_steps(birthday, [target(7), target(15)])
    assert (lane.name, step.probe.name, step.targets[0].services) == ("udp4", "birthday", 15)


def test_the_record_in_words() -> None:
    found = describe(
        trial("punched", ttl=2, sent=9, local="10.0.1.2:5", hit=77, answered=True, seen="11.1.0.2:77")
    )
    assert found == (
        "birthday: udp from 256 ports to 11.201.0.3:3479 with TTL 2, which sent 9 of up to 2048 packets to "
        "ports 1024 to 65535: punched, port 77 as 10.0.1.2:5, then answered to 11.1.0.2:77"
    )
    assert "24 of 24 ports were told, 0 of them let in" in describe(trial("silent"))
