"""Random bytes and numbers. They are the system's, which nobody can guess; in the simulator alone they follow
from the scenario's seed, so that a run can be repeated exactly."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_seeded: ContextVar[random.Random | None] = ContextVar("seeded", default=None)


def random_bytes(count: int) -> bytes:
    """Bytes that nobody outside of this process can guess."""
    seeded = _seeded.get()
    return os.urandom(count) if seeded is None else seeded.getrandbits(8 * count).to_bytes(count, "little")


def chance() -> random.Random:
    """What draws numbers that nobody outside of this process can guess."""
    return _seeded.get() or random.SystemRandom()


@contextmanager
def drawn_from(seeded: random.Random) -> Iterator[None]:
    """Within the block, and in the tasks that begin there, all chance is `seeded`'s."""
    token = _seeded.set(seeded)
    try:
        yield
    finally:
        _seeded.reset(token)
