"""Blocks of ports as carriers hand them out: of any size, from anywhere (RFC 6888, RFC 7422)."""

from __future__ import annotations

import pytest
from punching import APDM, MATRIX_KINDS, look, measured, meet_as_measured_there, pair

from nattools.lab.scenario import NatSpec, RouterSpec
from nattools.lab.sim.simlab import SimLab
from nattools.traversal.plan.punchplan import MeasuredEnd, plan

BLOCK = (40000, 40511)
CARRIER = NatSpec(mapping=APDM, allocation="random", range=BLOCK)
OTHER = NatSpec(mapping=APDM, allocation="random", range=(50100, 50500))
TRIES = 8


def test_a_block_that_is_not_aligned_is_learnt_from_its_ports() -> None:
    for seed in range(TRIES):
        with SimLab(pair(CARRIER, None), seed=seed) as lab:
            nat = lab.run(lambda: look(lab, "alice")).udp4
        assert nat is not None
        assert nat.port_block
        assert nat.port_range is not None
        low, high = nat.port_range
        missed = max(0, low - BLOCK[0]) + max(0, BLOCK[1] - high)
        assert missed < 80
        assert high - low < 700


@pytest.mark.parametrize(
    ("peer", "low_ports", "least"),
    [
        (OTHER, False, 7),
        (MATRIX_KINDS["symmetric-random"], True, 7),
        (MATRIX_KINDS["symmetric-sequential"], False, 6),
        (MATRIX_KINDS["port-restricted"], False, 8),
    ],
    ids=["block", "random, low ports", "sequential", "port-restricted"],
)
def test_what_is_planned_through_a_block_is_what_comes(peer: RouterSpec, low_ports: bool, least: int) -> None:
    met = [meet_as_measured_there(CARRIER, peer, low_ports=low_ports, seed=seed) for seed in range(TRIES)]
    connected = sum(each.connected for each in met)
    assert connected >= least
    assert connected >= TRIES * min(each.plan.odds for each in met) - 2


MASK, VALUE = 0x0FC0, 0x0340
"""Of MAP-E with an offset of 4 bits and a PSID of 6: 15 blocks of 64 ports (RFC 7597 5.1)."""


MAP_E = NatSpec(mapping=APDM, allocation="random", range=(1025, 65535), port_set=(MASK, VALUE))


def test_a_port_set_is_measured_before_anything_is_promised() -> None:
    """No source port leads out of it, so low ones are of no use; and all of it can be tried."""
    with SimLab(pair(MAP_E, None), seed=3) as lab:
        nat = lab.run(lambda: look(lab, "alice"))
    assert nat.udp4 is not None
    assert nat.udp4.port_mask is not None
    mask, value = nat.udp4.port_mask
    assert (mask & MASK, value & MASK) == (MASK, VALUE)
    peer = MeasuredEnd(nat=measured("symmetric-random"), low_ports=True)
    assert plan(MeasuredEnd(nat=nat, low_ports=True), peer).path != "direct"
    met = [meet_as_measured_there(MAP_E, MATRIX_KINDS["port-restricted"], seed=seed) for seed in range(4)]
    assert all(each.connected for each in met)
    assert all(sum(step.packets or ()) < 2000 for each in met for step in each.plan.direct_steps)
