"""Which networks pwnat connects, without a server, with one, and as the original does it: as drawn, in the
simulator and through kernel NAT alike."""

from __future__ import annotations

import pytest
from pwnatmatrix import KINDS, WAYS, Results, Way, results

from nattools.lab.backend import Backend

BACKENDS = ["sim", pytest.param("netns", marks=pytest.mark.netns)]
HEARS = {"public", "firewall", "port-restricted", "invalid drop", "CGNAT"}
"""Their outside port is one for all, so a caller can quote it."""
SAYS_WHERE = {"public", "firewall"}
"""Their knock leaves with the address at which they are reached."""
LETS_OUT = set(KINDS) - {"invalid drop"}
"""Their knock leaves; a server tells where they are."""


def expected(way: Way) -> Results:
    """From the drawing."""
    callers = LETS_OUT if way == "with a server" else SAYS_WHERE
    return {(one, other): one in HEARS and other in callers for one in KINDS for other in KINDS}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_all_pairs(backend: Backend, way: Way) -> None:
    wanted = expected(way)
    found = results(backend, way)
    assert {pair: found[pair] for pair in wanted if found[pair] is not wanted[pair]} == {}
