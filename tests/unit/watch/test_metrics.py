"""The text that monitoring reads: OpenMetrics 1.0."""

from __future__ import annotations

import re

from msgspec.structs import replace
from report_samples import home_router

from nattools.model.statement import statement
from nattools.watch.metrics import Metrics
from nattools.watch.watch import WatchEvent

SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="(\\.|[^"\\])*"(,[a-z]+="(\\.|[^"\\])*")*\})? -?[0-9.e+-]+')


def metrics() -> Metrics:
    made = Metrics()
    made.report(home_router())
    made.event(WatchEvent(at_s=1, what="flow", says=statement("watch-flow-died", seconds=1, server="x")))
    return made


def test_every_line_is_one_of_the_format() -> None:
    lines = metrics().text().splitlines()
    assert lines[-1] == "# EOF"
    for line in lines[:-1]:
        assert SAMPLE.fullmatch(line) or re.fullmatch(r"# (TYPE|HELP) [a-z_]+ .+", line), line
    assert 'nattools_changes_total{code="watch-flow-died"} 1' in lines
    assert 'nattools_technique_works{technique="udp-punch"} 1' in lines


def test_families_come_one_after_the_other() -> None:
    names = [line.split()[2] for line in metrics().text().splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


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
    lines = made.text().splitlines()
    assert not any(line.startswith("evil") for line in lines)
    assert all(SAMPLE.fullmatch(line) or line.startswith("# ") for line in lines)
