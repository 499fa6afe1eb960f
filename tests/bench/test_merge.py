"""`report merge`: 100,000 generated reports, beside DuckDB alone reading the same fields of the files."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
from bench.claims import claim

from nattools.trials.scenarios import Case, run_trial

REPORTS = int(os.environ.get("NATTOOLS_MERGE_REPORTS", "100000"))
MIX = {
    "home-router": 0.45, "cgnat": 0.2, "symmetric-random": 0.1, "full-cone": 0.08, "double-nat": 0.05,
    "udp-blocked": 0.04, "open": 0.03, "mapping-upnp": 0.05,
}  # fmt: skip
KINDS = {
    "port-restricted cone": ("home-router", "double-nat", "mapping-upnp"),
    "symmetric": ("cgnat", "symmetric-random"),
    "full cone": ("full-cone",),
    "udp blocked": ("udp-blocked",),
    "open internet": ("open",),
}
BROKEN_OF = 100
TARGET_PER_S = 3000
TARGET_MIB = 1024


def generate(folder: Path) -> None:
    """Reports by the mix, as measured, each with a time of its own; one of a hundred is cut short."""
    pool = {name: msgspec.json.encode(run_trial(Case(name, "alice", "sim")).report) for name in MIX}
    draw = random.Random(14)
    for number in range(REPORTS):
        if number % 1000 == 0:
            (folder / str(number)).mkdir()
        data = pool[draw.choices(list(MIX), list(MIX.values()))[0]]
        data = data.replace(b'"started":"', b'"started":"%08d ' % number, 1)
        if number % BROKEN_OF == BROKEN_OF - 1:
            data = data[: len(data) // 2]
        (folder / str(number // 1000 * 1000) / f"{number}.json").write_bytes(data)


def duckdb_alone(folder: Path) -> float:
    """Seconds that DuckDB takes for the same fields, by its own reader of JSON."""
    query = (
        "import duckdb; duckdb.execute('SET threads = 2'); duckdb.sql(\"SELECT started, advice.reachable, "
        "nat.udp4.classic, nat.udp4.mapping, len(techniques) FROM read_json('"
        f"{folder}/*/*.json', format='newline_delimited', ignore_errors=true, columns={{started: 'VARCHAR', "
        "advice: 'STRUCT(reachable VARCHAR)', nat: 'STRUCT(udp4 STRUCT(classic VARCHAR, mapping VARCHAR))', "
        "techniques: 'STRUCT(id VARCHAR, verdict VARCHAR)[]'})\").fetchall()"
    )
    began = perf_counter()
    subprocess.run([sys.executable, "-c", query], check=True)
    return perf_counter() - began


def test_a_hundred_thousand_reports(benchmark: Any, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "all.json"
    folder.mkdir()
    generate(folder)
    command = [sys.executable, "-m", "nattools", "report", "merge", str(folder), "-o", str(out)]

    def run() -> float:
        began = perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return perf_counter() - began

    taken = benchmark.pedantic(run, rounds=1, iterations=1)
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    alone = duckdb_alone(folder)
    fleet = msgspec.json.decode(out.read_bytes())
    assert fleet["faulty"] == REPORTS // BROKEN_OF
    assert fleet["reports"] == REPORTS - fleet["faulty"]
    for group in fleet["groups"]["kind"]:
        wanted = sum(MIX[name] for name in KINDS[group["name"]])
        spread = 4 * (wanted * (1 - wanted) / fleet["reports"]) ** 0.5
        assert abs(group["reports"] / fleet["reports"] - wanted) < spread
    claim(
        benchmark,
        f"merge of {REPORTS:,} reports",
        ours=f"{REPORTS / taken:,.0f}/s",
        peer=f"{REPORTS / alone:,.0f}/s (DuckDB alone)",
        ratio=alone / taken,
        target=f"{TARGET_PER_S:,}/s",
        met=REPORTS / taken >= TARGET_PER_S,
    )
    claim(
        benchmark,
        "memory of one of its processes",
        ours=f"{most:.0f} MiB",
        target=f"{TARGET_MIB} MiB",
        met=most * 3 < TARGET_MIB,
        note="the largest process; two readers and DuckDB's run at a time",
    )
