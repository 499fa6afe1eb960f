"""Files that belong to this user alone, and locks between processes."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

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
    folder (with `sudo -E` it is a user's, and this is root) must not choose which file is written. A new one
    is the folder's owner's, who could not use it otherwise."""
    flags |= sum(getattr(os, name, 0) for name in _MORE)
    descriptor = _new_file(path, flags) if flags & os.O_CREAT else None
    if descriptor is None:
        descriptor = os.open(path, flags & ~os.O_CREAT, 0o600)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.ELOOP, "it is not a plain file, but a link or a device", str(path))


_MORE: Final = ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")
"""Of them a system has those that it needs."""


def _new_file(path: Path, flags: int) -> int | None:
    """None: there is one already, and that is not forbidden."""
    try:
        descriptor = os.open(path, flags | os.O_EXCL, 0o600)
    except FileExistsError:
        if flags & os.O_EXCL:
            raise
        return None
    _give_away(descriptor, path.parent)
    return descriptor


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone. What root makes in a user's
    folder is that user's: else the user's own programs could not write there ever after. OSError: it cannot
    be made."""
    for each in (*reversed(path.parents), path):
        try:
            each.mkdir(mode=0o700)
        except FileExistsError:
            continue
        except OSError:
            if each.is_dir():
                continue
            raise
        if _is_root():
            descriptor = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if not os.listdir(descriptor):  # or another one was put in its place
                    _give_away(descriptor, each.parent)
            finally:
                os.close(descriptor)
    if not path.is_dir():
        raise FileExistsError(errno.EEXIST, "it is not a folder", str(path))


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


def _give_away(descriptor: int, folder: Path) -> None:
    """Give a file to whom the folder belongs that it was made in, if this is root."""
    if sys.platform != "win32" and os.geteuid() == 0:
        owner = folder.stat()
        if owner.st_uid != 0 and os.fstat(descriptor).st_uid == 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


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
