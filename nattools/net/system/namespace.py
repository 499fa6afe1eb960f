"""Entering a network namespace for a moment (Linux): sockets opened meanwhile stay in it for good."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from nattools.errors import CannotRun
from nattools.net.system.libc import libc_call

CLONE_NEWNET = 0x40000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNS = 0x00020000
_OWN = "/proc/thread-self/ns/net"


@contextmanager
def entered(path: str | None) -> Iterator[None]:
    """The calling thread is in the namespace at `path` (as `/run/netns/NAME`) inside the `with` block, and
    back where it was after it. None: nothing happens. Never await inside.

    CannotRun: there is no such namespace, or no privilege to enter it.
    """
    if path is None:
        yield
        return
    own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(path)
        try:
            yield
        finally:
            set_namespace(own)
    finally:
        os.close(own)


def enter(path: str) -> None:
    """Move the calling thread into the namespace at `path` for good. CannotRun as in `entered`."""
    try:
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CannotRun(f"no network namespace {path}: {error.strerror}") from error
    try:
        set_namespace(namespace)
    except OSError as error:
        raise CannotRun(
            f"not permitted to enter the network namespace {path}: {error.strerror}",
            "Run as root, or inside `unshare --user --map-root-user --net --mount`.",
        ) from error
    finally:
        os.close(namespace)


def set_namespace(descriptor: int) -> None:
    """`setns(descriptor, CLONE_NEWNET)`; OSError when the kernel refuses."""
    # os.setns and os.unshare came with Python 3.12
    libc_call("setns", descriptor, CLONE_NEWNET)


def unshare_network() -> None:
    """Move the calling thread into a new, empty network namespace; OSError when the kernel refuses."""
    libc_call("unshare", CLONE_NEWNET)


def unshare_user() -> None:
    """Move this process into a new user namespace; OSError when the kernel refuses or there are threads."""
    libc_call("unshare", CLONE_NEWUSER)


def unshare_mounts() -> None:
    """Move this process into a copy of its mount namespace; OSError when the kernel refuses."""
    libc_call("unshare", CLONE_NEWNS)
