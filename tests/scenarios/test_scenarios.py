"""Every scenario that comes with nattools: on the simulator and on network namespaces its report says what
the scenario expects, and both say the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from scenariotrials import AGAIN, HOSTS, SCENARIOS, SEEDS, differ_in_what_one_does_not_know, tried

from nattools.model.nat import Nat
from nattools.trials.scenarios import Trial

SLEEPERS = ("lifetime-5min", "lifetime-30s", "lifetime-10s")
AWAKE = [case for case in HOSTS if case[0] not in SLEEPERS]
FINDINGS = (
    "reachable", "present", "mapping", "filtering", "port_allocation", "port_step", "port_block",
    "hairpinning", "refreshed_by_inbound", "external", "cgnat", "double_nat", "distance_hops", "classic",
    "blocked_ports",
)  # fmt: skip


def findings(trial: Trial) -> dict[str, Any]:
    """What both backends must agree about."""
    assert trial.report is not None
    nats = trial.report.nat
    lanes: dict[str, Nat | None] = {
        "udp4": nats.udp4, "udp6": nats.udp6, "tcp4": nats.tcp4, "tcp6": nats.tcp6
    }  # fmt: skip
    found: dict[str, Any] = {each.id: each.verdict for each in trial.report.techniques}
    for lane, nat in lanes.items():
        found[lane] = None if nat is None else {field: getattr(nat, field) for field in FINDINGS}
        if nat is not None and nat.pooling == "arbitrary":
            found[lane]["external"] = len(nat.external) > 1  # which of them are met, and when, is chance
    return found


def test_there_are_enough_scenarios_and_all_of_them_expect_something() -> None:
    assert len(SCENARIOS) >= 20
    assert all(drawn.expect for drawn in SCENARIOS.values())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "host"), HOSTS)
def test_simulated(name: str, host: str, seed: int) -> None:
    tried(name, host, "sim", seed)


@pytest.mark.netns
@pytest.mark.parametrize(("name", "host"), AWAKE)
def test_in_namespaces_and_the_same_as_simulated(name: str, host: str) -> None:
    simulated = findings(tried(name, host, "sim"))
    real = findings(tried(name, host, "netns"))
    for _ in range(AGAIN):
        if not differ_in_what_one_does_not_know(real, simulated):
            break
        real = findings(tried(name, host, "netns"))
    forget_what_pools_hide(real, simulated)
    assert real == simulated


def forget_what_pools_hide(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Whether five TCP connections have met one address of a pool, and show how its ports are chosen, is
    chance: only what both know of that is compared."""
    for lane in ("tcp4", "tcp6"):
        if one[lane] and other[lane] and one[lane]["external"] is other[lane]["external"] is True:
            for field in ("port_allocation", "port_block"):
                if {one[lane][field], other[lane][field]} & {"unknown", None}:
                    one[lane][field] = other[lane][field] = None


@pytest.mark.netns
@pytest.mark.sleeper
@pytest.mark.parametrize("name", SLEEPERS)
def test_lifetimes_in_namespaces(name: str, slept: Callable[[str], Any]) -> None:
    result = slept(name)
    assert all(trial["met"] for trial in result["hosts"]), result
