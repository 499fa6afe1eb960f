"""Calls of the C library."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from nattools.net.system import libc

PROGRAM = """
from pathlib import Path
from nattools.net.system.libc import return_free_memory
def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])
kept = [bytes(3000) for _ in range(20_000)]
del kept[:-1]
before = pages()
return_free_memory()
print(before - pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a call of glibc's")
def test_what_is_free_below_what_is_in_use_goes_back() -> None:
    """60 MB; without it they stay, since the last piece is in use."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 4096 > 50_000_000


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_elsewhere_nothing_happens(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise error

    monkeypatch.setattr(libc, "_libc", refuse)
    libc.return_free_memory()
