"""Files that belong to this user alone, and locks between processes."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
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


def open_own(path: Path, flags: int) -> int:
    """Open a file that only this user may read or write. OSError: also if it is a link. Whoever may write the
    folder (with `sudo -E` it is a user's, and this is root) must not choose which file is written."""
    more = ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")  # of them a system has those that it needs
    descriptor = os.open(path, flags | sum(getattr(os, name, 0) for name in more), 0o600)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.ELOOP, "it is no file of its own, but a link or a device", str(path))


def acquire_lock(path: Path, *, wait: bool = True, create: bool = True) -> int | None:
    """Lock a file for this process alone; the descriptor that holds the lock, which closing it gives back.
    None: somebody else has it (and `wait` is False), or there is no such file (and `create` is False)."""
    try:
        descriptor = open_own(path, os.O_RDWR | (os.O_CREAT if create else 0))
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
    descriptor = acquire_lock(path)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
