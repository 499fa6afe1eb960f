"""The figures of docs/concepts/hole-punching.md are those of the plan."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nattools.traversal.plan.odds import odds, pool_size
from nattools.traversal.plan.side import KINDS
from nattools.traversal.plan.stepbuilding import PROBES_PER_S, SPREAD_PORTS, SPREAD_SOCKETS
from nattools.traversal.plan.udpstrategies import PROBES, SOCKETS, udp_steps
from nattools.wording.terms import chance

PAGE = (Path(__file__).parents[3] / "docs" / "concepts" / "hole-punching.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and line.strip("| ").partition(" |")[0] in KINDS
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} and {row[1]}")
def test_each_row_is_what_is_planned(row: list[str]) -> None:
    first, second, _, said, packets, within = row
    others = [second] if second in KINDS else [kind for kind in KINDS if kind != "udp blocked"]
    for other in others:
        steps = udp_steps(KINDS[first], KINDS[other], ("our", "its"))
        if not said:
            assert steps == []
            continue
        step = steps[0]
        assert step.odds is not None
        assert chance(step.odds) in (said, "over 99.99%")
        assert ", ".join(map(str, step.packets or ())) == packets
        assert step.seconds is not None
        assert step.seconds <= float(within.removesuffix(" s"))


def test_the_text_has_the_same_figures() -> None:
    assert len(ROWS) == 12
    text = " ".join(PAGE.split())
    for probes, share in ((140, 0.5), (1024, 0.9941), (2048, 1 - 1 / 31000)):
        assert odds(SOCKETS, probes, 64512) == pytest.approx(share, abs=0.00002 if probes > 2000 else 0.002)
        assert re.search(rf"\b{probes:,}\b", text)
    assert (SOCKETS, 2 * PROBES, PROBES_PER_S) == (320, 2048, 400)
    assert (SPREAD_PORTS, SPREAD_SOCKETS) == (32, 24)
    assert pool_size((600, 1023)) == 424
