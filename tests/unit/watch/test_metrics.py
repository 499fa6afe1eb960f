"""The text that monitoring reads: OpenMetrics 1.0."""

from __future__ import annotations

from msgspec.structs import replace
from openmetrics import parsed
from report_samples import home_router

from nattools.model.relay import Relay
from nattools.model.statement import statement
from nattools.watch.metrics import Metrics
from nattools.watch.watch import WatchEvent


def metrics() -> Metrics:
    made = Metrics()
    made.report(home_router())
    made.event(WatchEvent(at_s=1, what="flow", says=statement("watch-flow-died", seconds=1, server="x")))
    return made


def test_a_strict_reader_takes_all_of_it() -> None:
    found = parsed(metrics().text())
    changes, works = found["nattools_changes"], found["nattools_technique_works"]
    assert (changes.kind, works.kind) == ("counter", "gauge")
    assert changes.samples["nattools_changes_total", (("code", "watch-flow-died"),)] == 1
    assert works.samples["nattools_technique_works", (("technique", "udp-punch"),)] == 1


def test_a_relay_over_both_families_is_one() -> None:
    relays = [
        Relay(kind="turn", uri="turn:r", transport="udp", family=family, works=works)
        for family, works in ((6, True), (4, False))
    ]
    made = Metrics()
    made.report(replace(home_router(), relays=tuple(relays)))
    assert list(parsed(made.text())["nattools_relay_works"].samples.values()) == [1]


def test_nothing_known_is_nothing_said() -> None:
    made = Metrics()
    made.report(None)
    assert made.text() == (
        "# TYPE nattools_up gauge\n# HELP nattools_up 1: the last measurement was made, 0: it could not be.\n"
        "nattools_up 0\n# EOF\n"
    )


def test_texts_of_strangers_stay_labels() -> None:
    nat = home_router().nat
    assert nat.udp4 is not None
    evil = replace(nat.udp4, external=('1"} 1\nevil 1\n\\', "\x1b[2J"))
    made = Metrics()
    made.report(replace(home_router(), nat=replace(nat, udp4=evil)))
    found = parsed(made.text())
    assert not any(name.startswith("evil") for name in found)
    assert len(found["nattools_nat"].samples) == 2
