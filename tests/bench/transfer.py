"""What a transfer took."""

from __future__ import annotations

from typing import NamedTuple


class Run(NamedTuple):
    """Seconds, and the CPU seconds of the busier end."""

    size: int
    wall_s: float
    cpu_s: float

    @property
    def per_core(self) -> float:
        """Megabits a second of one core."""
        return self.size * 8e-6 / self.cpu_s

    @property
    def by_the_clock(self) -> float:
        """Megabits a second."""
        return self.size * 8e-6 / self.wall_s
