"""Which networks pwnat connects, without a server, with one, and as the original does it: as drawn, in the
simulator and through kernel NAT alike."""

from __future__ import annotations

import os

import pytest
from pwnatmatrix import CALLERS, LISTENERS, WAYS, Results, Way, results

from nattools.lab.backend import Backend

WHOLE = "NATTOOLS_PUNCH_REPEAT" in os.environ
"""`make punches`: through kernel NAT in all ways."""
TRIED: list[tuple[Backend, Way]] = [("sim", way) for way in WAYS]
IN_NAMESPACES: tuple[Way, ...] = WAYS if WHOLE else ("with a server",)
AGAIN = 2
"""So often those that did not meet in namespaces in time are tried again: seven at once wait for 12 s, which
is little on a busy machine. Who meets though it should not, fails at once."""
HEARS = {"public", "firewall", "port-restricted", "invalid drop", "CGNAT"}
"""Their outside port is one for all, so a caller can quote it."""
TOLD = {"random, told", "sequential, told"}
"""Of theirs, quoted checksums tell the listener which it is."""
IN_VAIN = {("random, told", "random"), ("random, told", "sequential")}
"""Nobody can tell where the two would meet."""
SAYS_WHERE = {"public", "firewall"}
"""Their knock leaves with the address at which they are reached."""
LETS_OUT = set(CALLERS) - {"invalid drop"}
"""Their knock leaves; a server tells where they are."""


def expected(way: Way) -> Results:
    """From the drawing."""
    callers = LETS_OUT if way == "with a server" else SAYS_WHERE
    hears = HEARS if way == "as the original" else HEARS | TOLD
    return {
        (one, other): one in hears and other in callers and (one, other) not in IN_VAIN
        for one in LISTENERS
        for other in CALLERS
    }


@pytest.mark.parametrize(
    ("backend", "way"),
    [*TRIED, *(pytest.param("netns", way, marks=pytest.mark.netns) for way in IN_NAMESPACES)],
)
def test_all_pairs(backend: Backend, way: Way) -> None:
    wanted = expected(way)
    found = results(backend, way)
    for _ in range(AGAIN if backend == "netns" else 0):
        if missing := [pair for pair in wanted if wanted[pair] and not found[pair]]:
            found |= results(backend, way, missing)
    assert {pair: found[pair] for pair in wanted if found[pair] is not wanted[pair]} == {}
