"""What a measurement tells of its progress while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec


class Event(msgspec.Struct, frozen=True):
    """A named probe started, moved on, or finished.

    `text` says for a person what is being waited for (on "finished": what came of it, or nothing).
    `fraction` in 0..1 is how much of this probe is done, None if that is not known.
    """

    kind: Literal["started", "progress", "finished"]
    probe: str
    text: str = ""
    fraction: float | None = None


Emit = Callable[[Event], None]
