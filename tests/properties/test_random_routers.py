"""Any router, any crash, any clock: after `map delete --mine` nothing of ours is left on a router that
answers truthfully to deletions, and no report says that something is there, or gone, which the router's table
denies.

`make loss` tries 10,000 routers; the ordinary tests try some.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from randomrouters import Life

ROUTERS = int(os.environ.get("NATTOOLS_ROUTERS", "200"))
EACH = 20


@pytest.mark.parametrize("first", range(0, ROUTERS, EACH))
def test_random_routers(first: int, tmp_path: Path) -> None:
    found = {seed: Life(seed, tmp_path / str(seed)).run() for seed in range(first, first + EACH)}
    assert {seed: problems for seed, problems in found.items() if problems} == {}
