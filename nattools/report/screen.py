"""What the stream that a person looks at can show."""

from __future__ import annotations

import os
import shutil
from typing import TextIO

MAX_COLUMNS = 240


def wants_colour(stream: TextIO) -> bool:
    """A terminal that is not dumb, and nobody said NO_COLOR (https://no-color.org)."""
    return is_live(stream) and not os.environ.get("NO_COLOR")


def is_live(stream: TextIO) -> bool:
    """A terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def terminal_columns(stream: TextIO) -> int:
    """Columns to use: COLUMNS if set, else the terminal's width; 80 where there is no terminal."""
    if not stream.isatty() and "COLUMNS" not in os.environ:
        return 80
    return min(shutil.get_terminal_size((80, 24)).columns, MAX_COLUMNS)
