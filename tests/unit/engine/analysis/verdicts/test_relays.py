"""What follows from relays that were tried: figures, ranks, reasons, verdicts."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec.structs import replace

from nattools.engine.analyse import analyse
from nattools.engine.analysis.verdicts.relays import relays
from nattools.model.host import Host
from nattools.model.relay import Relay, RelayStep, RelayStepName
from nattools.model.relaytrial import RelayCause, RelayFailure, RelayTrial
from nattools.model.report import Measurement, Report, Technique
from nattools.wording import is_known

STEPS: tuple[RelayStepName, ...] = ("resolve", "authenticate", "allocate", "permit", "relay")


def steps(last: RelayStepName, ok: bool = True) -> tuple[RelayStep, ...]:
    names = STEPS[: STEPS.index(last) + 1] if last in STEPS else ("resolve", last)
    return tuple(RelayStep(step=name, ok=ok or name != last, ms=1.0) for name in names)


def worked(uri: str = "turn:relay.example", *, trip_ms: float = 20.0, **more: object) -> RelayTrial:
    trips = tuple((trip_ms + extra) / 1000 for extra in (0, 0, 1, 0, 9))
    told = {"steps": steps("relay"), "sent": 5, "trips_s": trips, "relayed": "11.201.0.2:50000", **more}
    return RelayTrial(id=1, relay="turn", uri=uri, transport="udp", server="11.201.0.2:3478", **told)  # type: ignore[arg-type]


def failed(cause: RelayCause, last: RelayStepName = "allocate", **more: object) -> RelayTrial:
    code = more.pop("code", None)
    told = {"relay": "turn", "transport": "udp", "relayed": "11.201.0.2:5", **more}
    told = {"steps": steps(last, ok=False), **told}
    failure = RelayFailure(cause=cause, code=code, detail="so it says")  # type: ignore[arg-type]
    return RelayTrial(id=2, uri="turn:relay.example", server="11.201.0.2:3478", failure=failure, **told)  # type: ignore[arg-type]


def near(uri: str, trip_ms: float | None) -> RelayTrial:
    direct = () if trip_ms is None else (trip_ms / 1000,)
    return RelayTrial(
        relay="derp",
        uri=uri,
        region="Nowhere",
        transport="udp",
        through=False,
        direct_s=direct,
        direct_sent=3,
    )


def report_of(*trials: RelayTrial, command: str = "relay") -> Report:
    measurement = Measurement(
        command=command,  # type: ignore[arg-type]
        started="2026-01-01T00:00:00Z",
        duration_s=1.0,
        substrate="sim",
        host=Host(os="Linux"),
        observations=trials,
    )
    return analyse(measurement, is_public=lambda _: True)


def verdict(report: Report, name: str) -> Technique:
    return next(each for each in report.techniques if each.id == name)


def only(trial: RelayTrial) -> Relay:
    return report_of(trial).relays[0]


def test_round_trips_jitter_and_loss_are_those_of_relayed_datagrams() -> None:
    row = only(worked(sent=10, reordered=1, direct_s=(0.018, 0.019, 0.05)))
    assert row.rtt_ms is not None
    assert (row.rtt_ms.min, row.rtt_ms.median, row.rtt_ms.p95) == (20.0, 20.0, 29.0)
    assert row.jitter_ms == pytest.approx((0 + 1 + 1 + 9) / 4)
    assert (row.loss, row.reordered, row.direct_rtt_ms) == (0.5, 1, 19.0)
    assert row.works
    assert row.rank == 1
    assert row.error is None
    assert row.relayed == "11.201.0.2:50000"


def test_throughput_is_what_arrived_in_the_time_that_it_took() -> None:
    assert only(worked(carried_bytes=2_500_000, carried_s=2.0)).throughput_mbps == 10.0
    assert only(worked()).throughput_mbps is None


def test_what_relays_comes_before_what_is_near_and_that_before_what_fails() -> None:
    rows = relays(
        (
            failed("timeout"),
            near("derp://far", 80),
            worked("turn:far", trip_ms=150),
            near("derp://silent", None),
            near("derp://near", 8),
            worked("turn:near", trip_ms=20),
        )
    )
    assert [(row.uri, row.rank) for row in rows] == [
        ("turn:near", 1),
        ("turn:far", 2),
        ("derp://near", 3),
        ("derp://far", 4),
        ("turn:relay.example", None),
        ("derp://silent", None),
    ]


CODES = (300, 400, 401, 403, 420, 437, 438, 440, 441, 442, 443, 486, 500, 508, 699)


def test_every_cause_and_every_code_has_a_meaning_and_something_to_do() -> None:
    trials = [failed(cause) for cause in get_args(RelayCause) if cause != "error"]
    trials += [failed("error", code=code) for code in CODES]
    trials += [failed("error", "permit", code=403), failed("timeout", "connect", transport="tcp")]
    trials += [failed("timeout", direct_s=(0.02,)), failed("nothing-relayed", "relay", relay="derp")]
    said = []
    for trial in trials:
        error = report_of(trial).relays[0].error
        assert error is not None
        assert error.meaning
        assert error.advice
        assert error.name
        assert all(is_known(each) for each in (*error.reason, *error.remedy)), trial
        assert "relay-" not in error.meaning + error.advice, "a code is no sentence"
        assert "None" not in error.meaning + error.advice, error
        said.append((error.code, error.meaning))
    assert len(set(said)) >= len(said) - 1  # error 500 and 699 are told apart by their number alone


@pytest.mark.parametrize(
    ("relay", "detail", "says"),
    [
        ("derp", "its certificate is not valid: self-signed certificate", "CertName"),
        ("derp", "its certificate is not valid: certificate has expired", "renew"),
        ("turn", "its certificate is not valid: self-signed certificate", "renew"),
    ],
)
def test_a_derp_server_with_a_certificate_of_its_own_has_to_be_named_in_the_map(
    relay: str, detail: str, says: str
) -> None:
    trial = failed("certificate", "tls", relay=relay, transport="tls")
    error = only(replace(trial, failure=RelayFailure(cause="certificate", detail=detail))).error
    assert error is not None
    assert says in error.advice


def test_the_step_that_failed_is_the_last_one() -> None:
    error = only(failed("error", "permit", code=403)).error
    assert error is not None
    assert (error.step, error.code) == ("permit", 403)
    assert "own address" in error.meaning
    assert "denied-peer-ip" in error.advice


@pytest.mark.parametrize(
    ("trial", "says"),
    [
        (failed("timeout", "authenticate"), "UDP to that port is blocked"),
        (failed("timeout", "authenticate", direct_s=(0.02,)), "answers STUN"),
        (failed("timeout", "connect", transport="tls"), "Nothing answers over TCP"),
        (failed("nothing-relayed", "relay", sent=12, relayed="11.201.0.2:50000"), "none of 12 datagrams"),
        (failed("private-address", "relay", relayed="10.0.0.9:50000"), "10.0.0.9:50000, which is private"),
    ],
)
def test_the_words_follow_from_what_was_seen(trial: RelayTrial, says: str) -> None:
    error = only(trial).error
    assert error is not None
    assert says in error.meaning


def test_a_relayed_byte_proves_that_relays_work_here() -> None:
    told = verdict(report_of(failed("timeout"), worked(), command="diagnose"), "relay-turn")
    assert told.verdict == "works"
    assert "turn:relay.example" in told.summary
    assert "20 ms" in told.summary


def test_a_relay_that_does_not_relay_fails_with_its_reason() -> None:
    told = verdict(report_of(failed("private-address", "relay", relayed="10.0.0.9:5")), "relay-turn")
    assert told.verdict == "fails"
    assert "private" in told.summary
    assert "external-ip" in told.advice


def test_without_credentials_or_a_relay_nothing_is_known() -> None:
    for told in (
        verdict(report_of(failed("no-credentials")), "relay-turn"),
        verdict(report_of(command="diagnose"), "relay-turn"),
        verdict(report_of(command="diagnose"), "relay-derp"),
    ):
        assert told.verdict == "unknown"
        assert told.advice


def test_how_far_derp_is_proves_nothing() -> None:
    told = verdict(report_of(near("derp://far", 80), near("derp://near", 8)), "relay-derp")
    assert told.verdict == "unknown"
    assert "8 ms" in told.summary


def test_one_that_verifies_fails_beside_others_that_were_not_tried() -> None:
    told = verdict(report_of(failed("verifies", "relay", relay="derp")), "relay-derp")
    assert told.verdict == "fails"
    assert "keys of its own network" in told.summary


def test_figures_that_make_no_sense_are_left_out() -> None:
    row = only(worked(trips_s=(float("nan"), -1.0, 0.02), sent=2))
    assert row.rtt_ms is not None
    assert row.rtt_ms.median == 20.0
    assert row.loss == 0.5
