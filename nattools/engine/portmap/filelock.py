"""Locks on files that end with the process that holds them, however it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, wait: bool) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int, wait: bool) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def acquire(path: Path, *, wait: bool = True, create: bool = True) -> int | None:
    """Lock a file for this process alone; the descriptor that holds the lock, which closing it gives back.
    None: somebody else has it (and `wait` is False), or there is no such file (and `create` is False)."""
    flags = os.O_RDWR | os.O_CLOEXEC if hasattr(os, "O_CLOEXEC") else os.O_RDWR
    try:
        descriptor = os.open(path, flags | (os.O_CREAT if create else 0), 0o600)
    except FileNotFoundError:
        if create:
            raise
        return None
    try:
        _lock(descriptor, wait)
    except OSError:
        os.close(descriptor)
        if wait:
            raise
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else is inside such a block with this file at the same time."""
    descriptor = acquire(path)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
