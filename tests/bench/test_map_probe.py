"""`nattools map probe` as a whole process behind miniupnpd, by turns with miniupnpc's `upnpc -s` and
libnatpmp's `natpmpc` in the same namespace; and behind a router that says nothing at all. Ours must be right
each time."""

from __future__ import annotations

import select
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import msgspec
import pytest
from bench.claims import claim

from nattools.lab.netns import processes
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenariofiles import load
from nattools.model.mappingseen import MapAttempt
from nattools.model.report import Report

pytestmark = [pytest.mark.netns, pytest.mark.interop("miniupnpd", "upnpc", "natpmpc")]

_ROUNDS = 5
_LIMIT_S = 30.0
_OURS = (sys.executable, "-m", "nattools", "map", "probe", "--json", "--server", "11.201.0.2")
_UPNPC = ("upnpc", "-s")
_NATPMPC = ("natpmpc",)
_BEFORE_VERIFICATION_S = 0.6
_NOTHING_S = 2.5
_DROP = (
    'insert rule inet nattools received iifname "lan0" udp dport { 1900, 5350, 5351 } drop; '
    'insert rule inet nattools received iifname "lan0" tcp dport 5000 drop'
)


class Run(NamedTuple):
    """A finished program: how long it took in all and until it said something, and what it said. `over`: it
    was stopped at the limit."""

    elapsed_s: float
    silent_s: float
    said: str
    over: bool = False


class Behind:
    """Alice behind a router, and what ran there so far, by program."""

    def __init__(self, lab: NetnsLab, state: Path) -> None:
        self.lab, self.state = lab, state
        self.runs: dict[str, list[Run]] = {}
        self.before_s: list[float] = []

    def run(self, command: Sequence[str]) -> Run:
        """Run a program to its end, or to the limit."""
        began = perf_counter()
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        process = self.lab.popen(
            "alice", command, env={"XDG_STATE_HOME": str(self.state), "PATH": _PATH}, **pipes
        )
        said, over = "", True
        select.select([process.stdout], (), (), _LIMIT_S)
        silent = perf_counter() - began
        with suppress(subprocess.TimeoutExpired):
            said, over = process.communicate(timeout=max(0.1, _LIMIT_S - silent))[0], False
        if over:
            process.kill()
            process.communicate()
        run = Run(perf_counter() - began, silent, str(said), over)
        self.runs.setdefault(command[0], []).append(run)
        return run

    def ours(self) -> Report:
        """nattools, and how long it took from its start until the last mapping was made: verifying the first
        ones has begun by then. Putting the report together is counted in, so it took no longer."""
        run = self.run(_OURS)
        report = msgspec.json.decode(run.said, type=Report)
        asked = [seen for seen in report.observations if isinstance(seen, MapAttempt)]
        made = [seen.at_s + seen.took_s for seen in asked if seen.action == "make"]
        if made:
            self.before_s.append(run.silent_s - (report.duration_s - max(made)))
        return report

    def peers(self) -> None:
        """The programs it is compared with."""
        for command in (_UPNPC, _NATPMPC):
            self.run(command)

    def median_s(self, command: Sequence[str]) -> float:
        """Of a program's runs."""
        return statistics.median(run.elapsed_s for run in self.runs[command[0]])

    def said_s(self, command: Sequence[str]) -> str:
        """The same as text."""
        over = any(run.over for run in self.runs[command[0]])
        return f"over {_LIMIT_S:.0f} s" if over else f"{self.median_s(command):.2f} s"


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def test_all_three_answer(benchmark: Any, tmp_path: Path) -> None:
    with NetnsLab(load("mapping-all")) as lab:
        behind = Behind(lab, tmp_path)

        def probe() -> None:
            report = behind.ours()
            assert {each.verdict for each in report.techniques} == {"works"}

        benchmark.pedantic(probe, setup=behind.peers, rounds=_ROUNDS)
    before = statistics.median(behind.before_s)
    _claim(benchmark, behind, "map probe before verification", before, _BEFORE_VERIFICATION_S)
    whole = behind.median_s(_OURS)
    note = "mappings made by three protocols, read back, verified from outside, removed; upnpc -s makes none"
    claim(
        benchmark,
        "map probe, verified and removed, beside upnpc -s",
        ours=f"{whole:.2f} s",
        peer=behind.said_s(_UPNPC),
        ratio=whole / behind.median_s(_UPNPC),
        target="below 1",
        met=whole < behind.median_s(_UPNPC),
        note=note,
    )


def test_nothing_answers(benchmark: Any, tmp_path: Path) -> None:
    with NetnsLab(load("mapping-off")) as lab:
        lab.popen("home", [processes.find("nft", "nftables"), _DROP]).wait()
        behind = Behind(lab, tmp_path)
        behind.peers()

        def probe() -> None:
            report = behind.ours()
            assert {each.verdict for each in report.techniques} == {"fails"}

        benchmark.pedantic(probe, rounds=_ROUNDS)
    _claim(benchmark, behind, "map probe, nothing answers", behind.median_s(_OURS), _NOTHING_S)


def _claim(benchmark: Any, behind: Behind, figure: str, ours_s: float, target_s: float) -> None:
    for name, command in (("upnpc -s", _UPNPC), ("natpmpc", _NATPMPC)):
        claim(
            benchmark,
            f"{figure}, beside {name}",
            ours=f"{ours_s:.2f} s",
            peer=behind.said_s(command),
            ratio=ours_s / behind.median_s(command),
            target=f"at most {target_s} s",
            met=ours_s <= target_s,
            note=_note(name, over=any(run.over for run in behind.runs[command[0]])),
        )


def _note(name: str, *, over: bool) -> str:
    if name == "upnpc -s":
        return ""
    if over:
        return f"natpmpc was stopped after {_LIMIT_S:.0f} s: the ratio to its whole time is smaller still"
    return "natpmpc asks for the external address alone, by NAT-PMP, and makes no mapping"
