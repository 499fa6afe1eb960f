"""What a busy machine left open."""

from __future__ import annotations

TIMES = 3
"""So often a test with the mark `again` is run while something stays open. What is wrong fails at once."""


class LeftOpenError(Exception):
    """An answer came too late for something to be known that is known where there is time."""
