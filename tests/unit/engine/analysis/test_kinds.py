"""Every kind of NAT, with and without loss, is named rightly."""

from __future__ import annotations

from typing import Any

import pytest
from synthetic_nats import A1P1, A2P2, CORNERS, World, silent

from nattools.engine.analyse import analyse
from nattools.model.nat import Nat
from nattools.model.report import Report
from nattools.net.addresses import is_public

EIM, ADM, APDM = "endpoint-independent", "address-dependent", "address-and-port-dependent"
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "open": (
        {"nat": False, "filtering": EIM},
        {"present": False, "mapping": "none", "filtering": EIM, "classic": "open internet"},
    ),
    "firewall": (
        {"nat": False},
        {"present": False, "mapping": "none", "filtering": APDM, "classic": "symmetric firewall"},
    ),
    "full cone": (
        {"filtering": EIM},
        {"mapping": EIM, "filtering": EIM, "classic": "full cone", "port_allocation": "preserving"},
    ),
    "address-restricted": (
        {"filtering": ADM},
        {"mapping": EIM, "filtering": ADM, "classic": "restricted cone"},
    ),
    "port-restricted": (
        {"hairpinning": True},
        {"mapping": EIM, "filtering": APDM, "classic": "port-restricted cone", "hairpinning": True},
    ),
    "no hairpinning": ({}, {"present": True, "hairpinning": False, "external": ("11.1.0.2",)}),
    "symmetric random": (
        {"mapping": APDM, "allocation": "random"},
        {"mapping": APDM, "classic": "symmetric", "port_allocation": "random", "port_block": False},
    ),
    "symmetric sequential": (
        {"mapping": APDM, "allocation": "sequential"},
        {"mapping": APDM, "filtering": APDM, "port_allocation": "sequential", "port_step": 1},
    ),
    "step 2": (
        {"mapping": APDM, "allocation": "sequential", "step": 2},
        {"port_allocation": "sequential", "port_step": 2},
    ),
    "downwards": (
        {"mapping": APDM, "allocation": "sequential", "step": -4},
        {"port_allocation": "sequential", "port_step": -4},
    ),
    "wraps around": (
        {"allocation": "sequential", "start": 65530},
        {"port_allocation": "sequential", "port_step": 1},
    ),
    "block": (
        {"mapping": APDM, "allocation": "block"},
        {"port_allocation": "random", "port_range": (40960, 41471), "port_block": True},
    ),
    "address-dependent": (
        {"mapping": ADM, "allocation": "sequential"},
        {"mapping": ADM, "classic": "symmetric", "port_allocation": "sequential", "port_step": 1},
    ),
    "two outside addresses": (
        {"outside": ("11.1.0.2", "11.1.0.3")},
        {"mapping": EIM, "port_allocation": "preserving"},
    ),
}


def diagnosed(world: World) -> Report:
    return analyse(world.measurement(), is_public=is_public)


def udp4(report: Report) -> Nat:
    assert report.nat.udp4 is not None
    return report.nat.udp4


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_named_rightly(kind: str) -> None:
    setting, expected = KINDS[kind]
    nat = udp4(diagnosed(World(**setting).measure()))
    assert {name: getattr(nat, name) for name in expected} == expected


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("two outside addresses", "block")])
def test_loss_may_hide_a_behaviour_but_not_change_it(kind: str) -> None:
    setting, expected = KINDS[kind]
    right = 0
    for seed in range(30):
        nat = udp4(diagnosed(World(**setting, loss=0.1, seed=seed).measure()))
        said = {name: getattr(nat, name) for name in expected}
        wrong = {n: v for n, v in said.items() if v != expected[n] and v not in (None, "unknown")}
        assert not wrong, (seed, wrong)
        right += said == expected
    assert right >= 29


def test_a_short_silence_on_a_lossy_path_is_no_filter() -> None:
    world = World(filtering=EIM, loss=0.3)
    local = world.fresh()
    for corner in CORNERS:
        world.ask("mapping", local, corner)
    world.filter_test("filter-address", A2P2, copies=0)
    local = world.fresh()
    world.ask("control", local, A1P1)
    world.add(silent(world.binding("filter-address", local, A1P1), sent=6))
    nat = udp4(diagnosed(world))
    assert nat.filtering == "unknown"
    assert "more copies" in nat.unknowns["filtering"]
