"""What `nattools --version` costs beyond the interpreter's own start, both by turns."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.claims import claim

_ROUNDS = 21
_TARGET_S = 0.060
_BARE = (sys.executable, "-c", "pass")
_VERSION = (sys.executable, "-m", "nattools", "--version")
_ROOT = Path(__file__).parents[2]


def _run(command: tuple[str, ...]) -> float:
    began = perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=_ROOT)
    elapsed = perf_counter() - began
    assert done.stdout.startswith("nattools ") == (command is _VERSION)
    return elapsed


def test_version(benchmark: Any) -> None:
    bare: list[float] = []
    ours: list[float] = []
    _run(_VERSION)  # its compiled modules are there from now on
    benchmark.pedantic(
        lambda: ours.append(_run(_VERSION)), setup=lambda: bare.append(_run(_BARE)), rounds=_ROUNDS
    )
    own, others = statistics.median(ours), statistics.median(bare)
    more = statistics.median(one - other for one, other in zip(ours, bare, strict=True))
    claim(
        benchmark,
        "nattools --version, beside python -c pass",
        ours=f"{own * 1000:.0f} ms",
        peer=f"{others * 1000:.0f} ms",
        ratio=own / others,
        target=f"at most {_TARGET_S * 1000:.0f} ms more",
        met=more <= _TARGET_S,
    )
