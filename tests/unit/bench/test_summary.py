"""The table of what the benches claim says plainly what was missed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bench.claims import claim
from bench.summary import main

Capture = pytest.CaptureFixture[str]


def results(*benches: Any) -> dict[str, Any]:
    rows = [{"fullname": f"bench {number}", "extra_info": each} for number, each in enumerate(benches)]
    return {"benchmarks": rows}


def claimed(**values: Any) -> dict[str, Any]:
    """What a bench with one claim has in its `extra_info`."""
    bench = SimpleNamespace(extra_info={})
    claim(bench, **{"figure": "speed", "ours": "2 s", "target": "below 1", "met": True, **values})
    return bench.extra_info


@pytest.fixture
def summary(tmp_path: Path, capsys: Capture) -> Any:
    def of(document: object) -> tuple[int, list[str]]:
        file = tmp_path / "results.json"
        file.write_text(json.dumps(document))
        return main([str(file)]), capsys.readouterr().out.splitlines()

    return of


def test_a_row_for_each_claim_and_the_count(summary: Any) -> None:
    missed = claimed(peer="1 s", ratio=2.0, met=False, note="it cannot be met")
    code, lines = summary(results(claimed(), missed, {}, claimed(met=None)))
    assert code == 0
    assert [line.split() for line in lines[1:5]] == [
        ["figure", "ours", "peer", "ratio", "target"],
        ["speed", "2", "s", "below", "1", "met"],
        ["speed", "2", "s", "1", "s", "2.00", "below", "1", "MISSED", "[1]"],
        ["speed", "2", "s", "below", "1", "not", "compared"],
    ]
    assert lines[-2:] == ["[1] it cannot be met", "1 of 3 targets met, 1 missed, 1 not compared"]


def test_no_claim_at_all_is_a_failure(summary: Any) -> None:
    assert summary(results({}))[0] == 1


def test_no_results_are_a_failure(tmp_path: Path, capsys: Capture) -> None:
    assert main([str(tmp_path / "none.json")]) == 1
    assert "no results" in capsys.readouterr().err
