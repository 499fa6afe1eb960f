"""How long `nattools libp2p` takes as a process, where all answers and where a NAT keeps peers out."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from bench.claims import claim
from pytest_benchmark.fixture import BenchmarkFixture

from nattools.lab.labpeers import peers_of
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenariofiles import load

pytestmark = pytest.mark.netns

_ROUNDS = 5
TARGETS = {
    "libp2p-open": (True, 3.0),
    "libp2p-full-cone": (True, 3.0),
    "libp2p-port-restricted": (False, 6.0),
}


@pytest.mark.parametrize("name", TARGETS)
def test_the_whole_command(benchmark: BenchmarkFixture, name: str) -> None:
    reachable, target_s = TARGETS[name]
    with NetnsLab(load(name)) as lab:
        peer = next(each for each in peers_of(lab.scenario, lab.layout) if each.parts[0][0] == "ip4")
        address = peer.endpoint
        assert address is not None
        command = [sys.executable, "-m", "nattools", "libp2p", "--json", "--server", str(address), str(peer)]

        def whole() -> None:
            program = lab.popen("alice", command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            said, _ = program.communicate(timeout=30)
            (found,) = json.loads(said)["libp2p"]["autonat"]
            assert found["reachable"] is reachable

        benchmark.pedantic(whole, rounds=_ROUNDS, warmup_rounds=1)
    median = benchmark.stats.stats.median
    claim(
        benchmark,
        f"nattools libp2p, {name.removeprefix('libp2p-')}",
        ours=f"{median:.2f} s",
        target=f"at most {target_s:g} s",
        met=median <= target_s,
        note="" if reachable else "a dial that fails takes the server's time limit, 3 s, to tell",
    )
