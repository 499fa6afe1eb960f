"""Calls of the C library that Python has no function for."""

from __future__ import annotations

import contextlib
import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes


def libc_call(name: str, *arguments: object) -> None:
    """Call a function of the C library; OSError when it fails."""
    import ctypes

    if getattr(_libc(), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def return_free_memory() -> None:
    """What was freed among what is still in use stays with this process: glibc gives back no more than the
    end of its heap until it is asked (malloc_trim(3)). It takes some 10 ms. Other C libraries have no such
    call."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        _libc().malloc_trim(0)


@cache
def _libc() -> ctypes.CDLL:
    """Opening it makes classes of several kB, which only the garbage collector takes away: once is enough."""
    import ctypes

    return ctypes.CDLL(None, use_errno=True)
