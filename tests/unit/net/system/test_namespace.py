"""Calls of the C library: network namespaces are entered by them, hundreds of times in a measurement."""

from __future__ import annotations

import ctypes
import gc
import sys

import pytest

from nattools.net.system.libc import libc_call

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")


def libraries() -> int:
    return sum(isinstance(each, ctypes.CDLL) for each in gc.get_objects())


def test_calls_leave_nothing_behind() -> None:
    libc_call("usleep", 0)
    gc.disable()
    try:
        before = libraries()
        for _ in range(10):
            libc_call("usleep", 0)
        assert libraries() == before
    finally:
        gc.enable()


def test_a_call_that_fails_says_why() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        libc_call("close", -1)
