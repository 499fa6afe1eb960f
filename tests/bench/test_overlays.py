"""`nattools tailscale` and `nattools lan` as whole processes in network namespaces where all answers. What
they say must be right each time."""

from __future__ import annotations

import statistics
import subprocess
import sys
from time import perf_counter
from typing import Any

import msgspec
import pytest
from bench.claims import claim

from nattools.lab.labtailnet import tailnet_of
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import ControlSpec, DerpSpec, HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.scenariofiles import load
from nattools.model.report import Report

pytestmark = pytest.mark.netns
ROUNDS = 3
LIMIT_S = 60.0
TAILNET = Scenario(
    title="tailnet over HTTP",
    nat={"home": NatSpec()},
    host={"alice": HostSpec(behind="home")},
    server={
        "stun": ServerSpec(),
        "near": ServerSpec(derp=DerpSpec(tls=False, port=3340)),
        "control": ServerSpec(addresses=1, control=ControlSpec(tls=False, port=8080)),
    },
)


def timed(lab: NetnsLab, *arguments: str) -> tuple[float, Report]:
    """One run on alice: how long it took, and what it said."""
    began = perf_counter()
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "nattools", *arguments, "--json"]
    said, complaints = lab.popen("alice", command, **pipes).communicate(timeout=LIMIT_S)
    assert said, complaints
    return perf_counter() - began, msgspec.json.decode(said, type=Report)


def told(benchmark: Any, figure: str, times: list[float]) -> None:
    took = statistics.median(times)
    claim(benchmark, figure, ours=f"{took:.2f} s", target="at most 3 s", met=took <= 3.0)


def test_tailscale(benchmark: Any, tmp_path: Any) -> None:
    with NetnsLab(TAILNET) as lab:
        found = tailnet_of(lab.scenario, lab.layout)
        assert found.map is not None
        node = found.map.regions[0].nodes[0]
        regions = {"1": {"RegionID": 1, "RegionCode": "near", "Nodes": [_node(node.ipv4 or "")]}}
        path = tmp_path / "map.json"
        path.write_bytes(msgspec.json.encode({"Regions": regions}))
        command = ["tailscale", "--control", found.controls[0], "--derp-map", str(path), "--server", "stun"]
        times = []

        def once() -> None:
            took, report = timed(lab, *command)
            times.append(took)
            assert report.tailscale is not None
            (tailnet,) = report.tailscale.tailnets
            assert (tailnet.reachable, tailnet.relays, tailnet.home_region) == (True, True, "near")
            assert report.tailscale.direct_with["port-restricted"] == "direct"

        benchmark.pedantic(once, rounds=ROUNDS, iterations=1)
        told(benchmark, "nattools tailscale, all answers", times)


def _node(host: str) -> dict[str, object]:
    return {"Name": "near", "RegionID": 1, "HostName": host, "IPv4": host, "IPv6": "none", "DERPPort": 3340}


def test_lan(benchmark: Any) -> None:
    with NetnsLab(load("lan-open")) as lab:
        times = []

        def once() -> None:
            took, report = timed(lab, "lan")
            times.append(took)
            assert report.lan is not None
            assert (report.lan.unicast, report.lan.multicast, report.lan.proven) == (True, True, True)

        benchmark.pedantic(once, rounds=ROUNDS, iterations=1)
        told(benchmark, "nattools lan, all answers", times)
