"""NATs that give each mapping any of several outside addresses: the punch works, or its odds say how often it
does."""

from __future__ import annotations

from typing import Any

import pytest

from nattools.lab.natkinds import MATRIX_KINDS, scenario_of_pairs
from nattools.lab.scenario import NatSpec
from nattools.lab.sim.simlab import SimLab
from nattools.trials.pairs import PairOptions, connect_pair

APDM = "address-and-port-dependent"
POOLED: dict[str, Any] = {"pool": 3, "pooling": "arbitrary"}
SEEDS = 4


@pytest.mark.parametrize(
    ("nat", "peer", "fewest_odds", "most_odds"),
    [
        ({"allocation": "random"}, "port-restricted", 1.0, 1.0),
        ({"allocation": "random"}, "symmetric-sequential", 1.0, 1.0),
        ({"mapping": APDM}, "address-restricted", 1.0, 1.0),
        ({"mapping": APDM}, "port-restricted", 0.9, 0.98),
        ({"mapping": APDM, "allocation": "sequential"}, "firewall", 0.95, 0.999),
        ({"mapping": APDM, "allocation": "sequential"}, "symmetric-sequential", 0.3, 0.5),
        ({"mapping": APDM, "allocation": "sequential"}, "udp-blocked", 0.3, 0.5),
    ],
)
def test_a_pool_of_addresses(nat: dict[str, Any], peer: str, fewest_odds: float, most_odds: float) -> None:
    connected = 0
    for seed in range(SEEDS):
        pair = (NatSpec(**POOLED, **nat), MATRIX_KINDS[peer])
        with SimLab(scenario_of_pairs([pair], delay_ms=10), seed=seed) as lab:
            options = PairOptions(low_ports=False)
            first, second = lab.run(lambda: connect_pair(lab, "a0", "b0", options))  # noqa: B023
        assert first.punch is not None
        assert second.punch is not None
        assert first.punch.odds is not None
        assert fewest_odds <= first.punch.odds <= most_odds
        connected += first.punch.connected and second.punch.connected
    assert connected >= SEEDS * fewest_odds - 1
