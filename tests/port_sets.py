"""A router whose customer has a port set, as MAP-E gives them (RFC 7597 5.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from punching import APDM

from nattools.lab.nat import portallocation
from nattools.lab.scenario import NatSpec

MASK, VALUE = 0x0FC0, 0x0340
"""With an offset of 4 bits and a PSID of 6: 15 blocks of 64 ports."""


@pytest.fixture
def map_e(monkeypatch: pytest.MonkeyPatch) -> NatSpec:
    """Told from others by its range."""
    spec = NatSpec(mapping=APDM, allocation="random", range=(1025, 65535))
    draw = portallocation.PortAllocator._random

    def within(self: Any, bounds: tuple[int, int] | None, port: int, free: Callable[[int], bool]) -> Any:
        in_set = bounds == spec.range
        return draw(self, bounds, port, lambda at: free(at) and (not in_set or at & MASK == VALUE))

    monkeypatch.setattr(portallocation.PortAllocator, "_random", within)
    return spec
